"""MLflow's tags: which of a run's its pages show, and under which names the others are kept."""

from __future__ import annotations

from collections.abc import Mapping

from gatelab.tracking.mlflow_rejected import storable
from gatelab.tracking.schema import Tags

HIDDEN = "mlflow.gatelab."
"""How the names begin of tags that are for programs: MLflow's pages show none of ``mlflow.``."""
IDENTITY = "gatelab.identity"
"""The tag by which a run of ours is found again."""
ATTEMPT = "gatelab.attempt"
"""The tag that says how often a run of an identity has begun anew, if it has."""
LONGEST_TAG = 8000
"""Characters of a tag's value that MLflow takes."""
STARTS = (Tags.VERSION, Tags.MACHINE, Tags.CODE, "metrics.")
NAMES = (
    *(
        Tags.DATA,
        Tags.HOME,
        Tags.GATES,
        Tags.HARDENS,
        Tags.TEST_TO_TRAIN,
        Tags.FAILURES,
        Tags.COMMIT,
    ),
    Tags.GIVEN,
)


def stored(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags under the names by which MLflow keeps them, of values that it takes."""
    return {hidden(name): storable(value, LONGEST_TAG) for name, value in tags.items()}


def hidden(name: str) -> str:
    """Return the name by which MLflow keeps a tag."""
    if name in (IDENTITY, ATTEMPT):
        return f"mlflow.{name}"
    return f"{HIDDEN}{name}" if name.startswith(STARTS) or name in NAMES else name


def restored(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags of a run under our names."""
    own = {hidden(name): name for name in (IDENTITY, ATTEMPT)}
    return {own.get(name, name.removeprefix(HIDDEN)): value for name, value in tags.items()}
