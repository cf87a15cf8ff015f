"""Simulated messages: a recipe, an author, two raters who do not see each other, and somebody who decides between them.

Everything that a backend said is a line in a folder. What is asked next, and what comes of it all, is computed from those lines, so a
run can be killed at any instant and started again.
"""
