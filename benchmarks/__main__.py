"""``python -m benchmarks [NAME ...]`` runs all of them, or those named."""

import importlib
import sys

NAMES = (
    *(
        "gates",
        "step",
        "members",
        "engine",
        "trials",
        "recording",
        "store",
        "rounds",
        "load",
        "data",
    ),
    *("large_report", "null", "selection", "gpu", "em", "gossip", "privacy", "anil", "union"),
)

for name in sys.argv[1:] or NAMES:
    if name not in NAMES:
        sys.exit(f"unknown benchmark {name!r}; valid: {', '.join(NAMES)}")
    importlib.import_module(f"benchmarks.{name}").main()
