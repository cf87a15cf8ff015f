"""Data sets of labelled messages: a folder with a manifest, one JSON Lines file for each split, and the checks they must pass."""
