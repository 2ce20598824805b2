"""JSON documents that an earlier run, another program or a person has written: of the right kinds, or refused.

A kind is a function of a value: None where the value is of the kind, else what is wrong with it.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from blindsr_jax.io.files import InputError, read_bytes, refuse
from blindsr_jax.io.paths import is_clean

DOCUMENT_BYTES = 2**20  # the most of one document
LIST_BYTES = 2**26  # the most of a list of them: 30,000 records; the worst there can be takes 2 GB of memory
_LEVELS = 32  # the most lists and objects within each other
_LONGEST = 200  # characters of what is said of a document, which may repeat a key of it

Kind = Callable[[Any], str | None]


class Key(NamedTuple):
    """A key of an object."""

    kind: Kind
    is_required: bool = True  # False: older documents lack it


def anything(value: Any) -> None:
    """Any value."""


def text(value: Any) -> str | None:
    """A text."""
    return None if isinstance(value, str) else "a text was expected"


def stem(value: Any) -> str | None:
    """The name of an image, see `names.is_clean`."""
    return None if isinstance(value, str) and is_clean(value) else "the name of an image was expected"


def number(value: Any) -> str | None:
    """A finite number that a float can hold."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    return None if is_number else "a finite number was expected"


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def check(value):
        is_whole = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if is_whole else f"a whole number from {low} to {high} was expected"

    return check


def one_of(*words: str) -> Kind:
    """One of some words."""
    wrong = f"one of {', '.join(words)} was expected"
    return lambda value: None if isinstance(value, str) and value in words else wrong


def nullable(kind: Kind) -> Kind:
    """A kind, or null."""
    return lambda value: None if value is None else kind(value)


def list_of(kind: Kind) -> Kind:
    """A list of values of one kind."""

    def check(value):
        if not isinstance(value, list):
            return "a list was expected"
        return next((f"entry {i}: {wrong}" for i, x in enumerate(value) if (wrong := kind(x)) is not None), None)

    return check


def mapping_of(kind: Kind) -> Kind:
    """An object whose values are of one kind, whatever its keys."""

    def check(value):
        if not isinstance(value, dict):
            return "an object was expected"
        return next((f"{key!r}: {wrong}" for key, x in value.items() if (wrong := kind(x)) is not None), None)

    return check


def object_of(keys: Mapping[str, Key]) -> Kind:
    """An object with these keys; others may stand beside them."""

    def check(value):
        if not isinstance(value, dict):
            return "an object was expected"
        for name, key in keys.items():
            if name not in value:
                if key.is_required:
                    return f"{name!r} is missing"
            elif (wrong := key.kind(value[name])) is not None:
                return f"{name!r}: {wrong}"
        return None

    return check


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError("a number is too large")
    return value


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _is_shallow(value: Any) -> bool:
    layer = [value]
    for _ in range(_LEVELS):
        inner = (x.values() if isinstance(x, dict) else x for x in layer if isinstance(x, (dict, list)))
        layer = [x for values in inner for x in values]
    return not layer


def parse(data: bytes, kind: Kind) -> Any:
    """The value of a document.

    Args:
      data: of the file; the caller limits how much.
      kind: what it must be.

    Raises:
      ValueError: it is not JSON in UTF-8, holds NaN, infinities or more than 32 lists and objects within each other, or
        is not of the kind; the message says what was expected.
    """
    try:
        value = json.loads(data.decode(), parse_float=_finite, parse_constant=_refuse_constant)
        is_shallow = _is_shallow(value)
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError("it is not JSON, or damaged") from error
    if not is_shallow:
        raise ValueError(f"more than {_LEVELS} lists and objects stand within each other")
    if (wrong := kind(value)) is not None:
        raise ValueError(wrong)
    return value


def require(path: str | os.PathLike, kind: Kind, expected: str, *, limit: int = DOCUMENT_BYTES) -> Any:
    """The value of a document without which a launch cannot go on.

    Args:
      path: file.
      kind: what it must be.
      expected: what that is, in words.
      limit: the most bytes.

    Raises:
      InputError: it cannot be read, or is something else.
    """
    data = read_bytes(path, limit=limit)
    try:
        return parse(data, kind)
    except ValueError as error:
        raise refuse(path, f"{str(error)[:_LONGEST]}, {expected}") from error


def read(path: str | os.PathLike, kind: Kind, *, limit: int = DOCUMENT_BYTES) -> Any:
    """The value of a document, or None: a damaged one counts as missing. See `require`."""
    try:
        return require(path, kind, "", limit=limit)
    except InputError:
        return None
