"""Shipping: what leaves this machine for a cluster: a spec, and the modules that it names."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from gatelab.gates.gate import gates
from gatelab.modules import locate
from gatelab.own_modules import find_in
from gatelab.registry import Registry
from gatelab.sweeps.cluster.sources import OURS, files_of, imported, is_secret, is_users
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.metric import metrics
from gatelab.tasks.task import tasks
from gatelab.training.learners import learners

LIMIT = 64 * 2**20
"""Bytes that are shipped at most: data belong on the nodes."""
LAUNCHED_FROM = "GATELAB_LAUNCHED_FROM"
"""The variable that tells a driver that it is a job, and the versions of who launched it."""
CODE = "code"
"""The folder in a sweep's home with what was shipped for it."""


@dataclass(frozen=True)
class Shipped:
    """A package, a module or a file that is shipped."""

    name: str
    """With its version, where it is installed."""
    files: tuple[str, ...]
    """Relative to the folder that is shipped."""
    size: int
    """In bytes."""
    kept_back: tuple[str, ...] = ()
    """Files that look like secrets, and stay."""

    @property
    def line(self) -> str:
        """What a user is told."""
        names = ", ".join(self.files[:3]) + (", ..." if len(self.files) > 3 else "")
        what = names if len(self.files) == 1 else f"{len(self.files)} files ({names})"
        kept = f"; kept back, as secrets: {', '.join(self.kept_back)}" if self.kept_back else ""
        prefix = "" if self.files == (self.name,) else f"{self.name}: "
        return f"{prefix}{what}, {self.size / 1000:.1f} kB{kept}"


def pack(spec: Spec, name: str, folder: Path, never: Iterable[Path] = ()) -> list[Shipped]:
    """Fill a folder with a spec, and with the modules of its gates and task that no node has.

    Gates and a task of installed plug-ins are named by their modules in the packed spec, so that
    nothing need be installed where it runs. With a module go those that it imports, as far as they
    are the user's own too.

    Args:
        spec: The spec.
        name: Its file's.
        folder: An empty one.
        never: Folders that must not be shipped.

    Raises:
        SpecError: If a module cannot be shipped, or all are too large together.
    """
    packed, modules = _keyed(spec)
    parts = [_copy(*needed, folder, tuple(never)) for needed in _needed(modules).items()]
    text = packed.to_yaml()
    (folder / name).write_text(text)
    parts.insert(0, Shipped(name, (name,), len(text.encode())))
    size = sum(part.size for part in parts)
    if size > LIMIT:
        largest = max(parts, key=lambda part: part.size)
        raise SpecError(
            "",
            "",
            f"at most {LIMIT / 1e6:.0f} MB are shipped, but {largest.name} and the rest have "
            f"{size / 1e6:.0f} MB; data belong on the nodes, or into .gitignore.",
        )
    return parts


def _keyed(spec: Spec) -> tuple[Spec, dict[str, str]]:
    """Return a spec whose keys work without plug-ins, and by top-level module who names it."""
    modules: dict[str, str] = {}

    def key(path: str, registry: Registry[Any], name: str) -> str:
        module = name.rpartition(":")[0] or registry.get(name).__module__
        top = module.partition(".")[0]
        if top in OURS:
            return name
        modules.setdefault(top, path)
        return f"{module}:{name.rpartition(':')[2]}"

    found = {
        label: gate.model_copy(
            update={
                "gate": key(f"gates.{label}", gates, gate.gate),
                "learner": gate.learner.model_copy(
                    update={"name": key(f"gates.{label}.learner", learners, gate.learner.name)}
                ),
            }
        )
        for label, gate in spec.gates.items()
    }
    task = spec.task.model_copy(update={"name": key("task", tasks, spec.task.name)})
    chosen = tuple(key("metrics", metrics, name) for name in spec.metrics or ()) or None
    update = {"gates": found, "task": task, "metrics": chosen}
    return spec.model_copy(update=update), modules


def _needed(modules: Mapping[str, str]) -> dict[str, str]:
    """Return modules with all of the user's own that they import, however far down."""
    needed: dict[str, str] = {}
    waiting = dict(modules)
    while waiting:
        module, path = waiting.popitem()
        needed[module] = path
        files = (file for place in locate(module) for file in _files(place, path))
        others = {name for name in imported(files) if name not in needed and is_users(name)}
        waiting |= dict.fromkeys(others, path)
    return dict(sorted(needed.items()))


def _files(place: Path, path: str) -> list[Path]:
    try:
        return files_of(place)
    except OSError as error:
        raise SpecError("", path, f"git must be there, to read .gitignore: {error}.") from error


def _copy(module: str, path: str, folder: Path, never: Iterable[Path]) -> Shipped:
    """Copy the files of a top-level module."""
    found: dict[str, Path] = {}
    for place in locate(module):
        root = place.parent if place.is_file() else place
        above = Path() if place.is_file() else Path(module)
        for file in _files(place, path):
            if not any(file.resolve().is_relative_to(folder.resolve()) for folder in never):
                found[str(above / file.relative_to(root))] = file
    secrets = {name for name, file in found.items() if is_secret(file)}
    shipped = {name: file for name, file in found.items() if name not in secrets}
    if not shipped:
        raise SpecError("", path, _why_nothing(module))
    for name, file in shipped.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)
    size = sum(file.stat().st_size for file in shipped.values())
    return Shipped(_title(module, shipped), tuple(sorted(shipped)), size, tuple(sorted(secrets)))


def _why_nothing(module: str) -> str:
    places = locate(module)
    if not places:
        return f"module {module!r} has no file that could be shipped: write what it has into one."
    return f"module {module!r} cannot be shipped, because a .gitignore names {places[0]}."


def _title(module: str, files: Iterable[str]) -> str:
    distributions = packages_distributions().get(module, [])
    if distributions:
        return f"{distributions[0]} {version(distributions[0])}"
    return next(iter(files)) if f"{module}.py" in files else module


def launched_from() -> Mapping[str, str] | None:
    """Return the versions of the machine that launched this process as a job, if one did."""
    text = os.environ.get(LAUNCHED_FROM)
    return None if text is None else dict(json.loads(text))


def keep_code(home: Path) -> None:
    """Copy what was shipped to this job into a sweep's home, for a resume from any machine."""
    if launched_from() is not None:
        shutil.copytree(Path.cwd(), home / CODE)


def use_code(home: Path) -> Path | None:
    """Search for modules in what was shipped for a sweep; return that folder, if there is one.

    Args:
        home: The sweep's.
    """
    code = (home / CODE).resolve()
    if not code.is_dir():
        return None
    find_in(str(code))
    return code
