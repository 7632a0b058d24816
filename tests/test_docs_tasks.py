"""Tasks, metrics and losses in the documentation: each is a module, as a reader would write it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from gatelab.tasks import Loss, Metric, Task
from gatelab.tasks.check import run_checks
from tests.in_process import modules_of
from tests.test_docs import blocks

SNIPPETS = [text for page, text in blocks("python") if page == "tasks.md"]


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_what_the_documentation_writes_works(number: int, tmp_path: Path) -> None:
    name = f"documented_task_{number}"
    (tmp_path / f"{name}.py").write_text(SNIPPETS[number])
    with modules_of(tmp_path):
        found = vars(importlib.import_module(name)).values()
        classes: list[Any] = [it for it in found if getattr(it, "__module__", "") == name]
        looked_at = [_look_at(cls) for cls in classes if issubclass(cls, (Task, Metric, Loss))]
    assert looked_at


def _look_at(cls: Any) -> None:
    if issubclass(cls, Task):
        assert [it for it in run_checks(cls, rows=200) if not it.ok] == []
        return
    outputs, target = torch.zeros(4, 1), torch.tensor([0.0, 1, 1, 0])
    shape = (4,) if issubclass(cls, Loss) else ()
    assert cls().compute(outputs, target).shape == shape
