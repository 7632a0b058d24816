"""A good spec to be spoilt, and what is said of it."""

from __future__ import annotations

from click.testing import CliRunner

from gatelab.sweeps.cli import main

GOOD = {
    "name": "bad",
    "task": "digits_pairs",
    "gates": "[softmax]",
    "model": "{num_experts: 4}",
    "training": "{max_epochs: 4}",
    "search": "{trials: 2, early_stopping: false}",
}


def spec(**changes: str | None) -> str:
    """Return a good spec's text with some keys changed; None leaves a key out."""
    merged = {**GOOD, **changes}
    return "".join(f"{key}: {value}\n" for key, value in merged.items() if value is not None)


def run(*arguments: str) -> tuple[int, str]:
    """Return the exit code of a command, and its errors."""
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.stderr
