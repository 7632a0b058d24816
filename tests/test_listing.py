"""What is registered, read from sources, is what the registries have, and imports nothing."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from gatelab.gates.gate import gates
from gatelab.listing import read_registered
from gatelab.sweeps.cli import main
from gatelab.tasks.metric import metrics
from gatelab.tasks.task import Task, tasks
from gatelab.training.learners import learners

HEAVY = "{'torch', 'optuna', 'mlflow', 'ray', 'pandas', 'numpy', 'pydantic', 'matplotlib', 'scipy'}"


@pytest.mark.parametrize(
    ("kind", "registry"),
    [("gate", gates), ("task", tasks), ("metric", metrics), ("learner", learners)],
)
def test_it_is_what_the_registry_has(kind: str, registry: Any) -> None:

    ours = [n for n in registry.names() if registry.get(n).__module__.startswith("gatelab.")]
    found = read_registered(kind)
    assert [one.name for one in found] == ours and len(ours) > 1
    for one in found:
        cls = registry.get(one.name)
        assert one.line == (inspect.getdoc(cls) or "").partition("\n")[0]
        sets = cls.data_sets if issubclass(cls, Task) else ()
        assert one.data_sets == tuple(it.name for it in sets)


@pytest.mark.parametrize("what", ["gates", "tasks", "metrics", "learners"])
def test_a_list_imports_nothing_that_takes_time(what: str, tmp_path: Any) -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom gatelab.sweeps.cli import main\n"
        f"result = CliRunner().invoke(main, ['list', {what!r}])\n"
        "assert result.exit_code == 0, result.output\n"
        f"print(result.output.count(chr(10)), *({HEAVY} & {{*sys.modules}}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"GATELAB_DATA": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    lines, *imported = ended.stdout.split()
    assert imported == [] and int(lines) > 1


def test_a_list_in_json() -> None:
    read = json.loads(CliRunner().invoke(main, ["list", "tasks", "--json"]).stdout)
    names = {one["name"]: one for one in read}
    assert names["multi_mnist"].keys() == {"name", "line", "package", "files"}
    assert names["synthetic_groups"]["files"] == ""


@pytest.mark.parametrize(("word", "near"), [("gate", "'gates'"), ("task", "'tasks'")])
def test_one_of_what_is_listed_is_meant(word: str, near: str) -> None:
    result = CliRunner().invoke(main, ["list", word])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"did you mean {near}?" in result.stderr


def test_to_compare_imports_what_mlflow_needs_and_little_else() -> None:
    """What takes longest beside it: torch, and SciPy's statistics for tests that are asked for."""
    heavy = "{'torch', 'optuna', 'ray', 'matplotlib', 'scipy.stats', 'sklearn'}"
    code = f"import sys, gatelab.results.overview; print(*({heavy} & {{*sys.modules}}))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
