"""Results: sweeps read back, put side by side, written up and exported."""
