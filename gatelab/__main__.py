"""``python -m gatelab`` is ``gatelab``."""

import sys

# A bare folder `gatelab` in the working directory, which `python -m` puts first, comes before an
# editable install, whose modules are found nevertheless; only this package is not itself.
if sys.modules["gatelab"].__file__ is None:
    del sys.modules["gatelab"], sys.path[0]

from gatelab.sweeps.cli import main

main()
