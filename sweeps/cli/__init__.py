"""The command line: each command is one call of a Python function."""

from __future__ import annotations

import os
import sys

import click

from gatelab.sweeps.cli.terminal import Commands

MODULES = {
    "validate": "gatelab.sweeps.cli.launch",
    "launch": "gatelab.sweeps.cli.launch",
    "resume": "gatelab.sweeps.cli.launch",
    "status": "gatelab.sweeps.cli.cluster",
    "logs": "gatelab.sweeps.cli.cluster",
    "stop": "gatelab.sweeps.cli.cluster",
    "doctor": "gatelab.sweeps.cli.cluster",
    "compare": "gatelab.sweeps.cli.compare",
    "report": "gatelab.sweeps.cli.report",
    "ui": "gatelab.sweeps.cli.ui",
    "export": "gatelab.sweeps.cli.export",
    "predict": "gatelab.sweeps.cli.predict",
    "list": "gatelab.sweeps.cli.registry",
    "show": "gatelab.sweeps.cli.registry",
    "check": "gatelab.sweeps.cli.registry",
    "new": "gatelab.sweeps.cli.registry",
}
"""The module of each command, in the order of the help."""


@click.group(
    cls=Commands, modules=MODULES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="gatelab")
@click.option(
    "--debug", is_flag=True, envvar="GATELAB_DEBUG", help="Show the traceback of what fails."
)
def main(debug: bool) -> None:
    """Compare mixture-of-experts gates fairly: search, fresh seeds, significance."""
    sys.path.insert(0, os.getcwd())  # where a user's own "module:name" gates and tasks lie
