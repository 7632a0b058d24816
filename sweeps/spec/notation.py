"""How a spec is written: YAML 1.2 with merge keys, read within bounds.

PyYAML reads YAML 1.1, where ``010`` is 8, ``190:20:30`` is 685,230, ``1e-3`` is a text, ``no`` is
false and ``2026-02-30`` ends the reader. Here a number has one form, the decimal one; true, false
and null are the only other words; all else is a text. Tags are not needed, and not taken.
"""

from __future__ import annotations

import re
from math import inf
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.scanner import ScannerError

from gatelab.rules import written

MOST_DEPTH = 50
"""Of mappings and lists inside each other."""
MOST_VALUES = 20_000
"""Of a spec, with all that its aliases stand for."""
_CORE = "tag:yaml.org,2002:"
_FORMS = {
    "null": (r"~|null|Null|NULL|", ("~", "n", "N", "")),
    "bool": (r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    "int": (r"[-+]?(0|[1-9][0-9]*)", tuple("-+0123456789")),
    "float": (
        r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        tuple("-+.0123456789"),
    ),
    "merge": (r"<<", ("<",)),
}
"""What a plain word may be beside a text, with the signs that such a word can begin with."""


def read_notation(text: str) -> Any:
    """Return what a text says: mappings, lists and values.

    Raises:
        yaml.YAMLError: If it is no such text, or more than any spec needs.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    except ScannerError as error:
        if _TAB in (error.problem or ""):
            raise _refusal("a tab stands here, where only spaces may", error) from error
        raise
    except (ValueError, OverflowError) as error:  # PyYAML looks for no such sign
        what = "the code in quotes that ends here is that of no sign"
        raise ConstructorError(None, None, what, loader.get_mark()) from error


def write_notation(value: Any) -> str:
    """Return a text that reads as the value, with us and with readers of YAML 1.1."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def write_inline(value: Any) -> str:
    """Return the same in one line: a mapping in braces, a list in brackets, or a word."""
    text = yaml.dump(
        [value],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=True,
        width=inf,
    )
    return text.strip()[1:-1]


def is_number(text: str) -> bool:
    """Return whether a text would be a number without its quotes."""
    return any(re.fullmatch(_FORMS[kind][0], text) for kind in ("int", "float"))


_TAB = r"character '\t'"
_NO_KEYS = (f"{_CORE}null", f"{_CORE}bool")


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what no spec needs, and keys that would silently win."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # none of YAML 1.1

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.count = 0
        self.sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node, and count what it holds: an alias counts as what it stands for."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        before = self.count
        if getattr(event, "tag", None) is not None:
            raise _refusal("tags are not taken: write the value alone, a text in quotes", event)
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise _refusal(f"at most {MOST_DEPTH} mappings and lists inside each other", event)
        node: Any = super().compose_node(parent, index)
        self.depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self.count += 1
            self.sizes[node] = self.count - before
        elif node in self.sizes:
            self.count += self.sizes[node]
        else:
            raise _refusal("an anchor must not hold itself", event)
        if self.count > MOST_VALUES:
            raise _refusal(f"at most {MOST_VALUES} values, with what aliases stand for", event)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping whose keys differ."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key must be one word", key)
            if key.tag in _NO_KEYS:
                raise _refusal(f"a key must be a text: write '{key.value}' in quotes", key)
            if (key.tag, key.value) in seen:
                raise _refusal(f"the key {written(key.value)} is there twice", key)
            seen.add((key.tag, key.value))
        return node


class _Dumper(yaml.SafeDumper):
    """PyYAML's, which puts in quotes also what only we would read as a number."""


def _refusal(problem: str, place: Any) -> ConstructorError:
    mark = place.problem_mark if isinstance(place, ScannerError) else place.start_mark
    return ConstructorError(None, None, problem, mark)


def _integer(_: yaml.SafeLoader, node: Any) -> int:
    """Return an integer that fits into 64 bits, as all that takes one wants it."""
    if len(node.value) > 20 or abs(int(node.value)) >= 2**63:
        raise _refusal(f"an integer must be below 2**63, but got {written(node.value)}", node)
    return int(node.value)


def _text(_: yaml.SafeLoader, node: Any) -> str:
    """Return the sign of a merge where it is no key."""
    return str(node.value)


for _kind, (_pattern, _first) in _FORMS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"{_CORE}{_kind}", re.compile(f"^(?:{_pattern})$"), list(_first)
        )
_Loader.add_constructor(f"{_CORE}int", _integer)
_Loader.add_constructor(f"{_CORE}merge", _text)
