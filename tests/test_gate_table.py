"""The table of all gates in the documentation is what the registry says of them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from gatelab.gates import Gate, Planted, Role, gates, make_gate

PAGE = Path(__file__).parent.parent / "docs" / "gates.md"
HEAD = ("gate", "role", "weights", "exact zeros", "`k`", "searched by default", "source")
OURS = [n for n in gates.names() if gates.get(n).__module__.startswith("gatelab.gates.")]
TWO_REGIMES = Planted((frozenset({0}), frozenset({1})), ((1.0, 0.0, 0.0),))
X = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))


def made(cls: type[Gate], **options: Any) -> Gate:
    """Make the second of three targets' gate, for eight experts."""
    torch.manual_seed(0)
    gate = make_gate(cls, 3, 8, target=1, num_targets=3, **options)
    gate.reveal(TWO_REGIMES)
    return gate.eval()


def weights(cls: type[Gate], **options: Any) -> torch.Tensor:
    found: torch.Tensor = made(cls, **options)(X).weights.detach()
    return found


def defaults(cls: type[Gate]) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def read(cls: type[Gate]) -> str:
    """Return whether rows have weights of their own, or which hyperparameter says so."""

    def alike(**options: Any) -> bool:
        found = weights(cls, **options)
        return bool((found == found[0]).all())

    if "static" not in defaults(cls):
        return "static" if alike() else "per example"
    assert alike(static=True) and not alike(static=False)
    return "per example, or `static`"


def zeros(cls: type[Gate]) -> str:
    """Return whether weights are exactly 0: with the defaults, or by what else."""
    if cls.hardens:
        return "in time"
    if (weights(cls) == 0).any():
        return "yes"
    flags = [name for name, value in defaults(cls).items() if value is False]
    by = [f"with `{name}`" for name in flags if (weights(cls, **{name: True}) == 0).any()]
    return ", ".join(by) or "no"


def stated(cls: type[Gate]) -> str:
    """Return the k that a gate states, or the hyperparameters that it follows from."""
    before, by = made(cls).k, []
    for name, value in defaults(cls).items():
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else 0
        if isinstance(value, int) and made(cls, **{name: other}).k != before:
            by.append(f"`{name}`")
    return ", ".join(by) or (str(before) if before is not None else "no")


def searched(cls: type[Gate]) -> str:
    return ", ".join(f"`{name}`" for name in cls.search_space) or "-"


def source(cls: type[Gate]) -> str:
    """Return the authors of what the docstring names first, with where and when it appeared."""
    text = " ".join((inspect.getdoc(cls) or "").partition("Source: ")[2].split())
    authors = re.match(r"\w+(?:, \w+)*(?: et al\.| and \w+)|\w+", text)
    if authors is None:
        return "-"
    parts = re.split(r", |: |\.$", text[authors.end() :])
    return f"{authors[0]}, {[part for part in parts if re.search(r'[0-9]{4}$', part)][0]}"


def line(name: str) -> str:
    cls = gates.get(name)
    facts = (read(cls), zeros(cls), stated(cls), searched(cls), source(cls))
    return f"| {' | '.join((f'`{name}`', cls.role, *facts))} |"


def rows() -> list[str]:
    """Return the table's lines: gates, then baselines and ceilings, each by name."""
    order = sorted(OURS, key=lambda n: (get_args(Role).index(gates.get(n).role), n))
    return [f"| {' | '.join(HEAD)} |", "|" + " --- |" * len(HEAD), *[line(n) for n in order]]


def test_the_table_is_that_of_the_registry() -> None:
    """To write it anew: `python -m tests.test_gate_table`."""
    found = PAGE.read_text().partition("\n\n## All gates")[2].split("\n\n")
    assert [block for block in found if block.startswith("| gate")][0].splitlines() == rows()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Caruana, Multitask Learning, Machine Learning 1997.", "Caruana, Machine Learning 1997"),
        ("Ma et al., Title, with 1 comma: more, KDD 2018, eq. 6: g = 2", "Ma et al., KDD 2018"),
        ("A, B and C, Title, X 2017, and D, E and F, Other, Y 2018: z.", "A, B and C, X 2017"),
        ("Wang et al., Title, 2024, with 3 scores.", "Wang et al., 2024"),
    ],
)
def test_a_source_in_few_words(text: str, expected: str) -> None:
    cls = type("Cited", (Gate,), {"__doc__": f"One line.\n\nSource: {text}\n"})
    assert source(cls) == expected


if __name__ == "__main__":
    print("\n".join(rows()))
