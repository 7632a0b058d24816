"""Sweeps: spec, search, training, evaluation, launching."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.launching import launch, resume
    from sweeps.results.comparing import compare
    from sweeps.spec.load import load_spec

FOLDER = Path("gatelab")
"""Beside the user's work: the store, and a folder for each sweep."""

__all__ = ["compare", "launch", "load_spec", "resume"]

_PLACES = {"compare": "sweeps.results.comparing", "load_spec": "sweeps.spec.load"}


def __getattr__(name: str) -> Any:
    """Import on first use: training needs neither MLflow nor what else launching needs."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, "sweeps.launching")), name)
