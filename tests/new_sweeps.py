"""`gatelab new sweep`, as tests run it, and the spec that it writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from click.testing import CliRunner, Result

from gatelab.sweeps.cli import main
from gatelab.sweeps.spec.reading import load_spec


def new(table: object, *words: str, code: int = 0) -> Result:
    """Run the command; what refuses says one line and writes nothing."""
    before = sorted(os.listdir())
    done = CliRunner().invoke(main, ["new", "sweep", str(table), *words])
    assert done.exit_code == code, (done.output, done.exception)
    if code:
        assert done.output.count("\n") == 1, done.output
        assert sorted(os.listdir()) == before
    return done


def task_of(spec: str) -> dict[str, Any]:
    """Return the options of a written spec's task, which loads."""
    return dict(load_spec(spec).task.options)


def targets(*names: str) -> Iterator[str]:
    for name in names:
        yield from ("--target", name)
