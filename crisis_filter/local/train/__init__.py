"""Makes an engine folder out of labelled messages and start weights. Needs the `train` extra; nothing at run time does."""
