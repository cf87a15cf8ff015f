"""The embedded engine: `wordpiece`, `artifact` and `engine` run it (numpy and onnxruntime), `train` makes it (offline)."""
