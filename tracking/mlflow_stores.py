"""MLflow's stores in a database, imported without the warning that is of MLflow's own code.

Its tables use a loader that SQLAlchemy 2.1 deprecates, which SQLAlchemy says as they are mapped:
once, at this import. Where warnings are errors, as under ``python -W error``, no command that reads
a store would begin.
"""

from __future__ import annotations

import warnings

from sqlalchemy.exc import SADeprecationWarning

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "The ``noload`` loader strategy", SADeprecationWarning)
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore

__all__ = ["RegistryStore", "TrackingStore"]
