"""gatelab: which mixture-of-experts gate serves a multi-task problem best, compared fairly.

Everything that a user calls or subclasses is here; the packages below say how it works.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatelab.gates.gate import Gate, Routing, register_gate
    from gatelab.results.comparing import compare, report
    from gatelab.results.comparison.comparison import Comparison
    from gatelab.sweeps.driver.launching import launch, resume
    from gatelab.sweeps.export.export import export
    from gatelab.sweeps.export.predict import predict
    from gatelab.sweeps.spec.reading import load_spec
    from gatelab.sweeps.spec.validating import validate
    from gatelab.tasks.loss import Loss, register_loss
    from gatelab.tasks.metric import Metric, register_metric
    from gatelab.tasks.target import Target
    from gatelab.tasks.task import Network, Split, Task, register_task
    from gatelab.training.learners.learner import Learner, register_learner

__all__ = [
    "Comparison",
    "Gate",
    "Learner",
    "Loss",
    "Metric",
    "Network",
    "Routing",
    "Split",
    "Target",
    "Task",
    "compare",
    "export",
    "launch",
    "load_spec",
    "predict",
    "register_gate",
    "register_learner",
    "register_loss",
    "register_metric",
    "register_task",
    "report",
    "resume",
    "validate",
]

_MODULES = {
    "gatelab.gates.gate": ("Gate", "Routing", "register_gate"),
    "gatelab.results.comparing": ("compare", "report"),
    "gatelab.results.comparison.comparison": ("Comparison",),
    "gatelab.sweeps.driver.launching": ("launch", "resume"),
    "gatelab.sweeps.export.export": ("export",),
    "gatelab.sweeps.export.predict": ("predict",),
    "gatelab.sweeps.spec.reading": ("load_spec",),
    "gatelab.sweeps.spec.validating": ("validate",),
    "gatelab.tasks.loss": ("Loss", "register_loss"),
    "gatelab.tasks.metric": ("Metric", "register_metric"),
    "gatelab.tasks.target": ("Target",),
    "gatelab.tasks.task": ("Network", "Split", "Task", "register_task"),
    "gatelab.training.learners.learner": ("Learner", "register_learner"),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import on first use: a worker that trains needs neither MLflow nor Ray."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_imported(_PLACES[name]), name)


def _imported(module: str) -> ModuleType:
    """Return a module, imported without a word on a notebook's widgets, which Optuna asks for."""
    if module not in sys.modules:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "IProgress not found")
            import_module(module)
    return import_module(module)  # waits where another thread is still importing it


def __dir__() -> list[str]:
    """Return what there is to import, for a shell that completes names."""
    return __all__
