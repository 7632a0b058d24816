"""What the record must allow before a sweep begins or goes on: MLflow's store, and its monitors."""

from __future__ import annotations

from pathlib import Path

from gatelab.sweeps.driver.admission import ANOTHER_NAME
from gatelab.sweeps.home.home import DamagedHome, Home
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tracking.artifact_places import artifacts_folder
from gatelab.tracking.journal import delivered, has_started
from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_check import check_workspace
from gatelab.tracking.mlflow_delivered import check_delivered
from gatelab.tracking.mlflow_experiment import check_experiment
from gatelab.tracking.mlflow_read import sweep_names
from gatelab.tracking.mlflow_system import NEEDED, can_monitor
from gatelab.tracking.sqlite import sqlite_path
from gatelab.tracking.store_errors import StoreRefuses, StoreUnavailable, is_there

PUT_BACK = "Put back what was there, or launch the spec under another name (`--name`)."


def check_new_record(spec: Spec, folder: Path, uri: str) -> None:
    """Check that a store has no sweep of a spec's name, and takes its runs.

    Raises:
        SpecError: If that cannot be.
        StoreUnavailable: If the store cannot be used.
    """
    check_monitors(spec)
    if is_there(uri) and spec.name in sweep_names(uri):
        where = f"is recorded in {masked(uri)} already, and has no folder in {folder}"
        raise SpecError("spec", "name", f"sweep {spec.name!r} {where}: {ANOTHER_NAME}")
    check_place(spec.experiment, folder, uri)


def check_place(experiment: str, folder: Path, uri: str) -> None:
    """Check that a store takes runs of an experiment.

    Raises:
        SpecError: If the experiment takes none there.
        StoreUnavailable: If the store cannot be used.
    """
    check_workspace(uri)
    try:
        if is_there(uri):
            check_experiment(uri, experiment, artifacts_folder(folder, uri))
    except StoreRefuses as error:
        raise SpecError("spec", "experiment", f"{error} Or name another.") from error


def check_monitors(spec: Spec) -> None:
    """Check that what looks at this machine is installed, where a spec asks for it.

    Raises:
        SpecError: If it is not.
    """
    if spec.tracking.system_metrics and not can_monitor():
        why = f"needs {NEEDED}, which is not installed here: `pip install 'gatelab[system]'`."
        raise SpecError("spec", "tracking.system_metrics", why)


def check_record(home: Home, spec: Spec, uri: str, redeliver: bool) -> None:
    """Refuse a store that takes nothing, or that has lost what it was given.

    A server that is away is no reason: what is recorded waits for it.

    Raises:
        DamagedHome: If all of a finished sweep is to be delivered again, and its spool has lost its
            run: nothing would begin that anew.
        StoreUnavailable: Such a store, or a file that cannot be opened.
    """
    if redeliver and home.finished and not has_started(home.spool, home.name):
        raise DamagedHome(home.name, f"{home.spool} does not have its run. {PUT_BACK}")
    try:
        if delivered(home.spool) and not redeliver:
            place = artifacts_folder(home.folder, uri)
            check_delivered(uri, spec.experiment, home.name, place)
        elif is_there(uri):
            check_experiment(uri, spec.experiment, artifacts_folder(home.folder, uri))
    except StoreRefuses:
        raise
    except StoreUnavailable:
        if sqlite_path(uri) is not None:
            raise
