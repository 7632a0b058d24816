"""Tracking: what is recorded, read back, compared and drawn."""

import logging
import os

# MLflow reads these when it is imported, by whichever module here comes first.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# A server that is away is known in seconds, not minutes: who writes here tries again by itself.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
# Nor does a proxy say how long it sleeps: an hour, where its page of maintenance says so.
os.environ.setdefault("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a trial
logging.getLogger("alembic").setLevel(logging.WARNING)  # a new database tells of each migration
# And of what fails, with a page of traceback each time it is tried again: the recorder says it.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
