"""Sources: where a module's files are, and which of them may leave this machine."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

from gatelab.modules import locate

OURS = {"gatelab"}
"""Modules that every node has from gatelab itself."""
SECRETS = (
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx", "*.env", "_netrc", "auth_token*"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*credentials*", "*secrets*"),
)
"""Names of files that stay here."""
PRIVATE_KEY = b"PRIVATE KEY-----"
LIST = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--")
"""What git would keep: everything that no .gitignore names."""


def is_users(module: str) -> bool:
    """Return whether a top-level module is the user's own, and no node has it."""
    if module in sys.stdlib_module_names or module in OURS:
        return False
    places = locate(module)
    return bool(places) and not any(is_installed(place) for place in places)


def is_installed(place: Path) -> bool:
    """Return whether a module lies where packages are installed to."""
    return any(place.parent.glob("*.dist-info"))


def imported(files: Iterable[Path]) -> set[str]:
    """Return the top-level modules that Python files import anywhere, beside those of their own."""
    found: set[str] = set()
    for path in files:
        if path.suffix == ".py":
            with suppress(SyntaxError):  # of a file that nobody imports
                found |= _imported(ast.parse(path.read_bytes()))
    return found


def _imported(tree: ast.Module) -> set[str]:
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    return {name.partition(".")[0] for name in found}


def files_of(place: Path) -> list[Path]:
    """Return the files of a module or a package that may be looked at, sorted.

    Hidden files, caches, links that lead out of the package, and what a .gitignore names are left
    out; an installed package has no .gitignore of its own.

    Raises:
        OSError: If git, which reads .gitignore files, is not there.
    """
    root = place if place.is_dir() else place.parent
    if is_installed(place):
        found = list(place.rglob("*")) if place.is_dir() else [place]
    else:
        found = _not_ignored(root, "." if place.is_dir() else place.name)
    inside = [path for path in found if path.is_file() and not _is_cache(path.relative_to(root))]
    return sorted(path for path in inside if path.resolve().is_relative_to(root.resolve()))


def _is_cache(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return hidden or path.suffix == ".pyc"


def _not_ignored(root: Path, path: str) -> list[Path]:
    listed = _git("-C", str(root), *LIST, path)
    if listed is None:  # no repository: an empty one elsewhere, which looks at this folder
        with TemporaryDirectory() as folder:
            _git("init", "--quiet", folder)
            here = ("-C", str(root), "--git-dir", f"{folder}/.git", "--work-tree", str(root))
            listed = _git(*here, *LIST, path)
    return [root / name for name in (listed or "").split("\0") if name]


def _git(*arguments: str) -> str | None:
    """Return what git says; ``None`` if it fails."""
    found = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return found.stdout if found.returncode == 0 else None


def is_secret(path: Path) -> bool:
    """Return whether a file looks like a secret, by its name or by what it begins with."""
    if any(fnmatch(path.name.lower(), pattern) for pattern in SECRETS):
        return path.suffix != ".py"
    with path.open("rb") as file:
        return PRIVATE_KEY in file.read(200)
