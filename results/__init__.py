"""Results: sweeps read back, compared, put in words, tables, figures and a report."""
