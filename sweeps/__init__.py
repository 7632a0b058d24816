"""Sweeps: spec, search, training, evaluation, launching."""
