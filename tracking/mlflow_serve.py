"""Serves the model of a table: raw rows in, chances by class and values in their unit out.

A copy of this file is the code of every model of a table that is exported, so that it imports
nothing of gatelab. What a cell means is said by ``table.json`` beside it; the rest is a graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

CellValues = npt.NDArray[np.float64]
_TRUTHS = {"false": False, "0": False, "true": True, "1": True}


class CellReader:
    """Turns columns of raw cells into the numbers and ids that the graph takes."""

    def __init__(self, recipe: Mapping[str, Any], first_row: int = 1) -> None:
        """Take what ``table.json`` holds, and what errors call the first row."""
        self.columns, self.rules = recipe["columns"], recipe["rules"]
        self.categories, self.first_row = recipe["fitted"]["categories"], first_row
        self.scales = recipe["fitted"]["numbers"]

    def read(self, columns: Mapping[str, pa.Array]) -> CellValues:
        """Return ``(rows, features)``: numbers, NaN where one is missing, and then ids.

        Raises:
            ValueError: If a column is missing, or a cell is none of its column's kind.
        """
        lacking = [f"`{name}`" for name in self.columns if name not in columns]
        if lacking:
            which = "column" if len(lacking) == 1 else "columns"
            raise ValueError(f"the rows have no {which} {', '.join(lacking)}.")
        return np.column_stack(
            [
                self.ids(name, columns[name])
                if name in self.categories
                else self.numbers(name, columns[name])
                for name in self.columns
            ]
        )

    def ids(self, name: str, values: pa.Array) -> CellValues:
        """Return the ids of a category's cells, from 1; 0 where train has none for it."""
        known = pa.array(self.categories[name], pa.large_string())
        texts = self._as_truths(self.texts(name, values), known.drop_null().to_pylist())
        found = pc.index_in(texts, value_set=known)
        return np.asarray(pc.fill_null(found, -1), np.float64) + 1

    def texts(self, name: str, values: pa.Array) -> pa.Array:
        """Return cells in one spelling a value; null where a cell is missing."""
        texts = self._spelled(pc.utf8_trim_whitespace(_as_text(name, values)))
        named = pa.array(self.columns[name]["missing"], pa.large_string())
        none = pc.or_(pc.equal(texts, ""), pc.is_in(texts, value_set=named))
        stand_for_none = self._as_none(name, self._parsed(texts))
        return pc.if_else(pc.or_(none, pa.array(stand_for_none)), None, texts)

    def _spelled(self, texts: pa.Array) -> pa.Array:
        """Return texts as ``canonical`` of gatelab's tables does."""
        spelling = self.rules["spelling"]
        floats = pc.fill_null(pc.match_substring_regex(texts, spelling["floats"]), False)
        numbers = np.asarray(texts.filter(floats).cast(pa.float64()))
        texts = pc.replace_with_mask(texts, floats, pa.array(numbers.astype(str), texts.type))
        for pattern, written in spelling["rewritten"]:
            texts = pc.replace_substring_regex(texts, pattern, written)
        return texts

    def _as_truths(self, texts: pa.Array, words: list[str]) -> pa.Array:
        """Return true and false as a category has them whose words are these, or 1 and 0."""
        truths = [_TRUTHS.get(word.lower()) for word in words]
        if None in truths or len({*truths}) < len(words):
            return texts
        for word, truth in zip(words, truths, strict=True):
            alike = pa.array([it for it in _TRUTHS if _TRUTHS[it] is truth], texts.type)
            texts = pc.if_else(pc.is_in(pc.utf8_lower(texts), value_set=alike), word, texts)
        return texts

    def numbers(self, name: str, values: pa.Array) -> CellValues:
        """Return cells of a number, of two values or of levels; NaN where one is missing."""
        words = self.columns[name]["values"]
        numeric = not words or words == ["0", "1"]
        if numeric and _is_numeric(values.type):
            found = _as_float(values)
            found[self._as_none(name, found)] = np.nan
        else:
            texts = self._in_words(self.texts(name, values), words)
            found = self._parsed(texts) if numeric else self._places(texts, words)
            self._check(name, texts, np.isnan(found) & ~self._missing_words(texts))
        beyond = ~np.isin(found, (0, 1)) if words == ["0", "1"] else np.isinf(found)
        self._check(name, values, beyond & ~np.isnan(found))
        self._check_size(name, values, found)
        return found

    def _check_size(self, name: str, cells: pa.Array, numbers: CellValues) -> None:
        """Check that float32, in which the model calculates, holds numbers as deviations."""
        scale = self.scales[name]["scale"]
        with np.errstate(over="ignore"):
            deviations = np.abs((numbers - scale["mean"]) / scale["deviation"])
        beyond = np.flatnonzero(deviations > np.finfo(np.float32).max)
        if len(beyond):
            row = self.first_row + int(beyond[0])
            mean, deviation = scale["mean"], scale["deviation"]
            raise ValueError(
                f"`{name}` has `{cells[int(beyond[0])]}` (row {row}), too far from what the model "
                f"has learnt from (mean {mean:.3g}, deviation {deviation:.3g})."
            )

    def _parsed(self, texts: pa.Array) -> CellValues:
        """Return texts as numbers; NaN where one is no number."""
        fits = (pc.match_substring_regex(texts, self.rules[it]) for it in ("numeral", "infinite"))
        numbers = pc.if_else(pc.or_(*fits), texts, None).cast(pa.float64())
        return np.array(numbers.fill_null(np.nan), np.float64)

    def _as_none(self, name: str, numbers: CellValues) -> npt.NDArray[np.bool_]:
        """Return which numbers stand for none in a column."""
        named = self._parsed(pa.array(self.columns[name]["missing"], pa.large_string()))
        named = named[~np.isnan(named)]
        return np.isin(numbers, named) | (np.isinf(numbers) & bool(np.isinf(named).any()))

    def _places(self, texts: pa.Array, words: list[str]) -> CellValues:
        """Return which of a column's values each text is: of words such as yes in any case."""
        if self._is_pair(words):
            texts, words = pc.utf8_lower(texts), [word.lower() for word in words]
        found = pc.index_in(texts, value_set=pa.array(words, pa.large_string()))
        return np.array(found.cast(pa.float64()).fill_null(np.nan), np.float64)

    def _in_words(self, texts: pa.Array, words: list[str]) -> pa.Array:
        """Return true and false as the words that a column has for them, if it has some."""
        if not self._is_pair(words):
            return texts
        lower = pc.utf8_lower(texts)
        texts = pc.if_else(pc.equal(lower, "false"), words[0], texts)
        return pc.if_else(pc.equal(lower, "true"), words[1], texts)

    def _is_pair(self, words: list[str]) -> bool:
        return [word.lower() for word in words] in map(list, self.rules["word_pairs"])

    def _missing_words(self, texts: pa.Array) -> npt.NDArray[np.bool_]:
        words = pa.array(self.rules["missing_words"], pa.large_string())
        none = pc.or_(pc.is_in(pc.utf8_lower(texts), value_set=words), pc.is_null(texts))
        return np.asarray(none, bool)

    def _check(self, name: str, cells: pa.Array, wrong: npt.NDArray[np.bool_]) -> None:
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            values = self.columns[name]["values"]
            rule = f"one of {', '.join(values)}" if values else "a finite number"
            row = self.first_row + at
            raise ValueError(f"`{name}` must be {rule}, but has `{cells[at]}` (row {row}).")


def _is_numeric(kind: pa.DataType) -> bool:
    return any(is_(kind) for is_ in (pa.types.is_integer, pa.types.is_floating, pa.types.is_null))


def _as_float(values: pa.Array) -> CellValues:
    return np.array(values.cast(pa.float64(), safe=False).fill_null(np.nan), np.float64)


def _as_text(name: str, values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.large_string())
    except pa.ArrowException as error:
        raise ValueError(f"`{name}` holds cells of the type {values.type}.") from error


def columns_of(frame: pd.DataFrame) -> dict[str, pa.Array]:
    """Return a frame's columns by their names, without spaces around them, in one line.

    Raises:
        ValueError: If two have the same name, or a cell is no value of a table.
    """
    names = [
        " ".join(filter(None, map(str.strip, str(name).splitlines()))) for name in frame.columns
    ]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{names.count(name)} columns are called `{name}`.")
    return {name: _column_of(name, frame.iloc[:, at]) for at, name in enumerate(names)}


def _column_of(name: str, series: pd.Series[Any]) -> pa.Array:
    """Return a column in one piece, floats in 64 bits; values of several types as texts."""
    try:
        made = pa.array(series, from_pandas=True)
    except (pa.ArrowException, OverflowError):
        made = pa.array([_text_of(name, it) for it in series], pa.large_string())
    column = made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.large_string())
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), None, column)
    return column.combine_chunks()


def _text_of(name: str, value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value).lower()
    missing = pd.isna(value)
    if missing is True:
        return None
    try:
        return str(pa.scalar(value).cast(pa.large_string()))
    except pa.ArrowException as error:
        raise ValueError(f"`{name}` has a {type(value).__name__}, no value of a table.") from error


class TableModel(PythonModel):
    """Raw rows to a column for each class and each number."""

    def load_context(self, context: Any) -> None:
        """Load the graph, and what its inputs are made by."""
        recipe = json.loads(Path(context.artifacts["table"]).read_text(encoding="utf-8"))
        self.reader, self.outputs = CellReader(recipe), recipe["outputs"]
        self.graph = mlflow.pytorch.load_model(context.artifacts["graph"])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return a row of values for each row, under the same index.

        Raises:
            MlflowException: If the rows are not those of such a table.
        """
        try:
            cells = self.reader.read(columns_of(model_input))
        except ValueError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        values = np.empty((0, len(self.outputs)))
        if len(cells):
            with torch.no_grad():
                values = self.graph(torch.from_numpy(cells)).numpy()
        return pd.DataFrame(values, index=model_input.index, columns=self.outputs)


set_model(TableModel())
