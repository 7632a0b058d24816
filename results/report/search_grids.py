"""The tables of a report's page on the search: budgets, what was selected, what tuning bought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.budgets import Budget
from gatelab.results.comparison.tables import Grid
from gatelab.results.comparison.tuning import tuning, tuning_grid
from gatelab.tracking.runs import RunRecord, SweepRecord

EQUALS = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"
PARTS = {"gate.": "of the gate", "optimizer.": "of the optimiser", "model.": "of the model"}
OPTIONAL = {"training.": "of the training", "learner.": "of the learner"}
"""What only configurations with a schedule, a warm-up or clipping have, or a learner of options."""


def budget_grid(comparison: Comparison) -> Grid:
    """Return what became of every gate's search and evaluation, and why trials failed."""
    rows = [
        [
            comparison.subject(budget.gate).label,
            *(_counts(budget) if budget.searched else ["-"] * 5),
            str(budget.evaluated),
            _wrong(budget),
        ]
        for budget in comparison.budgets
    ]
    runs = "seeds" if comparison.unit == "seed" else "evaluations"
    rows_said = " At k = ...: those of its gate's trials that had this k."
    rows_said = rows_said if comparison.of_role("row") else ""
    return Grid(
        "Budget of the search",
        ("gate", "trials", "finished", "pruned", "failed", "epochs", runs, "what went wrong"),
        rows,
        "Every gate has the same budget; pruned and failed trials count against it. Epochs: those "
        f"that all trials trained. {runs.capitalize()}: those that finished.{rows_said}",
    )


def _counts(budget: Budget) -> list[str]:
    ends = map(str, (budget.trials, budget.finished, budget.pruned, budget.failed))
    return [*ends, "-" if budget.epochs is None else str(budget.epochs)]


def _wrong(budget: Budget) -> str:
    """Return why trials failed, the most frequent reason first, and why seeds are missing."""
    reasons = sorted(budget.reasons.items(), key=lambda item: -item[1])
    said = [f"{count} × {why or 'unknown'}" for why, count in reasons]
    if budget.note and not any(why and why in budget.note for why in budget.reasons):
        said.append(budget.note)
    return "; ".join(said) or "nothing"


def selected_grids(comparison: Comparison, record: SweepRecord) -> list[Grid]:
    """Return the configuration of every gate that was evaluated: one for each of its searches."""
    found = {
        _named(comparison, gate, repeat): values
        for gate in comparison.gates
        for repeat, values in selected_configurations(record, gate).items()
    }
    names = {name for values in found.values() for name in values}
    said = {p: of for p, of in OPTIONAL.items() if any(name.startswith(p) for name in names)}
    parts = PARTS | said
    rows = [[name, *(settings_text(v, part) for part in parts)] for name, v in found.items()]
    caption = "What the search selected, or the spec fixed, and the evaluation trained afresh."
    return [Grid("Selected configurations", ("gate", *parts.values()), rows, caption)][: len(rows)]


def _named(comparison: Comparison, gate: str, repeat: str) -> str:
    label = comparison.subject(gate).label
    return label if comparison.repeats == 1 else f"{label}, repeat {repeat}"


def selected_configurations(record: SweepRecord, gate: str) -> dict[str, dict[str, str]]:
    """Return the hyperparameters with which a gate was evaluated, by repeat of its search.

    A gate's own run has those of one repeat, and does not say of which.
    """
    evaluated = _by_repeat(record.of("evaluate", gate))
    return evaluated or _by_repeat(record.of("gate", gate))


def _by_repeat(runs: Sequence[RunRecord]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for run in runs:
        if run.configuration:
            found.setdefault(run.repeat, run.configuration)
    return found


def tuning_grids(record: SweepRecord) -> list[Grid]:
    """Return what each search gained on the gate's default configuration."""
    found = tuning([record])
    return [tuning_grid(found)] if found else []


def settings_text(values: Mapping[str, str], part: str) -> str:
    """Return what begins with a part of the spec, without it."""
    found = {n.removeprefix(part): v for n, v in values.items() if n.startswith(part)}
    return ", ".join(f"{name}{EQUALS}{_short(value)}" for name, value in found.items()) or "-"


def _short(value: str) -> str:
    """Return a real number with four digits, anything else as it is."""
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.4g}"
    except ValueError:
        return value
