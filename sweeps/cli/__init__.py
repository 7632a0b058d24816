"""The command line: each command is one call of a Python function."""

from __future__ import annotations

import os
import sys

import click

from sweeps.cli.terminal import Commands

MODULES = {
    "validate": "sweeps.cli.launch",
    "launch": "sweeps.cli.launch",
    "resume": "sweeps.cli.launch",
    "status": "sweeps.cli.cluster",
    "logs": "sweeps.cli.cluster",
    "stop": "sweeps.cli.cluster",
    "doctor": "sweeps.cli.cluster",
    "compare": "sweeps.cli.compare",
    "report": "sweeps.cli.report",
    "ui": "sweeps.cli.ui",
    "export": "sweeps.cli.export",
    "list": "sweeps.cli.registry",
    "show": "sweeps.cli.registry",
    "check": "sweeps.cli.registry",
    "new": "sweeps.cli.registry",
}
"""The module of each command, in the order of the help."""


@click.group(
    cls=Commands, modules=MODULES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="gatelab")
def main() -> None:
    """Compare mixture-of-experts gates fairly: search, fresh seeds, significance."""
    sys.path.insert(0, os.getcwd())  # where a user's own "module:name" gates and tasks lie
