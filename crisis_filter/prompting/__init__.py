"""Prompts are versioned files: loaded strictly, rendered strictly, identified by id and hash."""
