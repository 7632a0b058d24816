"""Records of the journal: their form, how those of a run are joined, and their way into MLflow."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gatelab.tracking.lines import Entry
from gatelab.tracking.mlflow_store import Store

LOG = logging.getLogger(__name__)
_FIELDS: Mapping[str, Mapping[str, type]] = {
    "start": {"name": str, "tags": dict, "params": dict, "time": int},
    "metrics": {"step": int, "values": dict, "time": int},
    "params": {"params": dict},
    "tags": {"tags": dict, "time": int},
    "artifact": {"path": str, "folder": str},
    "data": {"data": dict},
    "view": {"key": str, "view": str},
    "end": {"status": str, "tags": dict, "time": int},
}
"""What a record of a kind has."""


def valid_records(found: Iterable[Entry]) -> Iterator[Entry]:
    """Yield what can be delivered; of a damaged line the journal has said that it is lost."""
    for record in found:
        if is_record(record):
            yield record
        elif record:
            LOG.warning("a line of the journal is no record of ours, and lost: %.100s", record)


def is_record(record: Entry) -> bool:
    """Return whether an object of the journal has what is delivered of its kind."""
    fields = _FIELDS.get(str(record.get("kind")))
    return (
        fields is not None
        and isinstance(record.get("attempt", 0), int)
        and all(
            isinstance(record.get(name), kind)
            for name, kind in (("identity", str), *fields.items())
        )
    )


def coalesce(records: Iterable[Entry]) -> list[Entry]:
    """Join the metrics and tags of each run, up to its next start, into one record."""
    joined: list[Entry] = []
    values: dict[str, Entry] = {}
    for record in records:
        identity, kind = record["identity"], record["kind"]
        if kind == "start":
            values.pop(identity, None)
        if kind in ("metrics", "tags", "end"):
            if identity not in values:
                values[identity] = {"kind": "values", "identity": identity, "rows": [], "tags": {}}
                joined.append(values[identity])
            values[identity]["rows"] += _rows(record)
            values[identity]["tags"] |= record.get("tags", {})
        if kind not in ("metrics", "tags"):
            joined.append(record)
    return joined


def _rows(record: Entry) -> list[tuple[str, float, int, int]]:
    values = record.get("values", {})
    return [(key, value, record["time"], record["step"]) for key, value in values.items()]


def write_record(store: Store, record: Entry, home: Path) -> None:
    """Deliver a record, joined or not; files of relative paths lie in a sweep's home."""
    identity, kind = record["identity"], record["kind"]
    if kind == "start":
        store.start_run(
            identity,
            record["parent"],
            record["name"],
            record["tags"],
            record["params"],
            record["time"],
            record.get("attempt", 0),
        )
    elif kind == "values":
        store.log(identity, metrics=record["rows"], tags=record["tags"])
    elif kind == "params":
        store.log(identity, params=record["params"])
    elif kind == "data":
        store.log_data(identity, record["data"])
    elif kind == "view":
        store.share_view(record["key"], record["view"])
    elif kind == "artifact":
        store.log_artifact(identity, str(home / record["path"]), record["folder"])
    else:
        store.end_run(identity, record["status"], record["time"])
