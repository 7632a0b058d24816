"""The command line: each command is one call of a Python function."""

from __future__ import annotations

import os
import sys

import click

from sweeps.terminal import Commands

MODULES = {
    "validate": "sweeps.cli_launch",
    "launch": "sweeps.cli_launch",
    "resume": "sweeps.cli_launch",
    "status": "sweeps.cli_cluster",
    "logs": "sweeps.cli_cluster",
    "stop": "sweeps.cli_cluster",
    "doctor": "sweeps.cli_cluster",
    "compare": "sweeps.cli_compare",
    "report": "sweeps.cli_report",
    "ui": "sweeps.cli_ui",
    "export": "sweeps.cli_export",
    "list": "sweeps.cli_registry",
    "show": "sweeps.cli_registry",
    "check": "sweeps.cli_registry",
    "new": "sweeps.cli_registry",
}
"""The module of each command, in the order of the help."""


@click.group(
    cls=Commands, modules=MODULES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="gatelab")
def main() -> None:
    """Compare mixture-of-experts gates fairly: search, fresh seeds, significance."""
    sys.path.insert(0, os.getcwd())  # where a user's own "module:name" gates and tasks lie
