"""Whether a table that was measured again says the same as an earlier one: the same data, the same scores."""

import os
from collections.abc import Mapping
from typing import Any

from blindsr_jax.io import documents
from blindsr_jax.io.documents import Key

CLOSE = 1e-3  # of scores; another machine or version of JAX may differ by more
_UNCOMPARED = ("seconds", "peak_memory_mb", "estimated_memory_mb", "digest")
_TABLE = documents.object_of(
    {
        "about": Key(documents.mapping_of(documents.anything)),
        "cells": Key(documents.list_of(documents.mapping_of(documents.anything))),
    }
)


def read(path: str | os.PathLike) -> dict[str, Any]:
    """A table.json of an earlier run.

    Raises:
      InputError: it is none.
    """
    return documents.require(path, _TABLE, "the table.json of an earlier run was expected", limit=documents.LIST_BYTES)


def _by_place(cells: list[dict]) -> dict[tuple, dict]:
    return {(cell.get("case"), cell.get("config"), cell.get("seed")): cell for cell in cells}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two tables, a sentence each: settings, SHA-256 of the data, scores of the cells of the old.

    Args:
      old: the earlier table.json.
      new: that of now.
    """
    found = []
    for name, value in old["about"].items():
        if name not in ("device", "jax", "numpy") and new["about"].get(name) != value:
            found.append(f"{name} differs")
    cells = _by_place(new["cells"])
    for place, cell in _by_place(old["cells"]).items():
        words = ", ".join(map(str, place))
        if place not in cells:
            found.append(f"{words}: it was not measured")
            continue
        for key, value in cell.items():
            other = cells[place].get(key)
            if key not in _UNCOMPARED and not _is_close(value, other):
                found.append(f"{words}: {key} is {other}, {value} were expected")
    return found


def _is_close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= CLOSE or a == b
    return a == b
