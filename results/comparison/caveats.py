"""What a reader must know beside the numbers: sweeps that differ, that still run, runs ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatelab.results.comparison.conditions import Conditions
from gatelab.results.comparison.evidence import agreeing, counts
from gatelab.results.comparison.missing_runs import missing
from gatelab.results.comparison.pooling import repeats_of_one, sweep_titles
from gatelab.results.comparison.tables import listed
from gatelab.tracking.runs import SweepRecord


def warnings(records: Sequence[SweepRecord], under: Sequence[Conditions]) -> tuple[str, ...]:
    """Return what makes sweeps differ, which of them are one, and what was left out.

    Args:
        records: Of the sweeps.
        under: The conditions of each.
    """
    titles = sweep_titles(records)
    groups = [list(group) for group in repeats_of_one(dict(zip(titles, records, strict=True)))]
    by_title = dict(zip(titles, under, strict=True))
    said = [line for record in records for line in record.warnings]
    return (
        *origins(by_title),
        *(pooled_line(group) for group in groups if len(group) > 1),
        *differing({", ".join(group): by_title[group[0]] for group in groups}),
        *notes(under),
        *(line for record in records for line in missing(record)),
        *dict.fromkeys(said),
    )


def partial_line(sweep: Conditions) -> str:
    """Return how far a sweep has come that is still running."""
    planned = sweep.settings.get("search.trials", "")
    repeats = sweep.settings.get("search.repeats", "1")
    ended = total = sweep.trials
    so_far = ""
    if planned.isdecimal() and repeats.isdecimal():
        so_far, total = f"{ended} of ", int(planned) * int(repeats) * sweep.searched
    gates, done = len(sweep.gates), sweep.evaluated
    return (
        f"PARTIAL: {sweep.sweep} is still running, or was stopped: "
        f"{so_far}{counts('trial', [total])} {agreeing('has', 'have', ended, total)} ended, "
        f"{done} of {counts('gate', [gates])} {agreeing('is', 'are', done, gates)} evaluated."
    )


def origins(sweeps: Mapping[str, Conditions]) -> list[str]:
    """Return which sweep a title means where that is not its name."""
    return [
        f"{title} is {sweep.sweep} in {sweep.uri}."
        for title, sweep in sweeps.items()
        if title != sweep.sweep
    ]


def differing(sweeps: Mapping[str, Conditions]) -> list[str]:
    """Return a line for everything in which sweeps, by their titles, differ and should not.

    Of sweeps that are one the first stands for all, which differ in what they are to differ in.
    """
    parts = ("settings", "model", "gates")
    said = [line for part in parts for line in _by_key(sweeps, part)]
    return [*said, *_seeds(sweeps), *_data(sweeps)]


def pooled_line(titles: Sequence[str]) -> str:
    """Return that sweeps are taken as one."""
    return (
        f"{listed(titles)} are pooled: only the seed of their search or their split differs, so "
        "their searches are repeats of one."
    )


def _by_key(sweeps: Mapping[str, Conditions], part: str) -> list[str]:
    """Return a line for each key of a part that has several values."""
    parts: dict[str, Mapping[str, str]] = {k: getattr(s, part) for k, s in sweeps.items()}
    said = []
    for key in dict.fromkeys(key for values in parts.values() for key in values):
        found = {title: values[key] for title, values in parts.items() if key in values}
        if part == "settings":
            found = {title: values.get(key, "not recorded") for title, values in parts.items()}
        if len(set(found.values())) > 1:
            name = f"gate {key!r}" if part == "gates" else key
            said.append(f"{name} differs: {_who(found)}.")
    return said


def _seeds(sweeps: Mapping[str, Conditions]) -> list[str]:
    sets = {title: set(sweep.seeds) for title, sweep in sweeps.items() if sweep.seeds}
    if len({frozenset(seeds) for seeds in sets.values()}) < 2:
        return []
    common = len(set.intersection(*sets.values()))
    counts = _who({title: str(len(seeds)) for title, seeds in sets.items()})
    return [f"evaluation seeds differ: {counts}; {common or 'none'} in common."]


def _data(sweeps: Mapping[str, Conditions]) -> list[str]:
    """Return what is amiss with the data of sweeps on what should be one task."""
    tasks: dict[str, dict[str, str]] = {}
    for title, sweep in sweeps.items():
        key = f"{sweep.task} {dict(sweep.options) or ''}".strip()
        tasks.setdefault(key, {})[title] = sweep.data or "not recorded"
    said = []
    for task, found in tasks.items():
        if len(found) > 1 and (len(set(found.values())) > 1 or "not recorded" in found.values()):
            said.append(f"data of {task} may differ: fingerprint {_who(found)}.")
    return said


def _who(values: Mapping[str, str]) -> str:
    """Return each value with those who have it."""
    by_value: dict[str, list[str]] = {}
    for title, value in values.items():
        by_value.setdefault(value, []).append(title)
    return ", ".join(f"{value} ({', '.join(who)})" for value, who in by_value.items())


def notes(sweeps: Sequence[Conditions]) -> list[str]:
    """Return a line for each sweep with runs of others in its experiment."""
    said = []
    for sweep in (sweep for sweep in sweeps if sweep.ignored):
        runs = "run" if sweep.ignored == 1 else "runs"
        verb = "is" if sweep.ignored == 1 else "are"
        said.append(
            f"{sweep.ignored} {runs} of another program in the experiment of {sweep.sweep} "
            f"{verb} ignored."
        )
    return said
