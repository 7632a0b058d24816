"""A machine that has torch and this checkout alone: to be imported before gatelab.

What a training imports and a step does not use is stood in for where it is missing.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import types
from pathlib import Path

PACKAGES = ("gates", "tasks", "training")
STOOD_FOR = {
    "optuna.distributions": (
        *("BaseDistribution", "CategoricalDistribution"),
        *("FloatDistribution", "IntDistribution"),
    ),
    "entmax": ("sparsemax", "entmax15"),
}
"""What a machine with a GPU and torch may lack, and what is imported of it."""


TASKS = {
    "gatelab.tasks.tables.table": ("Table",),
    "gatelab.tasks.digits_pairs": ("DigitsPairs",),
    "gatelab.tasks.census_income": ("CensusIncome",),
    "gatelab.tasks.landmine": ("Landmine",),
    "gatelab.tasks.movielens": ("MovieLens1M", "MovieLens100K"),
    "gatelab.tasks.sarcos": ("Sarcos",),
    "gatelab.tasks.school": ("School",),
}
"""Tasks that read files or images by other packages."""


def stand_in() -> None:
    """Make gatelab importable, and stand for what it imports and a step does not use."""
    for name, members in STOOD_FOR.items():
        if importlib.util.find_spec(name.partition(".")[0]) is None:
            _stand(name, members)
    if importlib.util.find_spec("gatelab.gates") is None:  # it is not installed
        _link(Path(__file__).resolve().parent.parent)
    if any(importlib.util.find_spec(name) is None for name in ("pyarrow", "sklearn", "scipy")):
        _stand("gatelab.tasks.tables", ())
        for name, members in TASKS.items():
            _stand(name, members)


def _link(root: Path) -> None:
    """Let ``gatelab`` be a folder of links, as mypy sees it: to itself, and the rooms beside it."""
    links = Path(tempfile.mkdtemp()) / "gatelab"
    links.mkdir()
    for path in [*(root / "gatelab").iterdir(), *(root / name for name in PACKAGES)]:
        (links / path.name).symlink_to(path)
    sys.modules.pop("gatelab", None)
    sys.path.insert(0, str(links.parent))


def _stand(name: str, members: tuple[str, ...]) -> None:
    parent, _, _ = name.partition(".")
    if parent != "gatelab":
        sys.modules.setdefault(parent, types.ModuleType(parent))
    module = types.ModuleType(name)
    for member in members:
        setattr(module, member, type(member, (), {"__init__": lambda self, *a, **k: None}))
    sys.modules[name] = module


stand_in()
