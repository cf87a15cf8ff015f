"""Statistics with their uncertainty; undefined is `None`, never zero."""
