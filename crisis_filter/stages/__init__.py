"""The two stages. Each takes one view of a message and returns a verdict or a failure, never an exception."""
