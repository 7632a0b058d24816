"""``python -m gatelab`` is ``gatelab``."""

from gatelab.sweeps.cli import main

main()
