"""Checks of a cluster's nodes: each asks all of them, and says what was found and the mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from gatelab.sweeps.cluster import probes
from gatelab.sweeps.cluster.nodes import Node, ask, ask_each
from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.spec.spec import Spec
from gatelab.tracking.masking import masked

SECONDS = 120
"""For the answer to most questions; a node's first one starts a process there."""
DATA_SECONDS = 600
"""For a task's data, which every node makes or reads."""
MOST_NAMED = 3
"""Nodes that a line names."""


@dataclass(frozen=True)
class NodeCheck:
    """Something that was looked at."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    """What to do where it is not ok, unless what was found says it."""
    path: str = ""
    """What it concerns in a spec."""

    @property
    def line(self) -> str:
        """What was found, and the mend."""
        return self.found if self.ok or not self.mend else f"{self.found}; {self.mend}."


def check_versions(found: Sequence[Node], launching: Mapping[str, str] | None) -> NodeCheck:
    """Check that all nodes, and the machine that launches, have the same versions."""
    answers = ask(found, probes.versions, seconds=SECONDS)
    if answers.failures:
        return NodeCheck("versions", False, _failed(answers.failures), "install gatelab there")
    places = {f"node {name}": table for name, table in answers.values.items()}
    if launching is not None:
        places["the machine that launches"] = dict(launching)
    packages = list(dict.fromkeys(name for table in places.values() for name in table))
    values = {p: {place: _public(p, places[place].get(p)) for place in places} for p in packages}
    differing = [
        f"{p} is {_grouped(values[p])}" for p in packages if len({*values[p].values()}) > 1
    ]
    if differing:
        mend = "install the versions of one constraints.txt everywhere"
        return NodeCheck("versions", False, "; ".join(differing), mend)
    same = [f"{p} {next(iter(values[p].values()))}" for p in packages]
    return NodeCheck("versions", True, f"{', '.join(same)} everywhere")


def _public(package: str, version: str | None) -> str:
    """Return what must be the same: not how torch was built, not Python's patch level."""
    if version is None:
        return "missing"
    return version.rpartition(".")[0] if package == "python" else version.partition("+")[0]


def check_gpus(found: Sequence[Node]) -> NodeCheck:
    """Check that torch sees the GPUs that Ray hands out."""
    having = [node for node in found if node.gpus]
    answers = ask(having, probes.gpus, seconds=SECONDS)
    if answers.failures:
        return NodeCheck("gpus", False, _failed(answers.failures), "start Ray there again")
    blind = [node for node in having if answers.values[node.name] < node.gpus]
    if blind:
        seen = [
            f"node {node.name} has {node.gpus:g} for Ray and {answers.values[node.name]} for torch"
            for node in blind
        ]
        mend = "install a CUDA build of torch there that fits its driver"
        return NodeCheck("gpus", False, "; ".join(seen), mend)
    return NodeCheck(
        "gpus", True, _grouped({f"node {node.name}": f"{node.gpus:g}" for node in found})
    )


def check_resources(found: Sequence[Node], needs: Needs) -> NodeCheck:
    """Check that some node has what one trial occupies."""
    for kind in ("gpus", "cpus"):
        need, have = getattr(needs, kind), {f"node {n.name}": getattr(n, kind) for n in found}
        if need > (most := max(have.values())):
            has = _grouped({name: f"{value:g}" for name, value in have.items()})
            return NodeCheck(
                kind,
                False,
                f"`{kind} <= {most:g}` must hold, what one node has ({has}), "
                f"but got ({kind}={need:g})",
                "lower it, or add a node" if most or kind == "gpus" else "add a node that has some",
                f"resources.{kind}",
            )
    fits = [node.name for node in found if node.cpus >= needs.cpus and node.gpus >= needs.gpus]
    if not fits:
        both = f"(cpus={needs.cpus:g}, gpus={needs.gpus:g})"
        return NodeCheck("resources", False, f"no node has {both}", "lower one", "resources")
    return NodeCheck("resources", True, f"nodes where a trial fits: {len(fits)} of {len(found)}")


def check_names(found: Sequence[Node], spec: Spec) -> NodeCheck:
    """Check that every node finds the gates, the task, the metrics and the learners of a spec."""
    keys = [gate.gate for gate in spec.gates.values()]
    learning = list(dict.fromkeys(gate.learner.name for gate in spec.gates.values()))
    metrics = spec.metrics or ()
    named = (keys, spec.task.name, metrics, learning)
    answers = ask(found, probes.import_keys, *named, seconds=SECONDS)
    if answers.failures:
        mend = "install its package on every node, or launch from where its module is"
        return NodeCheck("gates and task", False, _failed(answers.failures), mend)
    return NodeCheck(
        "gates and task", True, f"found on every node: {', '.join(keys)}, {spec.task.name}"
    )


def check_plug_ins(found: Sequence[Node]) -> NodeCheck:
    """Check that what installed packages enter can be loaded on every node."""
    answers = ask(found, probes.broken_plug_ins, seconds=SECONDS)
    broken = {name: "; ".join(lines) for name, lines in answers.values.items() if lines}
    failures = {**answers.failures, **broken}
    if failures:
        mend = "mend or remove the package there"
        return NodeCheck("plug-ins", False, _failed(failures), mend)
    return NodeCheck("plug-ins", True, "all that are installed can be loaded")


def check_same_data(found: Sequence[Node], spec: Spec) -> NodeCheck:
    """Check that every node has the same data."""
    mend = "put the same files in the same place on every node"
    answers = ask(found, probes.data, spec.task.name, spec.task.options, seconds=DATA_SECONDS)
    if answers.failures:
        return NodeCheck("data", False, _failed(answers.failures), mend, "task")
    if len({*answers.values.values()}) > 1:
        which = _grouped({f"node {name}": print for name, print in answers.values.items()})
        return NodeCheck(
            "data", False, f"the data are not the same: fingerprint {which}", mend, "task"
        )
    return NodeCheck(
        "data", True, f"the same on every node: fingerprint {next(iter(answers.values.values()))}"
    )


def check_storage(found: Sequence[Node], storage: str) -> NodeCheck:
    """Check that what one node writes is read by another."""
    probe, place = f"probe-{uuid4().hex[:12]}", masked(storage)
    files = {node: f"{probe}/{node.id}" for node in found}
    writes = {node: (probes.write, storage, file, node.id) for node, file in files.items()}
    readers = dict(zip(found, [*found[1:], found[0]], strict=True))
    written = ask_each(writes, seconds=SECONDS)
    try:
        reads = {r: (probes.read, storage, files[node]) for node, r in readers.items()}
        got = ask_each(reads, seconds=SECONDS) if not written.failures else written
    finally:
        for node in found:  # in turn: only the last finds the folders empty that it made
            if node.name in written.values:
                made = written.values[node.name]
                ask([node], probes.clean, storage, probe, made, seconds=SECONDS)
    mend = "--storage or GATELAB_STORAGE must be s3:// or a path that all nodes share"
    if got.failures:
        return NodeCheck("storage", False, f"{place} cannot be used: {_failed(got.failures)}", mend)
    for node, reader in readers.items():
        if got.values[reader.name] != node.id:
            why = f"{place}: node {reader.name} does not find what node {node.name} wrote"
            return NodeCheck("storage", False, why, mend)
    return NodeCheck("storage", True, f"{place}, written and read by every node")


def _failed(failures: Mapping[str, str]) -> str:
    """Return which nodes failed and why, those of one reason together."""
    why = {f"node {name}": reason for name, reason in failures.items()}
    return "; ".join(f"{places}: {reason}" for reason, places in _places(why).items())


def _grouped(values: Mapping[str, str]) -> str:
    return ", ".join(f"{value} on {places}" for value, places in _places(values).items())


def _places(values: Mapping[str, str]) -> dict[str, str]:
    """Return the places of each value; of many the first only."""
    found: dict[str, list[str]] = {}
    for place, value in values.items():
        found.setdefault(value, []).append(place)
    return {
        value: ", ".join(places[:MOST_NAMED])
        + (f" and {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else "")
        for value, places in found.items()
    }
