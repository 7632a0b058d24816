"""``python -m gatelab`` is ``gatelab``."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the working directory, whose modules would hide those of all libraries
# There a bare folder `gatelab` comes before an editable install, whose modules are found
# nevertheless; only this package is not itself.
if sys.modules["gatelab"].__file__ is None:
    del sys.modules["gatelab"]

from gatelab.command import run_command

run_command()
