"""Secrets in texts: asterisks for the passwords, tokens and keys of addresses."""

from __future__ import annotations

import re
import shlex
from urllib.parse import unquote, urlsplit

MASK = "***"
SHORTEST = 4
"""Characters of a secret that is looked for in any text; a shorter one may be part of a word."""
_PORT = r"\d+(?:[/?#\s:,;.)'\"]|$)"
_LOGIN = re.compile(rf"(://[^:/?#@\s]*):(?!{_PORT})(?=\S)(?:(?!://)[^@'\"\n])*@(?:[^/?#@\s]*@)*")
"""Of any user; a password may hold blanks and slashes, but a path may hold an ``@`` too."""
_TOKEN = re.compile(r"(?i)(https?://)[^:/?#@\s]+@")
"""In the place of a user, without a password."""
_KEY = r"\w*(?:password|passwd|pwd|token|secret|api_?key|access_key)\w*"
_PARAMETER = re.compile(rf"(?i)([?&]{_KEY})=(?!\*\*\*)[^&'\"\n]+")
_VALUE = re.compile(rf"(?i)\b({_KEY})=[^&\s'\"]+")


def masked(text: str, uri: str = "") -> str:
    """Return a text with asterisks for the secrets of all addresses in it.

    Args:
        text: Any.
        uri: An address whose own secrets are masked wherever they stand.
    """
    for secret in _secrets(uri):
        text = text.replace(secret, MASK)
    text = _LOGIN.sub(rf"\1:{MASK}@", _TOKEN.sub(rf"\1{MASK}@", text))
    return _VALUE.sub(rf"\1={MASK}", _PARAMETER.sub(rf"\1={MASK}", text))


def told_to_shell(uri: str) -> str:
    """Return the variable that names a store to MLflow's commands, ready to be pasted.

    Args:
        uri: The store's address, of which secrets are masked.
    """
    return f"MLFLOW_TRACKING_URI={shlex.quote(masked(uri))}"


def _secrets(uri: str) -> list[str]:
    """Return the password of an address, or what stands there as a user alone, in each writing."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # it is none
        return []
    token = parts.username if parts.scheme in ("http", "https") else None
    found = parts.password or token or ""
    return [it for it in {found, unquote(found)} if len(it) >= SHORTEST]
