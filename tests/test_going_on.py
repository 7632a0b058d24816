"""A sweep that goes on from a finished one: it ends as one that was launched with all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatelab.results.comparing import compare
from gatelab.sweeps.driver.succession import succession
from gatelab.sweeps.home import home, making
from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.schema import FOLDER, Tags
from gatelab.tracking.sqlite import default_uri
from tests.commands import ROOT
from tests.gone_on import files, names, runs, told, write_few
from tests.in_process import gatelab
from tests.launched import read

SEARCHED = ("top_k", "softmax", "relu")


@pytest.mark.slow
def test_it_ends_as_a_sweep_that_was_launched_with_all_of_it(both: Path) -> None:
    before = files(both, "few"), runs(both, "few")
    said = gatelab(both, "resume", "few", "search.trials=8", "evaluation.seeds=3")
    assert said.startswith(
        "few-2 goes on from few, which stays as it is: 4 trials of every gate are taken over, "
        "4 more are searched; then 3 seeds of the best are evaluated.\nfew-2: under way, in "
    )
    assert (files(both, "few"), runs(both, "few")) == before
    ended, whole = read(both, "few-2"), read(both, "many")
    assert told(ended) == told(whole)
    assert any(run.end == "pruned" for run in ended.of("search"))
    frames = [compare(name, folder=both / FOLDER).to_frame() for name in ("few-2", "many")]
    timeless = [frame[~frame["metric"].str.startswith("time/")] for frame in frames]
    assert timeless[0].equals(timeless[1])
    taken = [run for run in ended.of("search") if Tags.TAKEN_OVER_FROM in run.tags]
    assert {run.tags[Tags.TRIAL] for run in taken} == {"0", "1", "2", "3"} and len(taken) == 12
    assert {run.tags[Tags.TAKEN_OVER_FROM] for run in taken} == {"few"}
    assert ended.before == ("few",) and ended.run is not None
    asked = {"search.trials": "8", "search.rounds": "2", "evaluation.seeds": "3"}
    assert asked.items() <= ended.run.params.items(), "not those of the sweep before"
    assert all(
        counted(both, run.run_id) == [*range(1, 9)]
        for run in ended.of("gate")
        if run.gate in SEARCHED
    )


def counted(place: Path, run_id: str) -> list[int]:
    """Return at which trials it was counted how a gate's trials have ended."""
    client = open_client(default_uri(place / FOLDER))
    return [one.step for one in client.get_metric_history(run_id, "search/finished")]


def trained_before(place: Path, name: str, stage: str) -> dict[tuple[str, str], str]:
    """Return where the runs of a stage were trained that were not trained in the sweep itself."""
    return {
        (run.name, run.tags[Tags.SEED]): run.tags[Tags.TAKEN_OVER_FROM]
        for run in read(place, name).of(stage)
        if Tags.TAKEN_OVER_FROM in run.tags
    }


def close(one: Any, other: Any) -> bool:
    """Return whether what two sweeps hold is the same, numbers up to single precision's rounding.

    How many models train together decides the last bits of a product.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(
        one == pytest.approx(other, rel=1e-4, abs=1e-6) if isinstance(one, float) else one == other
    )


@pytest.mark.slow
def test_with_more_seeds_and_splits_alone_what_was_evaluated_is_not_trained_again(
    both: Path,
) -> None:
    write_few(both, "seeds", 4, 1, 3)
    gatelab(both, "launch", "seeds.yaml", "evaluation.splits=2")
    before = files(both, "few"), runs(both, "few")
    said = gatelab(both, "resume", "few", "evaluation.seeds=3", "evaluation.splits=2")
    assert "the 2 seeds of the best too; what is missing of 3 seeds on each of 2" in said
    assert (files(both, "few"), runs(both, "few")) == before
    assert said.count("evaluating 1 seed on split 0\n") == 5 and ": trial " not in said
    assert said.count("evaluating 3 seeds on split 1\n") == 5
    assert said.count("evaluating") == 10, "nothing beside these"
    ended, whole = told(read(both, "few-2")), told(read(both, "seeds"))
    assert ended.keys() == whole.keys()
    assert {key for key in ended if not close(ended[key], whole[key])} == set()
    taken = trained_before(both, "few-2", "evaluate")
    assert len(taken) == 5 * 2 and {*taken.values()} == {"few"}


@pytest.mark.slow
def test_stopped_anywhere_it_is_not_there_or_goes_on_to_the_same_end(both: Path) -> None:
    """Taking over ends in a home that is whole, or in none; then it is a sweep as any other."""
    asked = ("resume", "few", "search.trials=8", "evaluation.seeds=3")
    folder, before = both / FOLDER, files(both, "few")
    was = names(folder / "sweeps"), names(folder / "spool"), len(runs(both, "few-2"))

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    moments = [
        (succession, "copy_trials"),
        (succession, "taken_records"),
        (succession.Taken, "mark"),
        (making.shutil, "move"),
        (home.Path, "replace"),
    ]
    for where, what in moments:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, what, interrupt)
            gatelab(both, *asked, code=130)
        left = names(folder / "spool")  # the last leaves one there, which whoever comes next drops
        left -= {"few-2.jsonl"} if what == "replace" else set()
        assert (names(folder / "sweeps"), left, len(runs(both, "few-2"))) == was
    said = gatelab(both, *asked, code=130, most=0)
    assert said.endswith("Stopped. `gatelab resume few-2` goes on where it was.\n")
    said = gatelab(both, *asked, code=2)
    assert said.count("\n") == 1 and "`gatelab resume few-2` goes on with it" in said
    gatelab(both, "resume", "few-2", code=130, most=3)
    gatelab(both, "resume", "few-2", code=130, most=8)
    gatelab(both, "resume", "few-2")
    assert told(read(both, "few-2")) == told(read(both, "many"))
    assert files(both, "few") == before


@pytest.mark.slow
def test_a_kill_while_it_takes_over_leaves_a_draft_that_nobody_sees(both: Path) -> None:
    """Of what a process leaves that is ended by no exception."""
    (both / "killing.py").write_text(KILLING)
    ended = subprocess.run(
        [sys.executable, "killing.py"], cwd=both, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert ended.returncode == -9
    assert len(names(both / FOLDER / "sweeps")) == 3, "a draft beside the two that were there"
    assert "few-2" not in gatelab(both, "status")
    gatelab(both, "resume", "few", "evaluation.seeds=3", code=130, most=0)
    assert "few-2" in gatelab(both, "status")


KILLING = """
import os, signal
from gatelab.sweeps.driver.succession import succession
from tests.in_process import in_this_process
from gatelab import resume

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

succession._with_file = succession.is_trial = kill
with in_this_process():
    resume("few", overrides=["evaluation.seeds=3"])
"""


@pytest.mark.slow
def test_every_repeat_goes_on_and_so_does_what_goes_on(both: Path) -> None:
    """Evaluations are numbered by repeat, split and seed: with more of them by other numbers."""
    write_few(both, "again", 2, 1, 2, ", repeats: 2")
    write_few(both, "whole", 2, 1, 3, ", repeats: 2")
    write_few(both, "longer", 4, 2, 2, ", repeats: 2")
    for name in ("again", "whole", "longer"):
        gatelab(both, "launch", f"{name}.yaml")
    gatelab(both, "resume", "again", "evaluation.seeds=3")
    ended, whole = told(read(both, "again-2")), told(read(both, "whole"))
    assert ended.keys() == whole.keys()
    assert {key for key in ended if not close(ended[key], whole[key])} == set()
    gatelab(both, "resume", "again", "search.trials=4", "--name", "more")
    assert told(read(both, "more")) == told(read(both, "longer"))
    said = gatelab(both, "resume", "again-2", "evaluation.seeds=4", "evaluation.splits=1")
    assert said.startswith("again-3 goes on from again-2, "), "after a 2 that goes on comes a 3"
    assert read(both, "again-3").before == ("again", "again-2")
    seeds = trained_before(both, "again-3", "evaluate")
    assert {*seeds.values()} == {"again", "again-2"}, "where it was trained, not who took it over"
    of_each = [sum(where == name for where in seeds.values()) for name in ("again", "again-2")]
    assert of_each[0] == 2 * of_each[1], "two seeds and one"
    said = gatelab(both, "compare", "again", "again-3", code=2)
    assert said.startswith("gatelab: compare again-3 alone: it goes on from again, so they have")
    said = gatelab(both, "compare", "again-2", "more", code=2)
    assert said.startswith("gatelab: compare one of again-2 and more alone: both go on from again")
    assert "again-3" in gatelab(both, "compare", "again-3", "few")
