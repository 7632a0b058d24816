"""Paths as commands take them: what cannot be named in a line, or leads nowhere, is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unicodedata import category

import click


class LocalPath(click.Path):
    """A path without control characters, whose links do not lead in a circle."""

    def __init__(self, **options: Any) -> None:
        """Take click's options; without ``path_type`` the value is a :class:`pathlib.Path`."""
        super().__init__(**{"path_type": Path, **options})

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path."""
        text = os.fsdecode(value)
        if not text:  # which would be the current folder
            self.fail("a path must not be empty.", param, ctx)
        if any(category(letter) == "Cc" for letter in text):
            self.fail(f"a path has no control character, but got {text!r}.", param, ctx)
        try:
            os.stat(text)
        except OSError as error:  # of others, that it is not there yet among them, who uses it says
            if error.errno == errno.ELOOP:
                self.fail(f"{text}: its links lead in a circle.", param, ctx)
        return super().convert(value, param, ctx)
