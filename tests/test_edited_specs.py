"""A resume goes on with the spec that was launched: one that was edited since is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.sweeps.home.edits import check_unedited
from gatelab.sweeps.home.home import DamagedHome, Home
from gatelab.sweeps.home.making import make_home
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tracking.schema import FOLDER
from tests.gone_on import files, names, write_few
from tests.in_process import gatelab
from tests.launched import read

SPEC = parse_spec(
    {
        "name": "a",
        "task": {"name": "synthetic_groups", "num_targets": 2},
        "gates": {"top_k": {"k": [1, 2]}, "softmax": None},
    }
)
INSTEAD = "Put it back, or launch that file under another name (`--name`)."


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path, SPEC, None, None)


def edit(home: Path, old: str, new: str) -> None:
    spec = home / "spec.yaml"
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "batch_size: 256",
            "batch_size: 16",
            "training.batch_size: was 256 at the launch, ",
        ),
        ("seed: 0\n", "seed: 1\n", "search.seed: was 0 at the launch, but is 1 in "),
        ("num_targets: 2", "num_targets: 3", "task.num_targets: was 2 at the launch, but is 3 in "),
        ("- 2\n", "- 3\n", "gates.top_k.k: was [1, 2] at the launch, but is [1, 3] in "),
        (
            "  softmax:",
            "  relu:",
            "gates.softmax: was {'gate': 'softmax'} at the ",
        ),
        ("experiment: a", "experiment: b", "experiment: was 'a' at the launch, but is 'b' in "),
        ("name: a\n", "name: b\n", "name: was 'a' at the launch, but is 'b' in "),
        ("hours: null", "hours: 2.0", "search.hours: was null at the launch, but is 2.0 in "),
        ("  patience: 5\n", "", "training.patience: was 5 at the launch, but is left out in "),
    ],
)
def test_what_was_edited_is_told(old: str, new: str, said: str, home: Home) -> None:
    check_unedited(home)
    edit(home.path, old, new)
    with pytest.raises(SpecError) as raised:
        check_unedited(home)
    first, *_ = str(raised.value).splitlines()
    assert first.startswith(said) and first.endswith(f"in {home.path / 'spec.yaml'}. {INSTEAD}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cpus: null", "cpus: 2.0"),
        ("members: null", "members: 3"),
        ("system_metrics: false", "system_metrics: true"),
        ("name: a\n", "# a remark\nname: a\n"),
        ("name: a\n", "name: 'a'\n"),
    ],
)
def test_what_trains_no_other_models_may_be_edited(old: str, new: str, home: Home) -> None:
    edit(home.path, old, new)
    check_unedited(home)


def test_nothing_is_run_that_cannot_be_compared(home: Home) -> None:
    (home.path / "launched.yaml").unlink()
    with pytest.raises(DamagedHome, match=r"damaged: .*launched\.yaml: no such file; "):
        check_unedited(home)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", " is no whole spec."),
        (b"3", " is no whole spec."),
        (b"name: a\ntask: synthetic_groups\n", " is no whole spec."),  # cut off
        (b"name: a\nb: [", ": line 2, column 5: broken YAML: "),
        (b"\xff", ": must be UTF-8 text, but "),
    ],
)
def test_what_is_kept_may_be_damaged(content: bytes, said: str, home: Home) -> None:
    path = home.path / "launched.yaml"
    path.write_bytes(content)
    with pytest.raises(DamagedHome) as raised:
        check_unedited(home)
    assert str(raised.value).startswith(f"the home of sweep 'a' is damaged: {path}{said}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"name: a\nb: [", "line 2, column 5: broken YAML: "),
        (b"\xff", "must be UTF-8 text, but "),
        (b"[1]", "must be a mapping of keys to values, but holds [1]."),
        (None, "unknown key 'later'; "),
    ],
)
def test_a_resume_names_the_file_of_a_broken_spec(
    content: bytes | None, rule: str, home: Home
) -> None:
    """Nor only its sweep, as of a rule that no file breaks."""
    path = home.path / "spec.yaml"
    path.write_bytes(path.read_bytes() + b"later: 1\n" if content is None else content)
    result = CliRunner().invoke(main, ["resume", "a", "--folder", str(home.folder)])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert result.output.startswith(f"gatelab: {path}: {rule}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: a\nb: [", ": line 2, column 5: broken YAML: "),
        (b"\xff", ": must be UTF-8 text, but "),
        (b"name: a", " does not say `search.trials`."),
    ],
)
def test_a_status_says_what_is_wrong_in_a_spec(content: bytes, said: str, home: Home) -> None:
    (home.path / "spec.yaml").write_bytes(content)
    result = CliRunner().invoke(main, ["status", "a", "--folder", str(home.folder)])
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert f"is damaged: {home.path / 'spec.yaml'}{said}" in result.output


@pytest.mark.slow
def test_a_stopped_sweep_goes_on_once_it_is_put_back(place: Path) -> None:
    write_few(place, "few", 4, 1, 2)
    gatelab(place, "launch", "few.yaml", code=130, most=2)
    home, before = place / FOLDER / "sweeps" / "few", files(place, "few")
    edit(home, "batch_size: 32", "batch_size: 8")
    said = gatelab(place, "resume", "few", code=2)
    told = (
        "training.batch_size: was 32 at the launch, but is 8 in gatelab_runs/sweeps/few/spec.yaml"
    )
    assert said == f"gatelab: few: {told}. {INSTEAD}\n"
    edit(home, "batch_size: 8", "batch_size: 32")
    assert {*files(place, "few").values()} >= {*before.values()}, "nothing was written"
    edit(home, "members: null", "members: 2")
    gatelab(place, "resume", "few")
    record = read(place, "few")
    assert record.run is not None and record.run.params["training.batch_size"] == "32"


@pytest.mark.slow
def test_nothing_goes_on_from_a_finished_sweep_that_was_edited(both: Path) -> None:
    edit(both / FOLDER / "sweeps" / "few", "seed: 0\n", "seed: 1\n")
    before = names(both / FOLDER / "sweeps")
    said = gatelab(both, "resume", "few", "search.trials=8", code=2)
    assert said.startswith("gatelab: few: search.seed: was 0 at the launch, but is 1 in ")
    assert said.count("\n") == 1 and names(both / FOLDER / "sweeps") == before


def test_what_is_no_number_is_what_it_was(home: Home) -> None:
    for name in ("spec.yaml", "launched.yaml"):
        with (home.path / name).open("a") as file:
            file.write("x: [.nan, 1]\n")
    check_unedited(home)
