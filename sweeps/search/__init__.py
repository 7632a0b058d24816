"""Search: the studies of Optuna, one for each gate."""
