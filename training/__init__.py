"""Training: M models of one structure at once, and their scores, as work that can be stopped."""
