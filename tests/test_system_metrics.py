"""System metrics: what the driver's machine does, recorded with the sweep where its spec asks."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tracking import mlflow_system
from gatelab.tracking.mlflow_read import history, read_sweep
from gatelab.tracking.mlflow_system import SystemMetrics
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri
from tests.in_process import gatelab
from tests.launched import SPEC, read

CPU, MEMORY = "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"
MONITORS = "mlflow.system_metrics.metrics"
SWEEP_TAGS = {"sweep": "watched", "stage": "sweep"}


def recorder_of(place: Path) -> Recorder:
    uri = default_uri(place / "gatelab_runs")
    path = place / "spool.journal"
    recorder = Recorder(path, uri=uri, experiment="watched", sweep="watched")
    recorder.start_run("watched", parent=None, name="watched", tags=SWEEP_TAGS, params={})
    return recorder


def test_what_is_seen_has_steps_of_its_own(place: Path) -> None:
    """The sweep's own numbers come after it, at steps that are smaller, and are all there."""
    recorder = recorder_of(place)
    with SystemMetrics(recorder, "watched", seconds=0.05):
        time.sleep(0.3)
    recorder.log_metrics("watched", 1, {"test/loss": 0.5})
    assert recorder.close()
    again = recorder_of(place)
    with SystemMetrics(again, "watched", seconds=60):
        pass
    assert again.close()
    uri = default_uri(place / "gatelab_runs")
    run = read_sweep(uri, "watched").run
    assert run is not None and run.metrics["test/loss"] == 0.5
    steps = [step for step, _ in history(uri, run.run_id, CPU)]
    assert steps == list(range(len(steps))) and len(steps) >= 4, "the last is of the second time"
    assert all(0 <= value <= 100 for _, value in history(uri, run.run_id, CPU))
    assert run.metrics[MEMORY] > 1


def test_a_device_that_is_gone_ends_what_is_seen_and_nothing_else(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_of(place)
    found = SystemMetrics(recorder, "watched", seconds=0.01)
    with found:
        found.monitors.append(None)  # type: ignore[arg-type]
        time.sleep(0.2)
    assert recorder.close()
    (said,) = [record.message for record in caplog.records if "system metrics" in record.message]
    assert said.startswith("system metrics end here: ")


@pytest.mark.parametrize("value", [1, "yes", None])
def test_it_is_a_switch(value: Any) -> None:
    spec = {"name": "a", "task": "digits_pairs", "gates": ["softmax"]}
    assert parse_spec(spec).tracking.system_metrics is False
    with pytest.raises(SpecError, match=r"tracking\.system_metrics: "):
        parse_spec({**spec, "tracking": {"system_metrics": value}})


def test_without_what_it_needs_a_launch_says_what_to_install(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_system, "find_spec", lambda name: None)
    (place / "small.yaml").write_text(f"{SPEC}tracking: {{system_metrics: true}}\n")
    said = gatelab(place, "launch", "small.yaml", code=2)
    assert "tracking.system_metrics: needs psutil, which is not installed here: `pip in" in said
    assert not (place / "gatelab_runs" / "sweeps").exists()


@pytest.mark.slow
def test_a_sweep_carries_them_where_its_spec_asks(place: Path) -> None:
    small = SPEC.replace("[dselect_k, top_k, softmax]", "[softmax]").replace(
        "trials: 4", "trials: 2"
    )
    (place / "plain.yaml").write_text(small.replace("small", "plain"))
    (place / "watched.yaml").write_text(
        small.replace("small", "watched") + "tracking: {system_metrics: true}\n"
    )
    for module in [
        name for name in sys.modules if name.startswith("mlflow.system_metrics.metrics")
    ]:
        del sys.modules[module]
    gatelab(place, "launch", "plain.yaml")
    assert f"{MONITORS}.cpu_monitor" not in sys.modules, "it costs nothing"
    gatelab(place, "launch", "watched.yaml")
    plain, watched = read(place, "plain").run, read(place, "watched").run
    assert plain is not None and watched is not None
    of_machine = {key for key in watched.metrics if key.startswith("system/")}
    assert {CPU, MEMORY, "system/disk_usage_percentage"} <= of_machine
    assert watched.metrics.keys() - of_machine == plain.metrics.keys() and plain.metrics
    assert "test/loss" in watched.metrics
    for run in read(place, "watched").of("search"):
        assert not any(key.startswith("system/") for key in run.metrics)
