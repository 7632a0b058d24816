"""Models of tables where gatelab cannot be imported: loaded by MLflow, and behind its server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import torch

from gatelab.tasks import Table
from tests.served import graph_of, save
from tests.test_table_task import TARGETS, people
from tests.written_tables import TABLES

pytestmark = [
    pytest.mark.slow,
    # MLflow warns of its own type hints when its pyfunc is first imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]
WITHOUT_GATELAB = """
import sys
sys.modules["gatelab"] = None  # importing it fails in every process that has this on its path
"""


def elsewhere(folder: Path) -> dict[str, str]:
    """Return the environment of a process that can import no gatelab and may not unpickle."""
    (folder / "sitecustomize.py").write_text(WITHOUT_GATELAB)
    kept = {"PYTHONPATH": str(folder), "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # uvicorn's too
    return {**os.environ, **kept, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": commands}


@pytest.fixture(scope="module")
def task() -> Table:
    return Table(people(), targets=TARGETS)


@pytest.fixture(scope="module")
def saved(task: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model, which has been tried on rows of val."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    for found, expected in save(task, folder):
        assert torch.allclose(found, expected, 1e-5, 1e-5)
        assert len(found) in {1, 18}
    return folder


FRESH = """
import json, sys
try:
    import gatelab
except ImportError:
    pass
else:
    raise SystemExit("gatelab can be imported here")
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
frames = [pandas.DataFrame(it) for it in json.loads(sys.argv[2])]
print(json.dumps([model.predict(frame).to_dict("list") for frame in frames]))
"""
PLAIN = {
    "age": [30, 40.5, None, 30],
    "job": ["cook", "nurse", None, "never seen"],
    "height": [170, 180.5, 160, None],
}
TEXTS = {
    "age": [" 30", "40.50", "", "30"],
    "job": [" cook", "nurse ", "  ", "Cook"],
    "height": ["170", "1.805e2", "160.0", "NA"],
}


def test_a_fresh_process_without_gatelab(saved: Path, task: Table, tmp_path: Path) -> None:
    swapped = {**dict(reversed(PLAIN.items())), "shoe": [1, 2, 3, 4], "income": ["yes"] * 4}
    result = subprocess.run(
        [sys.executable, "-c", FRESH, str(saved), json.dumps([PLAIN, swapped, TEXTS])],
        cwd=tmp_path,
        env=elsewhere(tmp_path),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    plain, *others = json.loads(result.stdout.splitlines()[-1])
    assert others == [plain, plain]
    names = ["income=no", "income=yes", "weeks", "region=2", "region=9", "region=10"]
    assert [*plain] == names
    made = np.column_stack([*plain.values()])
    np.testing.assert_allclose(made[:, :2].sum(1), 1)
    np.testing.assert_allclose(made[:, 3:].sum(1), 1)
    assert len({tuple(row) for row in made.tolist()}) == 4, "every row says something else"
    np.testing.assert_allclose(made, by_hand(task), rtol=1e-5)
    assert (abs(made[:, 2] - 1050) < 200).all(), "weeks, not deviations of them"


def by_hand(task: Table) -> np.ndarray[Any, Any]:
    """Return what the model says of the plain rows, whose cells are made here."""
    assert task.fitted.categories["job"] == ("clerk", "cook", "nurse")
    assert [*task.fitted.numbers] == ["age", "height"]
    none = float("nan")
    cells = torch.tensor([[30, 170, 2], [40.5, 180.5, 3], [none, 160, 0], [30, none, 0]]).double()
    with torch.no_grad():
        return graph_of(task)(cells).numpy()


def test_what_pyfunc_refuses(saved: Path) -> None:
    model = mlflow.pyfunc.load_model(str(saved))
    rows = pd.DataFrame(PLAIN)
    for frame, said in (
        (rows.drop(columns=["age"]), "the rows have no column `age`."),
        (rows.assign(age="old"), "`age` must be a finite number, but has `old` (row 1)."),
    ):
        with pytest.raises(mlflow.MlflowException) as error:
            model.predict(frame)
        assert str(error.value) == said
        assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    assert model.predict(rows[:0]).shape == (0, 6)
    kept = model.predict(rows.set_index(pd.Index(list("abcd"))))
    assert [*kept.index] == ["a", "b", "c", "d"]


def test_no_number_is_none_in_the_sparse_form_either(task: Table) -> None:
    """Whatever cells the graph is given past the reader, both forms give the same, NaN for NaN."""
    odd = [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 1e39]
    plain = [30.0, 170.0, 2.0]
    cells = [plain, *([*plain[:at], it, *plain[at + 1 :]] for at in (0, 1) for it in odd)]
    rows = torch.tensor(cells, dtype=torch.float64)
    with torch.no_grad():
        sparse, dense = graph_of(task)(rows), graph_of(task, dense=True)(rows)
        alone = torch.cat([graph_of(task)(row) for row in rows.split(1)])
    assert dense.isnan().any(1).sum() >= 4 and not dense[0].isnan().any()
    for found in (sparse, alone):
        torch.testing.assert_close(found, dense, rtol=1e-4, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("val", [[11], [0, 11]])
def test_a_table_of_one_category(val: list[int], tmp_path: Path) -> None:
    """Of ids past 2^53, which a gap in pandas would round, and one row or two in val."""
    user = [None, 2**53 + 1, 2**53 + 2, 2**53 + 1, 2**53 + 2, 2**53 + 1] * 2
    part = ["val" if n in val else "test" if n > 7 else "train" for n in range(12)]
    frame = pd.DataFrame({"user": pd.array(user, "Int64"), "y": [0, 0, 1] * 4, "part": part})
    split = {"column": "part", "val": "val", "test": "test"}
    task = Table(frame, targets={"y": "binary"}, kinds={"user": "category"}, split=split)
    assert len(task.split("val").inputs) == len(val)
    for found, expected in save(task, tmp_path / "model"):
        assert torch.allclose(found, expected, 1e-6, 1e-6)


def test_what_a_saved_model_holds(saved: Path, task: Table) -> None:
    files = {str(it.relative_to(saved)) for it in saved.rglob("*") if it.is_file()}
    assert {"serve.py", "artifacts/table.json", "artifacts/graph/data/model.pt2"} <= files
    assert not [it for it in files if it.endswith(".pkl")]
    table = json.loads((saved / "artifacts/table.json").read_text())
    assert table["columns"]["age"] == {"kind": "number", "values": [], "missing": []}
    assert table["fitted"] == json.loads(json.dumps(asdict(task.fitted)))
    assert table["targets"][2] == {
        "name": "region",
        "kind": "multiclass",
        "classes": ["2", "9", "10"],
    }
    info = mlflow.models.get_model_info(str(saved))
    assert [(it.name, it.required) for it in info.signature.inputs] == [
        ("age", False),
        ("height", False),
        ("job", False),
    ]
    example = info.saved_input_example_info
    assert example is not None and example["type"] == "dataframe"
    text = (saved / "requirements.txt").read_text()
    assert "gatelab" not in text and "torch==" in text and "pyarrow==" in text


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serve a model of age and weight; yield where it is asked."""
    frame = pd.DataFrame({"age": np.arange(20.0, 60), "weight": np.linspace(60, 90, 40)})
    frame["tall"] = np.where(np.arange(40) % 3 == 0, "yes", "no")
    save(Table(frame, targets={"tall": "binary"}), tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["models", "serve", "-m", str(tmp_path / "model"), "--env-manager", "local"]
    command = [sys.executable, "-m", "mlflow", *words, "-p", str(port), "-w", "1"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=elsewhere(tmp_path),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        place = f"http://127.0.0.1:{port}"
        wait_for(f"{place}/ping", server, tmp_path / "log")
        yield f"{place}/invocations"
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(180):
        assert server.poll() is None, log.read_text()
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.5)
    raise AssertionError(log.read_text())


def test_the_server_of_mlflow(address: str) -> None:
    case = json.loads((TABLES / "column_order_serving.json").read_text())
    assert case["columns"] == ["weight", "age"]

    def ask(body: object, code: int = 200) -> Any:
        answer = requests.post(address, json=body, timeout=60)
        assert answer.status_code == code, answer.text
        return answer.json()

    swapped = ask({"dataframe_split": case})["predictions"]
    records = [{"age": 31, "weight": 70.5, "shoe": "x"}, {"weight": "60.0", "age": 25.0}]
    assert ask({"dataframe_records": records})["predictions"] == swapped
    assert [*swapped[0]] == ["tall=no", "tall=yes"] and swapped[0] != swapped[1]
    gap = ask({"dataframe_records": [{"age": None, "weight": 70}]})["predictions"]
    assert 0 < gap[0]["tall=yes"] < 1
    csv = requests.post(
        address, "age,weight\n31,70.5\n", headers={"Content-Type": "text/csv"}, timeout=60
    )
    assert csv.status_code == 400
    refused = ask({"dataframe_records": [{"age": 30}]}, code=400)
    assert "the rows have no column `weight`." in refused["message"]
    refused = ask({"dataframe_records": [{"age": "old", "weight": 1}]}, code=400)
    assert "`age` must be a finite number, but has `old` (row 1)." in refused["message"]
