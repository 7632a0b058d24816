"""Likeness: whether modules differ in nothing but their tensors, so that one can run as all."""

from __future__ import annotations

import math
import pickle
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MappingProxyType, MethodType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.lazy import LazyModuleMixin

TREE = ("_parameters", "_buffers", "_modules")
"""The attributes of a module that hold what is registered with it."""
VIEWS = ("_flat_weights", "_flat_weight_refs")
"""Attributes of torch's recurrent layers that follow their parameters by themselves."""
GRAPH = "_graph"
"""The attribute of a ``torch.fx.GraphModule`` from which its code was made, which is compared."""
PARAMETRIZED = "torch.nn.utils.parametrize"
"""The module of classes that torch makes for one module each, which lead to its submodules."""
NO_CONTENT = ("__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "_abc_impl")
"""Attributes of a class that do not change what it does."""
BY_VALUE = (bool, int, str, bytes, type(None))
"""Types whose values are the same where they are equal: most of a module's attributes."""
MAPPINGS = (dict, MappingProxyType)
"""Types that hold what they hold by its key, and nothing else."""
SHOWN = 40
"""Characters of a value in a message."""
_COMPILED, _LAYERS, _WITH_GRADIENT = "is compiled", "layers in a", "with a gradient"
_LAZY = "makes its parameters in its first forward"
"""What is said of values that a buffer would not mend."""


def difference(first: nn.Module, other: nn.Module) -> str:
    """Return what of two modules differs beside the values of their tensors; empty: nothing.

    Compared are, of submodules too: classes, attributes, hooks, and the shapes, types and
    gradients of tensors. An attribute that holds a tensor without being a parameter or a buffer
    must be equal in both.
    """
    return _Comparison(first, other).modules(first, other, "")


def advice(found: str) -> str:
    """Return what to do about a difference."""
    if found.endswith(_LAZY) or ("learnt" in found and "None" in found):
        return "make what is registered in `__init__`, or in a gate's `place`, and in all of them"
    if ", learnt" in found and ", not learnt" in found:
        return "freeze it in all of them, or in none"
    if found.endswith("learnt)"):
        return "give it one shape and one type in all of them"
    if found.endswith(_COMPILED):
        return "a compiled module cannot be stacked: give the module itself"
    if _LAYERS in found:
        keeper = "ModuleDict" if f"{_LAYERS} dict" in found else "ModuleList"
        return f"keep layers in an `nn.{keeper}`"
    if _WITH_GRADIENT in found:
        return "make it an `nn.Parameter`"
    return "keep a number in a buffer (`register_buffer`)"


class _Comparison:
    """Two trees of modules side by side; what refers back to a pair of theirs is alike."""

    def __init__(self, first: nn.Module, other: nn.Module) -> None:
        pairs = zip(first.modules(), other.modules(), strict=False)
        self.alike = {(id(one), id(two)) for one, two in pairs}
        self.held: list[Any] = []  # an object that is gone would leave its id to the next

    def modules(self, one: nn.Module, two: nn.Module, path: str) -> str:
        """Return what differs, with the path of where; empty: nothing."""
        for state, holds in ((_COMPILED, _is_compiled(one)), (_LAZY, _is_lazy(one, two))):
            if holds:
                return f"{repr(path[:-1]) if path else 'the module'} {state}"
        if not self.values(type(one), type(two)):
            return _words(path or "class", type(one).__name__, type(two).__name__)
        for name in sorted({*vars(one), *vars(two)} - {*TREE, *VIEWS, *_followers(one)}):
            a, b = _attribute(one, name), _attribute(two, name)
            if not self.values(a, b):
                return _words(f"{path}{name}", a, b)
        for part in TREE[:2]:
            if found := _tensors(getattr(one, part), getattr(two, part), path):
                return found
        if [*one._modules] != [*two._modules]:
            return _words(f"{path}modules", [*one._modules], [*two._modules])
        for name, module in one._modules.items():
            found = self._submodules(module, two._modules[name], f"{path}{name}")
            if found:
                return found
        return ""

    def _submodules(self, one: nn.Module | None, two: nn.Module | None, path: str) -> str:
        if one is None or two is None:
            return "" if one is two else _words(path, one, two)
        if type(one).__name__ != type(two).__name__ and not _is_lazy(one, two):
            return _words(path, type(one).__name__, type(two).__name__)
        return self.modules(one, two, f"{path}.")

    def values(self, one: Any, two: Any) -> bool:
        """Return whether two objects do the same, as far as can be seen."""
        if one is two or (id(one), id(two)) in self.alike:
            return True
        if type(one) is type(two) and type(one) in BY_VALUE:
            return bool(one == two)
        if type(one) is type(two) is list and not one and not two:  # most hooks of a module
            return True
        if type(one) is not type(two) and not self.values(type(one), type(two)):
            return False
        self.alike.add((id(one), id(two)))  # what refers to itself ends here
        self.held += one, two
        same = self._content(one, two)
        if not same:
            self.alike.discard((id(one), id(two)))
        return same

    def _content(self, one: Any, two: Any) -> bool:
        if isinstance(one, Tensor):
            return _equal(one, two) and self.values(vars(one), vars(two))
        if isinstance(one, nn.Module):
            pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=False)
            return not self.modules(one, two, "") and all(_equal(a, b) for a, b in pairs)
        if type(one) is float:
            return bool(one == two) or (math.isnan(one) and math.isnan(two))
        if type(one) in MAPPINGS:
            return one.keys() == two.keys() and self._all((one[k], two[k]) for k in one)
        if type(one) in (list, tuple):
            return len(one) == len(two) and self._all(zip(one, two, strict=True))
        parts = _parts(one)
        if parts is not None:
            return self.values(parts, _parts(two))
        return _opaque(one, two)

    def _all(self, pairs: Iterable[tuple[Any, Any]]) -> bool:
        return all(self.values(one, two) for one, two in pairs)


def _is_compiled(module: nn.Module) -> bool:
    """Return whether a module is what ``torch.compile`` or ``torch.jit.script`` has made of one."""
    return hasattr(module, "_orig_mod") or isinstance(module, torch.jit.ScriptModule)


def _is_lazy(*modules: nn.Module) -> bool:
    """Return whether any of modules waits for an input to make its parameters."""
    return any(isinstance(m, LazyModuleMixin) and m.has_uninitialized_params() for m in modules)


def _followers(module: nn.Module) -> set[str]:
    """Return the attributes of a module that do nothing which something compared does not do."""
    graph = {GRAPH} if isinstance(module, fx.GraphModule) else set()
    return graph | _made_anew(module)


def _made_anew(module: nn.Module) -> set[str]:
    """Return the tensors that hooks make from parameters before each pass, as torch's own do.

    Such a hook has the name of what it makes: of ``weight_norm``, ``spectral_norm`` and ``prune``.
    """
    hooks = module._forward_pre_hooks.values()
    named = {v for hook in hooks for v in getattr(hook, "__dict__", {}).values() if type(v) is str}
    return {name for name in named if isinstance(vars(module).get(name), Tensor)}


def _attribute(module: nn.Module, name: str) -> Any:
    """Return an attribute of a module itself; of hooks not the numbers that torch gives them."""
    value = vars(module).get(name)
    return list(value.values()) if "_hooks" in name and isinstance(value, dict) else value


def _tensors(one: Mapping[str, Tensor | None], two: Mapping[str, Tensor | None], path: str) -> str:
    for name in (*one, *two):
        kinds = [_kind(tensors.get(name)) for tensors in (one, two)]
        if kinds[0] != kinds[1]:
            return _words(f"{path}{name}", *kinds)
    return ""


def _kind(tensor: Tensor | None) -> str:
    if tensor is None:
        return "None"
    learnt = "learnt" if tensor.requires_grad else "not learnt"
    return f"{tuple(tensor.shape)} {tensor.dtype}, {learnt}"


def _equal(one: Tensor, two: Tensor) -> bool:
    if _kind(one) != _kind(two):
        return False
    # What was computed from parameters is made again in each pass.
    return one.grad_fn is not None or torch.allclose(one, two, rtol=0, atol=0, equal_nan=True)


def _parts(value: Any) -> Any:
    """Return what an object consists of; ``None`` where that cannot be seen."""
    if isinstance(value, FunctionType):
        cells = [_cell(cell) for cell in value.__closure__ or ()]
        defaults = [value.__defaults__, value.__kwdefaults__]
        return [value.__code__, defaults, cells, _global_values(value), vars(value)]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, (staticmethod, classmethod)):
        return [value.__func__]
    if isinstance(value, torch.Generator):
        return [value.get_state()]
    if isinstance(value, weakref.ReferenceType):
        return [value()]
    if isinstance(value, type):
        content = {n: v for n, v in vars(value).items() if n not in NO_CONTENT}
        known = sorted(content) if value.__module__ == PARAMETRIZED else content
        return [value.__qualname__, value.__module__, value.__bases__, known]
    if attributes := getattr(value, "__dict__", None):
        return [attributes, _saved(value)]
    return _saved(value) if isinstance(value, (dict, list, tuple)) else None


def _saved(value: Any) -> list[Any] | None:
    """Return what an object would be saved as, part by part: slots and items beside attributes.

    ``None`` where it cannot be saved.
    """
    with suppress(Exception):  # whatever a stranger's object raises
        parts = value.__reduce_ex__(4)
        return [[*part] if isinstance(part, Iterator) else part for part in parts]
    return None


def _global_values(function: FunctionType) -> dict[str, Any]:
    """Return what a function may find outside itself by a name that its code has."""
    names, known = _names(function.__code__), function.__globals__
    return {name: known[name] for name in names if name in known}


def _names(code: CodeType) -> set[str]:
    """Return the names of globals, attributes and imports in code, and in functions within it."""
    within = (it for it in code.co_consts if isinstance(it, CodeType))
    return {*code.co_names}.union(*map(_names, within))


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None


def _opaque(one: Any, two: Any) -> bool:
    """Compare what shows no parts: by its own rule, or by what it would be saved as."""
    with suppress(Exception):  # whatever a stranger's object raises; it may differ
        if one == two:
            return True
    with suppress(Exception):
        return pickle.dumps(one) == pickle.dumps(two)
    return False


def _words(path: str, one: Any, two: Any) -> str:
    return f"{path!r} differs ({_short(one)} and {_short(two)})"


def _short(value: Any) -> str:
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, (list, tuple, dict)) and any(isinstance(it, nn.Module) for it in inner):
        return f"{_LAYERS} {type(value).__name__}"
    if isinstance(value, Tensor) and value.requires_grad:
        return f"a tensor {tuple(value.shape)} {_WITH_GRADIENT}"
    text = " ".join((value if isinstance(value, str) else repr(value)).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
