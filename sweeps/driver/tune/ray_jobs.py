"""Ray: a sweep's jobs as the trials of one Tune experiment."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import current_thread, main_thread

# Ray reads these when it is imported. Its own files for each trial (JSON, CSV, TensorBoard) would
# cost more than a short training, and without a token anyone on the machine may run code.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
# Tune asks a searcher for one trial ahead; ours says itself how many there may be.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "100000")

from ray import tune
from ray.tune import CheckpointConfig, CLIReporter, FailureConfig, RunConfig, TuneConfig
from ray.tune.execution import class_cache, tune_controller

from gatelab.sweeps.cluster.joining import join, users_folder
from gatelab.sweeps.cluster.storage import STATES, Storage
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.driver.tune.lost_workers import leave_out_dropped, say_in_one_line
from gatelab.sweeps.driver.tune.ray_hooks import JobSource, Results, SavedStates, WaitingStates
from gatelab.sweeps.worker.worker import Worker
from gatelab.training.jobs import Setting

# Tune would give its workers variables of the driver, keys among them, by a description that Ray
# writes into its logs. Every node has its own from where Ray was started; and without any of their
# own its workers are the processes that wait since Ray's start.
class_cache.ENV_VARS_TO_PROPAGATE, class_cache.DEFAULT_ENV_VARS = set(), {}
_TUNES_SIGNALS = (signal.SIGINT, signal.SIGUSR1)
"""Of which Tune takes handlers of its own."""
LOST_WORKERS = 3
"""How often a job is tried again elsewhere from the same state, after its worker was lost."""


def run_jobs(sweep: Sweep, setting: Setting) -> None:
    """Run jobs until the sweep is finished, or is interrupted.

    Args:
        sweep: Gives the jobs and takes their results.
        setting: What the jobs have in common.
    """
    join()
    logging.getLogger(tune_controller.__name__).addFilter(say_in_one_line)
    logging.getLogger("ray.tune.tune").addFilter(leave_out_dropped)
    storage = Storage(setting.storage)
    worker = tune.with_parameters(Worker, setting=setting, folder=users_folder())
    trainable = tune.with_resources(worker, {"cpu": setting.cpus, "gpu": setting.gpus})
    deleting = ThreadPoolExecutor(16, thread_name_prefix="deleting")
    sweep.listeners = [*sweep.listeners, WaitingStates(storage, deleting)]
    tuner = tune.Tuner(
        trainable,
        tune_config=TuneConfig(
            search_alg=JobSource(sweep, setting),
            scheduler=Results(sweep),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name=STATES,
            storage_path=storage.root,
            storage_filesystem=storage.files,
            callbacks=[SavedStates(sweep, storage, deleting)],
            # By itself Tune saves each trial once more when it ends.
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
            failure_config=FailureConfig(max_failures=LOST_WORKERS),
            # Silent too; what Tune takes in a notebook wipes out all that its cell has shown.
            progress_reporter=CLIReporter(),
            verbose=0,
        ),
    )
    try:
        with _signals_put_back():
            tuner.fit()
    finally:
        deleting.shutdown(cancel_futures=True)


@contextmanager
def _signals_put_back() -> Iterator[None]:
    """Put back whom signals reach: Tune's handlers would stay, and keep the next Ctrl-C.

    A sweep that delivers its record, or draws its report, would not hear that one; nor would who
    has launched it from Python.
    """
    before = {number: signal.getsignal(number) for number in _TUNES_SIGNALS}
    try:
        yield
    finally:
        if current_thread() is main_thread():  # elsewhere nobody may, and Tune has not
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
