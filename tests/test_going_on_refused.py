"""What no sweep goes on from, and what none can be asked for, is one line, and nothing is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gatelab.sweeps.driver.launching import resume
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tracking.schema import FOLDER
from tests.gone_on import files, names
from tests.in_process import gatelab

BAD = [
    (["search.trials=9"], "must be in whole rounds of 4, as before, but got 9; nearest: 8, 12."),
    (["search.trials=5"], "must be in whole rounds of 4, as before, but got 5; nearest: 8."),
    (["search.trials=2"], "`trials >= 4` must hold, as so many were searched, but got (trials=2)."),
    (["search.trials=many"], "search.trials: must be an integer, but got 'many'."),
    (["search.trials=true"], "search.trials: must be an integer, but got true."),
    (["search.trials=0"], "search.trials: `trials >= 1` must hold, but got (trials=0)."),
    (["search.trials=-4"], "search.trials: `trials >= 1` must hold, but got (trials=-4)."),
    (["search.trials=null"], "search.trials: must be an integer, but got null."),
    (["search.trials=8000000"], "search.trials: `trials <= 1000000` must hold"),
    (["search.trials=8", "search.trials=12"], "search.trials: is overridden twice"),
    (["search.trials"], "an override must be like search.trials=50, but got 'search.trials'."),
    (["search={trials: 8}"], "search: stays as it was in a sweep that goes on; did you mean"),
    (
        ["search.trails=8"],
        "stays as it was in a sweep that goes on; did you mean 'search.trials' or",
    ),
    (["search.rounds=4"], "search.rounds: stays as it was in a sweep that goes on; "),
    (["training.max_epochs=9"], "stays as it was in a sweep that goes on; valid: "),
    (["evaluation.seeds=2"], "has all of that already: search.trials=4, evaluation.seeds=2, "),
    (["evaluation.seeds=1"], "`seeds >= 2` must hold, as before, but got (seeds=1)."),
    (["evaluation.seeds=2.5"], "evaluation.seeds: must be an integer, but got 2.5."),
    (["evaluation.splits=0"], "evaluation.splits: `splits >= 1` must hold, but got (splits=0)."),
    (["search.hours=1"], "sweep 'few' has all of that already"),
    (["--name", "other"], "sweep 'few' has all of that already"),
    (["evaluation.seeds=3", "--name", "many"], "name: sweep 'many' is there already: "),
    (["evaluation.seeds=3", "--name", "few"], "name: sweep 'few' is there already"),
    (["evaluation.seeds=3", "--name", "a b"], "name: must be letters, digits and `_.-`"),
    (["evaluation.seeds=3", "--redeliver"], "--redeliver is of a resume that asks for no more."),
]


def test_what_cannot_be_asked_for_is_one_line(few_and_many: Path) -> None:
    before = files(few_and_many, "few"), names(few_and_many / FOLDER / "sweeps")
    for words, line in BAD:
        said = gatelab(few_and_many, "resume", "few", *words, code=2)
        assert said.startswith("gatelab: few: ") and said.count("\n") == 1, (words, said)
        assert line in said, (words, said)
    assert (files(few_and_many, "few"), names(few_and_many / FOLDER / "sweeps")) == before


def test_one_text_is_no_list_of_overrides(few_and_many: Path) -> None:
    with pytest.raises(SpecError, match=r"^overrides must be a list of texts, but got 'search"):
        resume("few", overrides="search.trials=8", folder=few_and_many / FOLDER)


def test_a_sweep_that_is_not_there_or_not_over_is_one_line(both: Path) -> None:
    said = gatelab(both, "resume", "fewer", "search.trials=8", code=2)
    assert said == "gatelab: no sweep 'fewer' in gatelab_runs; did you mean 'few'?\n"
    (both / FOLDER / "sweeps" / "few" / "finished").unlink()
    said = gatelab(both, "resume", "few", "search.trials=8", code=2)
    line = "sweep 'few' is stopped: `gatelab resume few` ends it, and then more is taken."
    assert said == f"gatelab: few: {line}\n"
    (both / FOLDER / "sweeps" / "few" / "finished").touch()
    with Home(both / FOLDER, "few").locked():
        said = gatelab(both, "resume", "few", "search.trials=8", code=2)
    assert "sweep 'few' is running: `gatelab status few`" in said and said.count("\n") == 1


def damage(what: str) -> Callable[[Path], object]:
    """Return what spoils a file of the sweep's in a folder."""

    def cut(folder: Path) -> None:
        spool = folder / "spool" / "few.jsonl"
        lines = spool.read_bytes().splitlines(keepends=True)
        place = next(
            i for i, one in enumerate(lines) if b"/softmax/search/2" in one and b"end" in one
        )
        spool.write_bytes(b"".join([*lines[:place], b"{\n", *lines[place + 1 :]]))

    home = Path("sweeps", "few")
    return {
        "a line of the spool": cut,
        "the spool": lambda folder: (folder / "spool" / "few.jsonl").unlink(),
        "the studies": lambda folder: (folder / home / "studies.journal").write_text("{\n"),
        "no studies": lambda folder: (folder / home / "studies.journal").unlink(),
        "the spec": lambda folder: (folder / home / "spec.yaml").unlink(),
        "the places": lambda folder: (folder / home / "places.json").write_text("3"),
        "before": lambda folder: (folder / home / "before.json").write_text("{}"),
    }[what]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a line of the spool", "lacks the records of 1 runs"),
        ("the spool", "lacks the records of"),
        ("the studies", "studies.journal: line 1 is damaged"),
        ("no studies", "studies.journal has no search that is over."),
        ("the spec", "spec.yaml is missing or empty."),
        ("the places", "places.json does not name the places of its record and of its states: put"),
        ("before", "before.json does not name sweeps."),
    ],
)
def test_a_damaged_home_is_one_line_and_nothing_is_made(what: str, line: str, both: Path) -> None:
    damage(what)(both / FOLDER)
    before = names(both / FOLDER / "sweeps")
    said = gatelab(both, "resume", "few", "search.trials=8", code=2)
    assert line in said and said.splitlines()[-1].startswith("gatelab: the home of sweep 'few'")
    assert "under way" not in said
    assert names(both / FOLDER / "sweeps") == before


def test_a_store_that_is_gone_is_told_as_in_any_resume(both: Path) -> None:
    (both / FOLDER / "mlflow.db").unlink()
    said = gatelab(both, "resume", "few", "search.trials=8", code=2)
    assert said.count("\n") == 1 and "which has the record of 'few', is gone: restore it" in said
    assert "few-2" not in names(both / FOLDER / "sweeps")
