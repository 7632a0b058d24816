"""Tracking: what is recorded, read back, compared and drawn."""
