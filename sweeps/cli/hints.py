"""Hints: commands that messages advise, as they must be typed to find the sweep."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from gatelab.tracking.schema import FOLDER

FOLDER_VARIABLE = "GATELAB_FOLDER"
"""Of the environment: the folder where no option names one."""
_COMMAND = re.compile(r"`gatelab (?:resume|compare|ui|status|stop) [^`]*(?=`)")


def folder_words(folder: Path) -> str:
    """Return the words that name a folder to a command, with a space before.

    None where the command finds it by itself: by default, or by its variable, as on a head.
    """
    found = Path(os.environ.get(FOLDER_VARIABLE) or FOLDER)
    return "" if folder == found else f" --folder {shlex.quote(str(folder))}"


def in_folder(text: str, folder: Path) -> str:
    """Return a text whose commands about a sweep name the folder that it lies in."""
    words = folder_words(folder)
    return _COMMAND.sub(
        lambda found: found[0] if " --folder " in found[0] else found[0] + words, text
    )
