"""Mixtures of linear experts by EM, beside a regression and a gate that is trained by gradients.

``python -m benchmarks em [WORLDS]`` prints three tables, each figure a median over so many planted
worlds with the least and the most: what predicts the responses of a brain, what finds its regions,
and what finds the faces of a polyhedron.
"""

from __future__ import annotations

import torch

from benchmarks.em_faces import faces
from benchmarks.em_regions import predictions, regions

WORLDS = 3


def main(worlds: int = WORLDS) -> None:
    """Print the three tables."""
    torch.set_num_threads(1)
    predictions(worlds)
    regions(worlds)
    faces(worlds)
