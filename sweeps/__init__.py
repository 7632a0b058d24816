"""Sweeps: a spec searched, run on a cluster, exported, from Python and from the command line."""
