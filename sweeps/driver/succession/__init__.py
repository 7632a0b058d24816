"""Succession: a sweep that goes on from a finished one, with what that has trained."""
