"""Classes that workers cannot import go to them by value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from gatelab.gates.gate import gates
from gatelab.gates.softmax import SoftmaxGate
from gatelab.sweeps.driver.packed_classes import pack_classes
from gatelab.sweeps.spec.given import spec_of
from gatelab.sweeps.spec.spec import SpecError
from gatelab.sweeps.worker.unpacked_classes import unpack_classes
from tests.test_given import CONTENT, Mine, nothing_stays_registered

__all__ = ["nothing_stays_registered"]
READ = """
import sys
from gatelab.gates.gate import gates
from gatelab.sweeps.worker.unpacked_classes import unpack_classes
unpack_classes(open(sys.argv[1], "rb").read())
cls = gates.get(sys.argv[2])
print(cls.__name__, cls(4, 3).num_experts, sys.argv[2].partition(":")[0] in sys.modules)
"""


def other_process(folder: Path, packed: bytes, key: str) -> str:
    (folder / "packed").write_bytes(packed)
    command = [sys.executable, "-c", READ, "packed", key]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_what_workers_find_by_themselves_is_not_sent() -> None:
    assert pack_classes(spec_of(CONTENT)) == b""


def test_a_class_arrives_where_its_module_cannot_be_imported(tmp_path: Path) -> None:
    spec = spec_of({**CONTENT, "gates": [Mine]})
    assert other_process(tmp_path, pack_classes(spec), spec.gates["Mine"].gate) == "Mine 3 False"


def test_a_class_of_the_main_module_arrives(tmp_path: Path) -> None:
    mine = type("Cell", (SoftmaxGate,), {"__module__": "__main__", "__doc__": "Of a cell."})
    gates.register("cell", SoftmaxGate)(mine)
    spec = spec_of({**CONTENT, "gates": ["__main__:cell"]})
    assert other_process(tmp_path, pack_classes(spec), "__main__:cell") == "Cell 3 True"


def test_what_the_spec_does_not_name_stays_here() -> None:
    spec_of({**CONTENT, "gates": [Mine]})
    assert pack_classes(spec_of(CONTENT)) == b""


def test_what_cannot_be_sent_is_one_line() -> None:
    body: Any = {"__module__": "__main__", "held": Lock()}
    with pytest.raises(SpecError) as caught:
        pack_classes(spec_of({**CONTENT, "gates": [type("Holding", (SoftmaxGate,), body)]}))
    assert "gate 'Holding' cannot be sent to the workers: TypeError: cannot pickle" in str(
        caught.value
    )


def test_unpacking_enters_it_anew() -> None:
    packed = pack_classes(spec_of({**CONTENT, "gates": [Mine]}))
    del gates._classes["Mine"]
    unpack_classes(packed)
    assert gates.get(f"{Mine.__module__}:Mine").__name__ == "Mine"
