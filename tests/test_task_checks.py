"""The suite of tasks: each check finds its mistake, and every registered task passes them all."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import broken_networks as networks
import broken_splits as splits
import broken_tasks as broken
import pytest
import torch
from torch import nn

from gatelab.conformance import name_of
from gatelab.tasks import tasks
from gatelab.tasks.check import CHECKS, run_checks
from gatelab.tasks.check.rounding import told_rounding

ROOT = Path(__file__).parent.parent
SMALL = {"train_rows": 60, "val_rows": 30, "test_rows": 30}
PASSES = {
    "gradient_reaches_experts_and_towers",
    "network_keeps_no_running_statistics",
    "the_split_is_not_changed_by_a_pass",
    "evaluation_is_deterministic",
    "rows_are_independent",
    "every_row_passes",
    "networks_can_be_stacked",
    "networks_learn_when_stacked",
}
"""The checks that need networks which run."""
BROKEN: list[tuple[type[broken.Sound], str, set[str]]] = [
    (broken.Undocumented, "is_documented", set()),
    (broken.Positional, "options_are_keyword_arguments_with_defaults", set()),
    (broken.Demanding, "options_are_keyword_arguments_with_defaults", set()),
    (broken.Open, "options_are_keyword_arguments_with_defaults", set()),
    (broken.Aimless, "targets", set()),
    (broken.Twins, "targets", set()),
    (broken.Cased, "targets", set()),
    (broken.PositionalNetwork, "network_hyperparameters_are_keyword_arguments", set()),
    (broken.CountsExperts, "network_hyperparameters_are_keyword_arguments", set()),
    (broken.ListOfWidths, "network_hyperparameters_are_keyword_arguments", set()),
    (broken.Spelt, "what_is_said_is_lines", set()),
    (broken.Wordy, "what_is_said_is_lines", set()),
    (broken.Ungrouped, "truth_fits", set()),
    (broken.Expertless, "truth_fits", set()),
    (broken.Untaught, "truth_fits", set()),
    (broken.Named, "truth_fits", set()),
    (broken.Mixed, "truth_fits", set()),
    (broken.Undirected, "truth_fits", set()),
    (broken.Onesided, "truth_fits", set()),
    (splits.ColumnShort, "splits_have_shapes", set()),
    (splits.RowShort, "splits_have_shapes", set()),
    (splits.Flat, "splits_have_shapes", set()),
    (splits.RowMask, "splits_have_shapes", set()),
    (splits.Whole, "splits_have_shapes", {"every_row_passes"}),
    (splits.Owing, "weights_can_be_used", set()),
    (splits.Weightless, "weights_can_be_used", set()),
    (splits.Endless, "weights_can_be_used", set()),
    (splits.WeightShort, "weights_can_be_used", set()),
    (splits.WeighsTargets, "weights_can_be_used", set()),
    (splits.WeighsNothing, "weights_can_be_used", {"every_target_is_known_somewhere"}),
    (splits.WeighsTrain, "weights_can_be_used", set()),
    (splits.Gaps, "values_are_finite", set()),
    (splits.Unmarked, "values_are_finite", set()),
    (splits.FromOne, "classes_are_in_range", set()),
    (splits.Halves, "classes_are_in_range", set()),
    (splits.Upended, "every_target_is_known_somewhere", set()),
    (splits.Sorted, "every_target_is_known_somewhere", set()),
    (splits.Stamped, "inputs_are_told_apart", {"gradient_reaches_experts_and_towers"}),
    (splits.Leaky, "splits_differ", set()),
    (
        splits.Clocked,
        "same_options_give_the_same_data",
        {
            "splits_do_not_depend_on_their_order",
            "data_do_not_depend_on_global_seeds",
            "pickles",
        },
    ),
    (splits.OneStream, "splits_do_not_depend_on_their_order", {"pickles"}),
    (splits.Global, "data_do_not_depend_on_global_seeds", {"random_states_are_left_alone"}),
    (splits.Seeder, "random_states_are_left_alone", set()),
    (splits.Deaf, "the_seed_matters", set()),
    (splits.Undivided, "split_seeds_give_other_rows", set()),
    (splits.Adrift, "split_seeds_give_other_rows", set()),
    (splits.Elsewhere, "split_seeds_keep_the_task", set()),
    (splits.Replanted, "split_seeds_keep_the_task", set()),
    (splits.Renamed, "split_seeds_keep_the_task", set()),
    (splits.Encoded, "split_seeds_keep_the_task", set()),
    (splits.Taker, "options_are_not_changed", set()),
    (splits.Unpicklable, "pickles", set()),
    (splits.Forgetful, "pickles", set()),
    (networks.NarrowGates, "network_fits", set()),
    (networks.WideTowers, "network_fits", PASSES),
    (networks.TwoOutputs, "network_fits", set()),
    (networks.Overflowing, "network_fits", set()),
    (networks.Rooted, "losses_give_numbers", set()),
    (networks.Detached, "gradient_reaches_experts_and_towers", set()),
    (networks.Shared, "factories_make_fresh_modules", {"random_states_are_left_alone"}),
    (networks.Constant, "factories_make_fresh_modules", set()),
    (
        networks.Growing,
        "factories_make_fresh_modules",
        {
            "the_start_follows_torchs_seed",
            "modules_differ_in_tensors_alone",
            "networks_can_be_stacked",
        },
    ),
    (networks.NumpyStart, "the_start_follows_torchs_seed", set()),
    (networks.Running, "network_keeps_no_running_statistics", {"network_fits"}),
    (networks.Evaluated, "network_keeps_no_running_statistics", {"network_fits"}),
    (networks.Counting, "network_keeps_no_running_statistics", set()),
    (networks.Greedy, "the_split_is_not_changed_by_a_pass", set()),
    (networks.Rectified, "features_are_not_changed_by_a_pass", set()),
    (
        networks.Restless,
        "evaluation_is_deterministic",
        {"rows_are_independent", "networks_can_be_stacked"},
    ),
    (networks.Gregarious, "rows_are_independent", set()),
    (networks.Particular, "networks_can_be_stacked", {"networks_learn_when_stacked"}),
    (networks.Rounded, "networks_can_be_stacked", set()),
    (networks.Recomputed, "networks_learn_when_stacked", set()),
    (networks.Unlisted, "every_row_passes", set()),
    (
        networks.Attribute,
        "modules_differ_in_tensors_alone",
        {"networks_can_be_stacked", "networks_learn_when_stacked"},
    ),
    (networks.Homebody, "network_follows_device", set()),
]
OPTIONS: dict[type[broken.Sound], dict[str, Any]] = {
    broken.Demanding: {"rows": 24},
    splits.Taker: {"sizes": [1]},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For networks as small as these, threads cost more than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def failures(cls: type[Any], **options: Any) -> dict[str, str]:
    return {o.check: o.reason for o in run_checks(cls, **options) if not o.ok}


# Other tests may have registered tasks that are none of ours; a table is nothing without its file,
# nor is a data set: those have modules of their own.
OURS = [
    name
    for name in tasks.names()
    if tasks.get(name).__module__.startswith("gatelab.tasks.")
    and name != "table"
    and not tasks.get(name).data_sets
]


@pytest.mark.parametrize("name", OURS)
def test_registered_tasks(name: str) -> None:
    cls = tasks.get(name)
    taken = inspect.signature(cls).parameters
    assert failures(cls, **{it: rows for it, rows in SMALL.items() if it in taken}) == {}


@pytest.mark.parametrize(
    "cls",
    [
        *(broken.Sound, broken.Single, broken.Coarse, splits.Divided, splits.Weighted),
        networks.Pretrained,
        networks.Branching,
    ],
)
def test_nothing_is_found_wrong_with_a_sound_task(cls: type[broken.Sound]) -> None:
    assert failures(cls) == {}


@pytest.mark.parametrize(("cls", "check", "kin"), BROKEN, ids=[cls.__name__ for cls, *_ in BROKEN])
def test_a_mistake_is_found_by_its_check_and_its_kin(
    cls: type[broken.Sound], check: str, kin: set[str]
) -> None:
    found = failures(cls, **OPTIONS.get(cls, {}))
    assert set(found) == {check, *kin}
    assert re.fullmatch(r"[^\n]+; likely cause: [^\n]+\.", found[check])


def test_every_check_finds_something() -> None:
    assert {name_of(check) for check in CHECKS} == {check for _, check, _ in BROKEN}


def test_what_a_task_raises_is_the_finding() -> None:
    class Lost(broken.Sound):
        """Has lost its file."""

        def split(self, name: Any) -> Any:
            raise OSError("no such\nfile")

    found = failures(Lost)["splits_have_shapes"]
    assert re.fullmatch(rf"raised OSError: no such file \({__file__}, line \d+\)", found)


def test_rounding_is_told_of_columns_that_it_changes() -> None:
    """Not of one whose values differ by errors of float64's own too."""
    inputs = splits.Stamped().split("train").inputs
    line = told_rounding("train", inputs)
    assert line is not None and line.startswith("column 1 of train inputs has 24 values, of which")
    assert line.endswith("float32 tells 1 apart (2 columns are so)")
    assert told_rounding("train", inputs[:, [0, 2, 3]]) is None
    assert told_rounding("train", inputs.float()) is None
    images = told_rounding("train", inputs.numpy().reshape(24, 1, 5, 1))
    assert images is not None and images.startswith("column (0, 1, 0) of train inputs")


def test_a_last_layer_that_starts_at_zero_is_no_dead_end() -> None:
    class Quiet(broken.Sound):
        """Starts with towers that give nothing."""

        def tower(self, width: int, target: Any) -> nn.Module:
            linear = nn.Linear(width, target.out_features)
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
            return linear

    assert set(failures(Quiet)) == {"pickles"}, "which is for it being a local class"


def expecting(cls: type[broken.Sound], **expected: str) -> Any:
    body = {"__doc__": "As it says.", "expected_failed_checks": expected}
    return type("Expecting", (cls,), body)


def test_an_expected_failure_is_ok_with_its_reason() -> None:
    cls = expecting(splits.Leaky, splits_differ="as published", pickles="a local class")
    outcomes = {outcome.check: outcome for outcome in run_checks(cls)}
    assert all(outcome.ok for outcome in outcomes.values())
    assert outcomes["splits_differ"].reason == "fails as expected: as published"


def test_an_expected_failure_that_passes_is_a_failure() -> None:
    found = failures(expecting(broken.Sound, targets="why not"))
    assert found["targets"] == "passes, but is expected to fail: why not"


def test_an_expected_failure_of_no_check_is_a_failure() -> None:
    found = failures(expecting(broken.Sound, splits_difer="why not"))
    expected = "unknown check 'splits_difer'; did you mean 'splits_differ'"
    assert found["expected_failed_checks"].startswith(expected)


PACKAGE = '''
import broken_tasks
import broken_splits
from gatelab.tasks import register_task


@register_task("sound")
class Mine(broken_tasks.Sound):
    """Is sound."""


@register_task("leaky")
class Theirs(broken_splits.Leaky):
    """Tests on what it has learnt."""
'''


def test_one_line_tests_a_task_under_pytest(tmp_path: Path) -> None:
    """One case a check, of which the one for the one mistake fails, with its finding."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "own.py").write_text(PACKAGE)
    (tmp_path / "test_mine.py").write_text(
        "from gatelab.tasks.check import check_task\n\n"
        'test_mine = check_task("mine.own:sound", rows=30)\n'
        'test_theirs = check_task("mine.own:leaky")\n'
    )
    path = os.pathsep.join(map(str, (ROOT / "tests", tmp_path)))
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", os.devnull, "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    for check in CHECKS:
        assert f"test_mine.py::test_mine[{name_of(check)}] PASSED" in result.stdout, result.stdout
    assert "test_theirs[splits_differ] FAILED" in result.stdout
    assert "100% of the test inputs are in train; likely cause" in result.stdout
    cases = len(CHECKS) + 1  # and one for expected_failed_checks
    assert f"1 failed, {2 * cases - 1} passed" in result.stdout
