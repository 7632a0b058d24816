"""A class of a registry by the key that a command was given."""

from __future__ import annotations

from typing import Any

from gatelab.registry import Registry
from gatelab.sweeps.cli.ending import refuse


def registered_class(registry: Registry[Any], key: str) -> Any:
    """Return what is registered under a key; end with one line where nothing is."""
    try:
        return registry.get(key)
    except ValueError as error:
        refuse(error)
