"""Optimisers: each one file, a rule that moves the rows of many members at once."""
