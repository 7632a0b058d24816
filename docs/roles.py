"""A hook of MkDocs: docstrings name others as :class:`~package.Name`, a page as the name alone."""

from __future__ import annotations

import re
from typing import Any

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):<code>(~?\.*)([\w.]+)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Return a page's HTML without the roles of names; after ``~`` the last part is the name."""
    return ROLE.sub(lambda it: f"<code>{it[2].rpartition('.')[2] if it[1] else it[2]}</code>", html)
