"""How gates compare: scores, tests, ranks, and how they are told in tables and words."""

from gatelab.results.comparison.comparison import Comparison
from gatelab.results.comparison.from_runs import compare_runs
from gatelab.results.comparison.scores import Score, Test

__all__ = ["Comparison", "Score", "Test", "compare_runs"]
