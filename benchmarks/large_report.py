"""The report of a large sweep: 16 gates, 4 targets, 5 seeds, 20 trials a gate."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clock import report
from gatelab.results.report.files import write_report
from tests.made_reviews import many_gates

TIMES = 3


def main() -> None:
    """Print the seconds of computing that it takes, with all figures, and how large its page is."""
    review, seconds = many_gates(), []
    with TemporaryDirectory() as folder:
        for number in range(TIMES):
            started = time.process_time()
            page = write_report(review, Path(folder) / str(number))[0]
            seconds.append(time.process_time() - started)
        size = page.stat().st_size / 1e6
    first = f"{seconds[0]:.1f} s, which finds fonts"
    report("large_report: seconds of computing", min(seconds), "<= 8", first=first)
    report("large_report: MB of its page", size, "<= 1")
