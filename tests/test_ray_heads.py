"""Ray's own start, which may fail on a busy machine: it is waited for, and tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ray_heads
from tests.ray_heads import NotUp, again, start

RAY = """#!/bin/sh
echo one >> tries
if [ "$(wc -l < tries)" -lt NEEDED ]; then
    echo "The current node timed out during startup."
    exit 1
fi
sleep 0.3  # meanwhile a head's dashboard answers already
touch up
echo "Ray runtime started."
exec sleep 60
"""


def stand_in(folder: Path, needed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a script stand for Ray's, which comes up when it has been started so often."""
    (folder / "ray").write_text(RAY.replace("NEEDED", str(needed)))
    (folder / "ray").chmod(0o700)
    monkeypatch.setattr(ray_heads, "BIN", folder)


@pytest.mark.parametrize("needed", [1, 3])
def test_a_start_is_waited_for_and_tried_again(
    needed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, needed, monkeypatch)
    process = again(lambda: start(["--head"], tmp_path, {}))
    try:
        assert (tmp_path / "up").exists()
        assert (tmp_path / "tries").read_text() == needed * "one\n"
    finally:
        process.kill()
        process.wait()


def test_what_never_comes_up_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, 4, monkeypatch)
    with pytest.raises(NotUp, match="timed out during startup"):
        again(lambda: start(["--head"], tmp_path, {}))
