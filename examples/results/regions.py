"""Prints what share of voxels and test words the kept models of a sweep have in their region.

Of brain_encoding alone; the sweep's name is the argument, its record in the working directory.
"""

import sys
from pathlib import Path

import torch

from gatelab.gates import gates
from gatelab.sweeps.export.selected import read_selected
from gatelab.tasks.encoding import region_recovery, spatial_accuracy
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.sqlite import default_uri

folder = Path("gatelab_runs")
record = read_sweep(default_uri(folder), sys.argv[1])
print("| gate | voxels in their region | chance | test words | chance |")
print("| --- | ---: | ---: | ---: | ---: |")
for label in record.gates:
    if not gates.get(record.of("gate", label)[0].params["gate"]).trained:
        continue
    selected = read_selected(record, label, folder)
    (model,), brain = selected.models, selected.task.brain
    words = selected.task.data("test").inputs
    sides = words.double().numpy() @ brain.directions.T > 0
    with torch.no_grad():
        weights = model.eval()(words).routing.weights[0].numpy()
    maps = model.mixture.experts.tensors()["weight"].detach().mT.numpy()
    found = [
        *spatial_accuracy(maps, brain.regions_of_voxels),
        *region_recovery(weights, sides @ (1 << torch.arange(sides.shape[1]).numpy())),
    ]
    print(f"| {label} | {' | '.join(f'{share:.2f}' for share in found)} |")
