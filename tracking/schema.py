"""The schema: the names under which a sweep is recorded and found again."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("gatelab_runs")
"""Beside the user's work: the store, and a folder for each sweep."""
