"""What a journal's records say of runs: which there are, and what each has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gatelab.tracking.lines import Entry
from gatelab.tracking.records import is_record

LAST = "last"
"""The series of a run's last row, after which it takes none of its training."""


def attempt_of(record: Entry) -> int:
    """Return how often a run had begun anew when a record of it was taken."""
    return int(record.get("attempt", 0))


def last_attempts(records: Iterable[Entry]) -> dict[str, int]:
    """Return the last attempt of every run that began anew."""
    found: dict[str, int] = {}
    for record in records:
        if attempt_of(record) > found.get(record["identity"], 0):
            found[record["identity"]] = attempt_of(record)
    return found


class Known:
    """Notes records as they are taken; of a run that began anew its last attempt alone counts."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.started: set[str] = set()
        """The identities of runs."""
        self._attempts: dict[str, int] = {}
        self._steps: dict[str, dict[str, int]] = {}  # the last, by run and series
        self.ended: set[str] = set()
        """Likewise, of those that have ended."""

    def note(self, record: Entry) -> None:
        """Take in a record."""
        if not is_record(record) or self.is_superseded(record):
            return
        kind, identity = record["kind"], record["identity"]
        if attempt_of(record) > self.attempt(identity):
            self._attempts[identity] = attempt_of(record)
            self._steps.pop(identity, None)
            self.ended.discard(identity)
        if kind == "metrics":
            steps, series = self._steps.setdefault(identity, {}), str(record.get("series", ""))
            steps[series] = max(record["step"], steps.get(series, -1))
        elif kind == "start":
            self.started.add(identity)
        elif kind == "end":
            self.ended.add(identity)

    def attempt(self, identity: str) -> int:
        """Return how often a run has begun anew."""
        return self._attempts.get(identity, 0)

    def is_superseded(self, record: Entry) -> bool:
        """Return whether a record is of a run that has begun anew since."""
        return attempt_of(record) < self.attempt(record["identity"])

    def of_last_attempts(self, records: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the records that no later attempt of their run has superseded."""
        return (record for record in records if not self.is_superseded(record))

    def has_any(self, identity: str) -> bool:
        """Return whether a run has metrics, or has ended."""
        return identity in self._steps or identity in self.ended

    def has(self, identity: str, series: str) -> bool:
        """Return whether a run has a series."""
        return series in self._steps.get(identity, {})

    def last(self, identity: str, series: str = "") -> int:
        """Return the last step of a series, or -1; of a whole run's training where it is over."""
        return self._steps.get(identity, {}).get(series, -1)

    def last_of_all(self, identity: str) -> int:
        """Return the last step of all series of a run, or -1."""
        return max(self._steps.get(identity, {}).values(), default=-1)
