"""Figures of a sweep: matplotlib is used here and nowhere else."""
