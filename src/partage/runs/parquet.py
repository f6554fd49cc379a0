"""How parquet is read: what is damaged, or of other columns than ours, is one sentence."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_string_dtype

from partage.errors import UserError


def decode(payload: bytes, columns: Mapping[str, str], path: Path, advice: str) -> pd.DataFrame:
    """Return the table that parquet's bytes hold.

    `columns` are its names, in order, and their types. Raises `UserError` that ends in `advice`
    where the bytes are no parquet, or other columns' than these; `path` says whose they are.
    """
    try:
        table: Any = pd.read_parquet(io.BytesIO(payload))
    except Exception as error:  # pyarrow raises what its readers raise, pandas what its notes do
        raise UserError(f"{path} is corrupt ({type(error).__name__}): {advice}") from error
    if list(table.columns) != list(columns):
        raise UserError(f"{path} has columns {list(table.columns)}, not {list(columns)}: {advice}")
    for name, kind in columns.items():
        if not _is_of_kind(table[name], kind):
            raise UserError(
                f"{path} is corrupt (column {name!r} should hold {kind}, but holds "
                f"{table[name].dtype}): {advice}"
            )
    return table


def _is_of_kind(column: pd.Series, kind: str) -> bool:
    if kind == "str":
        return bool(is_string_dtype(column)) and not bool(column.isna().any())
    return str(column.dtype) == kind
