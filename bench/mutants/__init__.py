"""Mutation testing of the modules that decide: see README.md."""
