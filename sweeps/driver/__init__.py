"""The driver: it launches a sweep, hands its jobs to Ray, and keeps its record."""
