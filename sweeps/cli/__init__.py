"""The command line: each command is one call of a Python function."""

from __future__ import annotations

import os

import click

from gatelab.own_modules import find_in
from gatelab.sweeps.cli.commands import Commands

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Begin": {
        "new": (
            "new",
            "Start a sweep of a table, or a package of a gate, task or learner.",
        ),
        "data": ("data", "Download the files of a published data set, or check them."),
        "validate": ("launch", "Check SPEC, and its data, without running anything."),
        "launch": ("launch", "Run SPEC: search, evaluation, comparison."),
    },
    "Go on": {
        "status": ("cluster", "Show how far SWEEP is, by default every sweep."),
        "stop": ("cluster", "Stop SWEEP as Ctrl-C does; `gatelab resume` goes on later."),
        "resume": ("launch", "Go on with SWEEP where it was stopped."),
        "logs": ("cluster", "Show what the driver of SWEEP has said, on a cluster."),
    },
    "Review": {
        "compare": ("compare", "Compare the gates of each SWEEP, from MLflow's record alone."),
        "ui": ("ui", "Open MLflow's dashboard on SWEEP, by default the newest."),
        "report": ("report", "Write the report of SWEEP, finished or not."),
    },
    "Use what was found": {
        "export": ("export", "Put the selected model of a gate of SWEEP in MLflow's registry."),
        "predict": ("predict", "Predict each row of FILE by the selected model of a gate."),
    },
    "Look up and check": {
        "list": ("listing", "List the registered gates, tasks, metrics or learners."),
        "show": ("show", "Show what is registered."),
        "check": ("check", "Run the conformance suite over a gate, a task or a learner."),
        "doctor": ("cluster", "Check Ray, its nodes, storage and MLflow, and what SPEC needs."),
    },
}
"""The commands by what one wants to do, each with its module in this package and what it does.

They stand here so that the help imports none of them: the slowest takes two seconds."""
MODULES = {
    name: f"{__name__}.{module}"
    for commands in SECTIONS.values()
    for name, (module, _) in commands.items()
}
"""The module of each command, in the order of the help."""
HELP = {
    section: {name: text for name, (_, text) in commands.items()}
    for section, commands in SECTIONS.items()
}


@click.group(
    cls=Commands,
    modules=MODULES,
    sections=HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="gatelab")
@click.option(
    "--debug", is_flag=True, envvar="GATELAB_DEBUG", help="Show the traceback of what fails."
)
def main(debug: bool) -> None:
    """Compare mixture-of-experts gates fairly: search, fresh seeds, significance."""
    find_in(os.getcwd())  # a user's own "module:name" gates and tasks
