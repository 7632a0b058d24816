"""Queries: how MLflow is asked for runs of sweeps, by the tags that say what a run is."""

from __future__ import annotations

from gatelab.tracking.schema import Tags

OF_NO_SWEEP = f"tags.{Tags.SWEEP} IS NULL"
"""What finds the runs that no sweep wrote."""


def of_sweep(sweep: str, *conditions: str) -> str:
    """Return what finds the runs of a sweep, or those that conditions hold for too.

    Args:
        sweep: Its name, which has no quote in it: MLflow's queries cannot write one.
        conditions: Other queries.
    """
    return " and ".join([f"tags.{Tags.SWEEP} = '{sweep}'", *conditions])


def of_stage(stage: str) -> str:
    """Return what finds the runs of a stage."""
    return f"tags.{Tags.STAGE} = '{stage}'"


def of_no_stage(*stages: str) -> str:
    """Return what finds the runs of all other stages: MLflow's queries know no way to say or."""
    return " and ".join(f"tags.{Tags.STAGE} != '{stage}'" for stage in stages)
