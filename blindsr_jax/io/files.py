"""Bytes from and to files: inputs are checked before they are believed, outputs appear whole or not at all."""

import csv
import io
import json
import math
import os
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from blindsr_jax.io import durable

MAX_MEGAPIXELS = 120.0  # of an image; a small file can claim to hold a huge one
LIMIT_VARIABLE = "BLINDSR_MAX_MEGAPIXELS"
_BYTES_PER_PIXEL = 16  # of the largest layout that is read: four float32 channels without compression
_PIECE = 2**22  # bytes that are read at once
_FORMULA = ("=", "+", "-", "@", "\t", "\n")  # what a cell begins with that a spreadsheet would run


class InputError(ValueError):
    """A file that cannot be used; the message is one sentence that names it and says what was expected."""


def refuse(path: str | os.PathLike, reason: str) -> InputError:
    """An InputError about one file.

    Args:
      path: the file.
      reason: str, what is wrong and what was expected.

    Returns:
      InputError, to be raised.
    """
    return InputError(f"cannot read {str(path)!r}: {reason}")


def max_pixels() -> int:
    """The most pixels that an image may have: 120 megapixels, or what the environment says.

    Returns:
      int, from the environment variable BLINDSR_MAX_MEGAPIXELS where it is set.

    Raises:
      InputError: the variable is not a positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE) or str(MAX_MEGAPIXELS)
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not 0 < limit < 1e9:
        raise InputError(f"the environment variable {LIMIT_VARIABLE} is {text!r}, a positive number was expected")
    return int(1e6 * limit)


def _open_without_waiting(path, flags):
    """Some system files, and pipes that have just taken the place of a file, would wait for a writer for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(file: BinaryIO, most: int) -> bytes:
    """At most so many bytes, in pieces: `read` takes as much memory as it is asked for, whatever there is to read."""
    parts = []
    while most and (part := file.read(min(most, _PIECE))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def read_bytes(path: str | os.PathLike, *, limit: int | None = None) -> bytes:
    """Reads a regular file.

    Args:
      path: file.
      limit: int, the most bytes; the default is the size of the largest image that may be read.

    Returns:
      bytes, at least one.

    Raises:
      InputError: missing, a folder or a device, not readable, empty, or larger than the limit.
    """
    path = Path(path)
    raised = f" ({LIMIT_VARIABLE} raises it)" if limit is None else ""
    limit = _BYTES_PER_PIXEL * max_pixels() + 2**20 if limit is None else limit
    try:
        if path.is_dir():
            raise refuse(path, "it is a folder, a file was expected")
        if path.exists() and not path.is_file():
            raise refuse(path, "it is a device or a pipe, a regular file was expected")
        with open(path, "rb", opener=_open_without_waiting) as file:
            size = os.fstat(file.fileno()).st_size
            # Not more than asked for: a file can grow, and some system files have no size.
            data = _read(file, limit + 1) if size <= limit else b""
    except FileNotFoundError as error:
        raise refuse(path, "there is no such file") from error
    except OSError as error:
        raise refuse(
            path, f"{(error.strerror or 'input/output error').lower()}, a readable file was expected"
        ) from error
    except InputError:
        raise
    except ValueError as error:  # a zero byte in the name
        raise refuse(path, "the name is not valid") from error
    if max(size, len(data)) > limit:
        found = f"{max(size, len(data)) / 1e6:,.1f} MB are more than the limit of {limit / 1e6:,.1f} MB"
        raise refuse(path, found + raised)
    if not data:
        raise refuse(path, "the file is empty")
    return data


def read_npy(
    path: str | os.PathLike, data: bytes, *, check: Callable[[tuple[int, ...]], None] | None = None
) -> np.ndarray:
    """Decodes a .npy file without copying its values; pickled objects are refused.

    Args:
      path: file, for messages.
      data: bytes of the file.
      check: function of the shape that the header claims, called before anything is read or reserved for it.

    Returns:
      array of any shape and type, read-only.

    Raises:
      InputError: damaged, truncated, an archive, or holding objects.
    """
    if data.startswith(b"PK"):
        raise refuse(path, "it is an archive of arrays, a .npy file with one array was expected")
    try:
        with warnings.catch_warnings():  # about headers written by Python 2
            warnings.simplefilter("ignore")
            file = io.BytesIO(data)
            major, _ = np.lib.format.read_magic(file)
            # Version 3 differs from 2 in the names of fields only, which no plain array has.
            read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = read(file)
        if dtype.hasobject or dtype.names or not dtype.itemsize or any(not 0 <= n < 2**62 for n in shape):
            raise ValueError("no plain array")
        if check is not None:
            check(shape)
        flat = np.frombuffer(data, dtype, math.prod(shape), file.tell()) if math.prod(shape) else np.zeros(0, dtype)
        return flat.reshape(shape, order="F" if columns_first else "C")
    except InputError:
        raise
    except Exception as error:  # broken headers end in many kinds of errors
        raise refuse(path, "it is not a complete .npy file with one plain array") from error


def _create(path: Path) -> BinaryIO:
    """Opens a new file; its folder is made only where it is missing, as asking takes time on a shared disk."""
    try:
        return open(path, "xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb")


def write_bytes(path: str | os.PathLike, data: bytes, *, is_durable: bool = False) -> None:
    """Writes a file through a temporary name in the same folder, which is made where missing.

    Args:
      path: file to write; replaced where it exists.
      data: bytes.
      is_durable: bool, wait until it is on the disk itself: after a power cut, the old file or the new one is there.

    Raises:
      OSError: the folder cannot be written.
    """
    path = Path(path)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with _create(temporary) as file:
            file.write(data)
            if is_durable:
                file.flush()
                durable.sync(file.fileno())
        os.replace(temporary, path)
        if is_durable:
            durable.sync_folder(path.parent)
    except BaseException:  # an interrupt too must leave nothing behind
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike, text: str, *, is_durable: bool = False) -> None:
    """Writes a UTF-8 text file, whole or not at all.

    Args:
      path: file to write.
      text: str; bytes of file names that are no text, which Python keeps as lone surrogates, are escaped.
      is_durable: bool, see `write_bytes`.

    Raises:
      OSError: the folder cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"), is_durable=is_durable)


def _plain(value):
    """The same value in JSON's types, None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        value = np.asarray(value).tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, os.PathLike) else value


def write_array(path: str | os.PathLike, array: Any) -> None:
    """Writes an array as float32 .npy, whole or not at all.

    Args:
      path: file to write.
      array: of any shape.

    Raises:
      OSError: the folder cannot be written.
    """
    data = io.BytesIO()
    np.save(data, np.asarray(array, np.float32))
    write_bytes(path, data.getvalue())


def write_json(path: str | os.PathLike, obj: Any) -> None:
    """Writes JSON, whole or not at all and durable; NaN and infinities, which JSON lacks, become null.

    Args:
      path: file to write.
      obj: dicts, lists, tuples, str, numbers, bool, None, paths, and arrays, which become nested lists.

    Raises:
      TypeError: a value of another type.
      OSError: the folder cannot be written.
    """
    write_text(path, json.dumps(_plain(obj), indent=1, allow_nan=False) + "\n", is_durable=True)


def _cell(value):
    """A value of a table; a text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if not isinstance(value, str):
        return value
    value = value.replace("\r", "\\r")  # the csv module does not quote what to others is the end of a line
    if not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value


def write_csv(path: str | os.PathLike, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a table with one line per dict, whole or not at all.

    Args:
      path: file to write.
      rows: list of dicts. The columns are all keys in order of their first appearance. Missing values, None, NaN and
        infinities give empty cells; lists and dicts are written as JSON; formulas are made harmless.

    Raises:
      TypeError: a value that JSON cannot hold.
      OSError: the folder cannot be written.
    """
    rows = [_plain(row) for row in rows]
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(key)) for key in columns] for row in rows)
    write_text(path, text.getvalue())
