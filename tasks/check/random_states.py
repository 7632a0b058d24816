"""The global random states of a process: torch's, numpy's and Python's."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def random_states() -> dict[str, bytes]:
    """Return the states by whose they are, to be compared."""
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": pickle.dumps(np.random.get_state()),
        "Python": pickle.dumps(random.getstate()),
    }


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all of them, and put them back afterwards."""
    numpys, pythons = np.random.get_state(), random.getstate()
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` takes a millisecond
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpys)
            random.setstate(pythons)
