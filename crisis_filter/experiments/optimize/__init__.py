"""Rewriting a Stage 1 prompt by search: GEPA proposes, our screen judges, and sensitivity is what no proposal may lose."""
