"""The spec: what one sweep is, how it is read, checked, and searched."""
