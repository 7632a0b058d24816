"""A sweep that goes on from one with a limit of time, a storage elsewhere, or code of before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gatelab.sweeps.home.home import Home
from gatelab.tracking.schema import FOLDER, Tags
from tests.gone_on import SPEC, told, write_few
from tests.in_process import gatelab
from tests.launched import MODULE, read


@pytest.mark.slow
def test_what_a_limit_of_time_has_cut_goes_on(place: Path) -> None:
    """It had half of its trials, and what goes on has as many unless it is told otherwise."""
    write_few(place, "cut", 4, 2, 2, ", hours: 1.0e-6")
    write_few(place, "whole", 4, 2, 2)
    gatelab(place, "launch", "cut.yaml")
    gatelab(place, "launch", "whole.yaml")
    said = gatelab(place, "resume", "cut", "evaluation.seeds=3")
    assert "2 trials of every gate are taken over, the 2 seeds of the best too;" in said
    assert Home(place / FOLDER, "cut-2").spec.search.trials == 2
    said = gatelab(place, "resume", "cut", "search.trials=4", "search.hours=null", "--name", "more")
    assert "2 trials of every gate are taken over, 2 more are searched;" in said
    assert told(read(place, "more")) == told(read(place, "whole"))


@pytest.mark.slow
def test_where_the_time_is_over_at_once_one_round_is_made_of_its_own(place: Path) -> None:
    write_few(place, "cut", 4, 2, 2, ", hours: 1.0e-6")
    gatelab(place, "launch", "cut.yaml")
    said = gatelab(place, "resume", "cut", "search.trials=8", code=130, most=1)
    assert "2 trials of every gate are taken over, 6 more are searched" in said
    said = gatelab(place, "resume", "cut-2")
    assert "the search ended, with 4 of 8 trials of every gate." in said
    for label in ("top_k", "softmax", "relu"):
        trials = read(place, "cut-2").of("search", label)
        taken = [run.tags[Tags.TRIAL] for run in trials if Tags.TAKEN_OVER_FROM in run.tags]
        assert (len(trials), sorted(taken)) == (4, ["0", "1"]), label


@pytest.mark.slow
def test_models_lie_where_the_storage_is_and_the_best_of_all_seeds_is_kept(place: Path) -> None:
    storage = place / "elsewhere"
    write_few(place, "far", 4, 1, 2)
    write_few(place, "near", 4, 1, 4)
    gatelab(place, "launch", "far.yaml", "--storage", str(storage))
    gatelab(place, "launch", "near.yaml")
    gatelab(place, "resume", "far", "evaluation.seeds=4")
    assert Home(place / FOLDER, "far-2").storage.place == str(storage / "far-2")
    parts = {path.name for path in (storage / "far-2" / "models").iterdir()}
    assert {"relu-0.pt", "relu-2.pt"} <= parts, "of those taken over, and of the others"
    for label in ("top_k", "softmax", "relu"):
        seeds = [
            torch.load(place / FOLDER / "sweeps" / name / "files" / label / f"{label}.pt")["seed"]
            for name in ("far-2", "near")
        ]
        assert seeds[0] == seeds[1], label
        weights = place / FOLDER / "sweeps" / "far-2" / "files" / label / "weights.csv"
        assert len({line.split(",")[0] for line in weights.read_text().splitlines()[1:]}) == 4


@pytest.mark.slow
def test_code_that_has_changed_is_told_as_in_any_resume(place: Path) -> None:
    (place / "mine.py").write_text(MODULE)
    text = SPEC.replace("NAME", "own").replace("TRIALS", "2").replace("ROUNDS", "1")
    text = text.replace("SEEDS", "2").replace("constant: null", 'mean: {gate: "mine:mean"}')
    (place / "own.yaml").write_text(text)
    gatelab(place, "launch", "own.yaml")
    (place / "mine.py").write_text(MODULE + "CHANGED = True\n")
    said = gatelab(place, "resume", "own", "evaluation.seeds=3")
    assert said.count("warning: resumed with other code or data: code.mine was ") == 1
    record = read(place, "own-2")
    assert any("code.mine was" in line for line in record.warnings)
    taken = {
        Tags.TAKEN_OVER_FROM in run.tags: run.tags["code.mine"] for run in record.of("evaluate")
    }
    assert taken[True] != taken[False], "each run says which code ran it"
    (place / "mine.py").unlink()
    said = gatelab(place, "resume", "own", "evaluation.seeds=4", code=2)
    assert said.count("\n") == 1 and "mine" in said


@pytest.mark.slow
def test_a_sweep_of_which_an_evaluation_failed_goes_on(both: Path) -> None:
    """More trials may select what can be evaluated."""
    home = both / FOLDER / "sweeps" / "few"
    (home / "finished").rename(home / "incomplete")
    gatelab(both, "resume", "few", "search.trials=8", code=130, most=0)
    assert (home / "incomplete").exists()
