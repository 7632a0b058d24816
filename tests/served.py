"""Models of tables saved as an export saves them, without a sweep: untrained ones do for cells."""

from __future__ import annotations

from pathlib import Path

import torch

from gatelab.gates.gate import gates
from gatelab.sweeps.export.forms import Tried, save_of_rows
from gatelab.sweeps.export.predictor import Predictor
from gatelab.sweeps.export.raw_graph import RawGraph
from gatelab.tasks import Table
from gatelab.training.model import Model


def model_of(task: Table) -> Model:
    """Make a model of a table from a fixed seed."""
    torch.manual_seed(0)
    return Model(task, gates.get("softmax"), {}, {"num_experts": 2}).eval()


def graph_of(task: Table, *, dense: bool = False) -> RawGraph:
    return RawGraph(Predictor(model_of(task), dense=dense), task.fitted)


def save(task: Table, folder: Path) -> Tried:
    """Save a model of a table for MLflow in a folder that is not there yet."""
    return save_of_rows(task, Predictor(model_of(task)), folder, {"sweep": "none"})
