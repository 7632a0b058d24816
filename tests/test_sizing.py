"""What a job gets where its spec leaves it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gatelab.sweeps.cluster.nodes import Node
from gatelab.sweeps.cluster.sizing import (
    CONTEXT_BYTES,
    GPU_BYTES,
    Needs,
    gpu_share,
    job_bytes,
    needs,
)
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task
from tests.in_process import modules_of
from tests.test_training import Pictures

ROWS, FEATURES = 64, 32
RAISING = '''
from gatelab.gates import SoftmaxGate, register_gate

@register_gate("unmade")
class Unmade(SoftmaxGate):
    """Raises where it is made for the second target."""
    def place(self, target, num_targets):
        if target == 1:
            raise RuntimeError("no second target")

@register_gate("raising")
class Raising(SoftmaxGate):
    """Looks where nothing is."""
    def forward(self, x):
        return self.nothing
'''


def spec(**more: Any) -> Spec:
    options = {"train_rows": ROWS, "val_rows": 32, "test_rows": 32, "num_targets": 2}
    plain = {
        "name": "s",
        "task": {"name": "synthetic_groups", **options},
        "model": {"num_experts": 4},
        "gates": ["softmax"],
        "evaluation": {"seeds": 1},
        **more,
    }
    return parse_spec(plain)


def made(**more: Any) -> tuple[Spec, Task]:
    found = spec(**more)
    return found, make_task(found)


def node(cpus: float, gpus: float = 0) -> Node:
    return Node(id="0", name="n", cpus=cpus, gpus=gpus, head=False)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param([node(2)], Needs(1, 0, 4), id="no GPU"),
        pytest.param([node(0.5)], Needs(0.5, 0, 4), id="half a CPU"),
        pytest.param([node(16), node(8, 1)], Needs(1, 1 / 8, 32), id="eight on a GPU"),
        pytest.param([node(4, 1)], Needs(0.5, 1 / 8, 32), id="fewer CPUs than jobs"),
        pytest.param([node(96, 8), node(4, 1)], Needs(0.5, 1 / 8, 32), id="the node with fewest"),
        pytest.param([node(0, 1)], Needs(0, 1 / 8, 32), id="no CPU"),
    ],
)
def test_what_the_nodes_have_is_shared(nodes: list[Node], expected: Needs) -> None:
    assert needs(*made(), nodes) == expected


def test_what_a_spec_says_stays() -> None:
    nodes = [node(4, 1)]
    assert needs(*made(resources={"cpus": 3, "gpus": 1}), nodes) == Needs(3, 1, 32)
    assert needs(*made(resources={"gpus": 0}), nodes) == Needs(1, 0, 4)
    assert needs(*made(resources={"gpus": 0.5}), nodes) == Needs(1, 0.5, 32)
    assert needs(*made(resources={"cpus": 2}), nodes) == Needs(2, 1 / 8, 32)


def test_models_with_convolutions_train_alone_on_a_cpu() -> None:
    """They are called one by one there, and the parts of a round use as many CPUs as there are."""
    pictures = Pictures()
    assert needs(spec(), pictures, [node(2)]).members == 1
    assert needs(spec(), pictures, [node(2, 1)]).members == 32
    assert needs(spec(resources={"members": 3}), pictures, [node(2)]).members == 3


def test_a_gate_that_raises_takes_nothing_and_stops_no_other(tmp_path: Path) -> None:
    """A rehearsal says that its trials will fail; beside it jobs are what they are without it."""
    (tmp_path / "mine.py").write_text(RAISING)
    more = {"task": {**spec().task.model_dump(), "num_targets": 3}}
    raising = ["mine:unmade", "mine:raising"]
    with modules_of(tmp_path):
        for nodes in ([node(2)], [node(4, 1)]):
            alone = needs(*made(**more), nodes)
            assert needs(*made(gates=[*raising, "softmax"], **more), nodes) == alone
            assert needs(*made(gates=raising, **more), nodes) == alone
        beside = own(gates=[*raising, "softmax"], **more)
        assert beside == own(**more) > own(gates=raising, **more)


def test_a_larger_job_gets_more_of_a_gpu() -> None:
    sizes = (1, GPU_BYTES // 8, GPU_BYTES // 8 + 1, GPU_BYTES // 2, GPU_BYTES, 5 * GPU_BYTES)
    assert [gpu_share(size) for size in sizes] == [1 / 8, 1 / 8, 1 / 4, 1 / 2, 1, 1]


def own(**more: Any) -> int:
    """Return a job's bytes without those that every process takes."""
    return job_bytes(*made(**more)) - CONTEXT_BYTES


def test_a_member_of_copies_is_as_many_models() -> None:
    """Without the data and the process's own, it is in proportion."""
    found = []
    for learner in ("joint", "gossip"):
        one, task = made(gates={"one": {"gate": "softmax", "learner": learner}})
        inputs = sum(t.nbytes for n in ("train", "val") for t in task.data(n) if t is not None)
        found.append(job_bytes(one, task) - CONTEXT_BYTES - inputs)
    assert found[1] == len(task.targets) * found[0]


def test_inner_steps_are_kept_for_the_way_back() -> None:
    """Half a batch each, forward and back: (1 + 3 N) / 2 passes, where the gradient goes there."""
    steps = {
        "joint": 1,
        "{name: anil, inner_steps: 0}": 1,
        "{name: anil, inner_steps: 5}": 8,
        "{name: anil, inner_steps: [1, 5]}": 8,
        "{name: anil, inner_steps: 5, first_order: true}": 1,
    }
    found = []
    for said in steps:
        learner = yaml.safe_load(said)
        one, task = made(gates={"one": {"gate": "softmax", "learner": learner}})
        found.append(job_bytes(one, task))
    kept = (found[2] - found[0]) / 7
    expected = [found[0] + (passes - 1) * kept for passes in steps.values()]
    assert kept > 0 and found == pytest.approx(expected, rel=1e-9)


def test_a_job_grows_with_what_it_holds() -> None:
    """Members and experts multiply it, rows of a batch what is kept for the backward pass."""
    alone = {"members": 1}
    assert own(evaluation={"seeds": 6}, resources=alone) == own(resources=alone), "six jobs"
    assert own(resources={"members": 6}) > 4 * own(resources=alone)
    assert own(search={"seeds": 6}, resources=alone) > 4 * own(resources=alone)
    assert own(model={"num_experts": 64}) > 4 * own()
    assert own(model={"num_experts": [4, 64]}) == own(model={"num_experts": 64})
    assert own(training={"batch_size": 64}) > own(training={"batch_size": 8})
