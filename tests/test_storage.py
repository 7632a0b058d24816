"""Storage: the same on a disk and in an S3-compatible object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from moto.server import ThreadedMotoServer
from pyarrow import fs

from gatelab.sweeps.cli import main
from gatelab.sweeps.cluster.storage import Storage, inside
from gatelab.sweeps.home.making import make_home
from gatelab.sweeps.spec.reading import load_spec
from tests.launched import SPEC


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Serve an object store, and yield the address of a bucket."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    place = f"?endpoint_override={host}:{port}&scheme=http"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        files, _ = fs.FileSystem.from_uri(f"s3://bucket{place}&allow_bucket_creation=true")
        files.create_dir("bucket")
        yield f"s3://bucket/sweeps{place}"
    server.stop()


@pytest.fixture(params=["disk", "object store"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "disk":
        return Storage(tmp_path / "storage")
    return Storage(inside(request.getfixturevalue("bucket"), tmp_path.name))


def test_what_is_put_is_got_by_another(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"first")
    storage.put(tmp_path / "model.pt", "models/gate.pt")
    (tmp_path / "model.pt").write_bytes(b"second")
    storage.put(tmp_path / "model.pt", "models/gate.pt")
    again = Storage(storage.place)
    assert again.get("models/gate.pt", tmp_path / "got" / "gate.pt")
    assert (tmp_path / "got" / "gate.pt").read_bytes() == b"second"


def test_what_is_not_there(storage: Storage, tmp_path: Path) -> None:
    assert not storage.get("models/other.pt", tmp_path / "got.pt")
    assert not (tmp_path / "got.pt").exists()


def test_a_folder_is_removed_and_nothing_beside_it(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    for name in ("states/one/state", "states/two/state", "states-of-others/state"):
        storage.put(tmp_path / "state", name)
    storage.remove("states")
    storage.remove("never there")
    left = storage.files.get_file_info(fs.FileSelector(storage.root, recursive=True))
    files = [info.path for info in left if info.type == fs.FileType.File]
    assert files == [f"{storage.root}/states-of-others/state"]


def test_a_file_that_cannot_be_read_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.put(tmp_path / "missing.pt", "models/missing.pt")
    assert not storage.get("models/missing.pt", tmp_path / "got.pt")


def test_places_inside_places() -> None:
    assert inside("s3://bucket/a/?scheme=http", "b") == "s3://bucket/a/b?scheme=http"
    assert inside("/mnt/shared", "b") == "/mnt/shared/b"


def test_an_unknown_kind_of_place() -> None:
    with pytest.raises(ValueError, match="ftp"):
        Storage("ftp://host/folder")


SECRET = "hunter2-of-storage"
PLACE = f"s3://AKIAEXAMPLE:{SECRET}@bucket/folder"


def test_a_key_in_the_address_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not repeated."""
    with pytest.raises(ValueError, match="must have no key in it: AWS_ACCESS_KEY_ID") as caught:
        Storage(PLACE)
    assert SECRET not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPEC)
    for command in (["launch", "small.yaml"], ["doctor"]):
        result = CliRunner().invoke(main, [*command, "--storage", PLACE])
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert "must have no key in it" in result.output and SECRET not in result.output
    with pytest.raises(ValueError, match="must have no key"):
        make_home(tmp_path / "gatelab", load_spec(tmp_path / "small.yaml"), "sqlite://", PLACE)
    assert not (tmp_path / "gatelab").exists()


def test_the_file_with_mlflows_address_is_its_users_alone(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SPEC)
    spec = load_spec(tmp_path / "small.yaml")
    home = make_home(tmp_path, spec, "http://me:hunter2@localhost:5000", None)
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and _holds(path)]
    assert holders == [home.path / "places.json"]
    assert holders[0].stat().st_mode & 0o777 == 0o600


def _holds(path: Path) -> bool:
    return b"hunter2" in path.read_bytes()
