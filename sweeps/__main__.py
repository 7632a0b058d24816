"""``python -m sweeps`` is ``gatelab``."""

from sweeps.cli import main

main()
