"""A small sweep, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SPEC = """
name: small
task: {name: synthetic_groups, num_targets: 4, train_rows: 256, val_rows: 128, test_rows: 128}
model: {num_experts: 4}
gates: [dselect_k, top_k, softmax]
training: {max_epochs: 6, batch_size: 64}
search: {trials: 4, early_stopping: {grace_epochs: 2, reduction_factor: 2}}
evaluation: {seeds: 3}
"""


def gatelab(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a folder, in a session of its own, its two outputs as one."""
    return subprocess.Popen(
        [sys.executable, "-m", "sweeps", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
