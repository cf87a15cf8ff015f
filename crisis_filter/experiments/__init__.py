"""Experiments: what is tried on prompts, models and messages, and written down so that it can be looked at again."""
