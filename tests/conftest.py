"""Set before any test."""

from __future__ import annotations

import torch

# Tests run side by side, one a core, and models of tests gain nothing from more threads.
torch.set_num_threads(1)
