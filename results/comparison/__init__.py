"""How gates compare: scores, tests, ranks, and how they are told in tables and words."""

from gatelab.results.comparison.comparison import (
    Comparison,
    Score,
    Test,
    compare_runs,
)

__all__ = ["Comparison", "Score", "Test", "compare_runs"]
