"""How many trials train together on a GPU: found when a sweep begins, and kept with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from gatelab.sweeps.cluster.sizing import largest, of_each_gate
from gatelab.sweeps.search.attributes import SEEDS_TOGETHER, TOGETHER
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.searches import Search
from gatelab.sweeps.spec.spec import Spec
from gatelab.sweeps.worker.tried_widths import ToTry, tried_widths
from gatelab.tasks.task import Task
from gatelab.training.jobs import Setting
from gatelab.training.width import MOST_MEMBERS, Pace, width_of

TRYING_SECONDS = 900
"""For the trying, after which a sweep goes on without: a node may have to come first."""


def keep_widths(studies: Mapping[str, Study], width: int) -> None:
    """Keep with each search how many seeds train together in what is evaluated after it.

    So these jobs are the same in a resume, on whatever nodes, and to a sweep that goes on from it.

    Args:
        studies: Every search, by its name.
        width: The sweep's default, of a search of which nothing was found.
    """
    for study in studies.values():
        if SEEDS_TOGETHER not in study.attributes:
            study.mark(**{SEEDS_TOGETHER: study.attributes.get(TOGETHER, width)})


def find_widths(
    spec: Spec,
    task: Task,
    setting: Setting,
    studies: Mapping[str, Study],
    say: Callable[[str], None],
) -> None:
    """Try how many members of each gate are worth training together, and keep it with its searches.

    What was found before a stop stays. Where nothing is found the sweep's default holds.

    Args:
        spec: The sweep's.
        task: Its task.
        setting: What its jobs have in common.
        studies: Every search, by its name.
        say: Is told of it, in a line.
    """
    searches = _open(spec, studies)
    if not searches:
        return
    gpus = max(1, _gpus(setting) // sum(map(len, searches.values())))
    trials = of_each_gate(searches, lambda label: _trial(spec, label, task, searches[label], gpus))
    found, why = _ask(setting, trials)
    widths = {label: width_of(tried) for label, (tried, _) in found.items() if tried}
    for name, study in studies.items():
        if (label := Search.of(name).label) in widths:
            study.mark(**{TOGETHER: widths[label]})
    for line in _said(trials, found, widths, why):
        say(line)


def _open(spec: Spec, studies: Mapping[str, Study]) -> dict[str, list[Study]]:
    """Return the searches of each gate that are not over, of which nothing is known yet."""
    found: dict[str, list[Study]] = {}
    for name, study in studies.items():
        label = Search.of(name).label
        if TOGETHER not in study.attributes and not study.over(spec.search.trials):
            found.setdefault(label, []).append(study)
    return found


def _gpus(setting: Setting) -> int:
    """Return on how many GPUs jobs run at once: those that share one gain nothing by it."""
    from gatelab.sweeps.cluster.slots import slots  # here: Ray takes a second to import

    return slots(setting.cpus, max(1.0, setting.gpus))


def _trial(spec: Spec, label: str, task: Task, studies: list[Study], gpus: int) -> ToTry:
    """Return what is tried of a gate: its largest model, as often as a round could train it.

    On several GPUs only as often as on each of them, so that none has nothing to do.
    """
    models = max(study.rounds.size for study in studies) * spec.search.seeds
    most = 1 << (math.ceil(models / gpus) - 1).bit_length()
    configuration, _ = largest(spec, label, task)
    return ToTry(spec.gates[label].gate, configuration, min(most, MOST_MEMBERS))


def _ask(
    setting: Setting, trials: Mapping[str, ToTry]
) -> tuple[Mapping[str, tuple[list[Pace], str]], str]:
    """Return what was found of each gate where a job would run, or why nobody has tried."""
    from gatelab.sweeps.cluster.nodes import ask_where  # here: Ray takes a second to import

    needs = (setting.cpus, setting.gpus)
    found, why = ask_where(needs, tried_widths, setting, trials, seconds=TRYING_SECONDS)
    return found or {}, why


def _said(
    trials: Mapping[str, ToTry],
    found: Mapping[str, tuple[list[Pace], str]],
    widths: Mapping[str, int],
    why: str,
) -> list[str]:
    told = ", ".join(f"{width} of {label}" for label, width in widths.items())
    fixed = "`resources: {members: ...}` says how many instead"
    lines = [f"models that train together, as tried here: {told}; {fixed}"] if told else []
    reasons = {label: found[label][1] if label in found else why for label in trials}
    return lines + [
        f"how many models of {label} are worth training together was not found: {reason}"
        for label, reason in reasons.items()
        if label not in widths
    ]
