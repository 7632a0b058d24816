"""What holds for every test, and what many of them share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from gatelab.tracking.schema import FOLDER
from tests.commands import PROCESSES, end
from tests.shared import make_token, once

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Tests run side by side, one a core, and models of tests gain nothing from more threads.
torch.set_num_threads(1)
gc.set_threshold(20_000)  # as commands do: looking for garbage took a twelfth of the tests' time


LONG = (
    *("cluster_client", "stops", "notebook", "sweep", "going_on", "docs", "plug_ins", "ui"),
    *("user_names", "going_on_elsewhere"),
    *("doctor", "export", "figures", "browser", "page", "baselines", "null_sweep", "gate_checks"),
    *("failed_evaluations", "wheel", "bad_resources", "compare_command", "rounds", "site"),
    *("presets", "downloads", "published_tables", "predictor", "together", "in_process"),
)
"""Modules that take longest: they begin first, so that no core is idle at the end.

Those that read the small sweep lie apart, or one would wait while another makes it.
"""


READ_AT_IMPORT = {"RAY_AUTH_MODE": "token", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""What Ray and MLflow are told before any test's module imports them, unless it is said already."""


def pytest_configure(config: pytest.Config) -> None:
    for name, value in READ_AT_IMPORT.items():
        os.environ.setdefault(name, value)
    # Workers of tests side by side are told of a terminal of 80 columns, which there is not; so are
    # processes that tests start, by readline, past os.environ.
    os.environ.pop("COLUMNS", None)
    os.unsetenv("COLUMNS")
    if not hasattr(config, "workerinput"):
        make_token()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and let each module, and all hosts' tests, stay together."""
    places = {f"test_{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: -1 if _on_hosts(item) else places.get(item.path.name, len(places)))
    for item in items:
        group = "hosts" if _on_hosts(item) else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


def _on_hosts(item: pytest.Item) -> bool:
    return item.get_closest_marker("cluster") is not None


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute in double precision by default, the buffers of hyperparameters too."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """A test that fails must not leave a sweep running; what a module started is not its."""
    before = len(PROCESSES)
    yield
    while len(PROCESSES) > before:
        end(PROCESSES.pop())


@pytest.fixture(autouse=True)
def a_busy_machine_says_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log is told what takes seconds, which would be another line where others take the CPU."""
    monkeypatch.setattr("gatelab.sweeps.driver.telling.SILENT_SECONDS", 1e6)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for pages that are files; it is skipped where there is none."""
    from playwright.sync_api import sync_playwright  # here: few tests look at pages

    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: pages are not looked at")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, which take MLflow seconds to make."""

    from gatelab.tracking.mlflow_client import open_client
    from gatelab.tracking.sqlite import default_uri  # here: it takes seconds

    def make(folder: Path) -> None:
        open_client(default_uri(folder)).search_experiments()

    return once(tmp_path_factory, "store", make) / "mlflow.db"


@pytest.fixture(scope="session")
def small_sweep(
    put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Where the small sweep was launched, for who only reads it."""

    from tests.in_process import gatelab  # here: Optuna and MLflow take seconds to import
    from tests.launched import SPEC

    def make(folder: Path) -> None:
        put_store(folder / FOLDER)
        (folder / "small.yaml").write_text(SPEC)
        gatelab(folder, "launch", "small.yaml", figures=True)

    return once(tmp_path_factory, "sweep", make)


@pytest.fixture(scope="session")
def few_and_many(
    put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A place with a finished sweep of 4 trials and 2 seeds, and one of 8 trials and 3 seeds."""

    from tests.gone_on import write_few  # here: Optuna and MLflow take seconds to import
    from tests.in_process import gatelab

    def make(folder: Path) -> None:
        put_store(folder / FOLDER)
        write_few(folder, "few", 4, 1, 2)
        write_few(folder, "many", 8, 2, 3)
        gatelab(folder, "launch", "few.yaml")
        gatelab(folder, "launch", "many.yaml")

    return once(tmp_path_factory, "few-and-many", make)


@pytest.fixture
def both(few_and_many: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    return Path(shutil.copytree(few_and_many, tmp_path / "place"))


@pytest.fixture(scope="session")
def put_store(empty_store: Path) -> Callable[[Path], Path]:
    """Put a store that has its tables already into a folder, and return that."""

    def put(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        shutil.copy(empty_store, folder)
        return folder

    return put


@pytest.fixture
def place(put_store: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A folder to launch sweeps in, whose store has its tables already."""
    return put_store(tmp_path / FOLDER).parent
