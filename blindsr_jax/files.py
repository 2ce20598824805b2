"""Finding input files and writing result files: every file appears whole or not at all."""

import csv
import glob
import io
import json
import math
import os
import re
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np


class InputError(ValueError):
    """A file that cannot be used; the message is one sentence that names it and says what was expected."""


def refuse(path, reason):
    """An InputError about one file.

    Args:
      path: the file.
      reason: str, what is wrong and what was expected.

    Returns:
      InputError, to be raised.
    """
    return InputError(f"cannot read {str(path)!r}: {reason}")


def read_bytes(path):
    """Reads a regular file.

    Args:
      path: file.

    Returns:
      bytes, at least one.

    Raises:
      InputError: missing, a folder or a device, not readable, or empty.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise refuse(path, "it is a folder, a file was expected")
        if path.exists() and not path.is_file():
            raise refuse(path, "it is a device or a pipe, a regular file was expected")
        data = path.read_bytes()
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
    if not data:
        raise refuse(path, "the file is empty")
    return data


def read_npy(path, data):
    """Decodes a .npy file; pickled objects are refused.

    Args:
      path: file, for messages.
      data: bytes of the file.

    Returns:
      array of any shape and type.

    Raises:
      InputError: damaged, truncated, an archive, or holding objects.
    """
    try:
        with warnings.catch_warnings():  # about headers written by Python 2
            warnings.simplefilter("ignore")
            array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # broken headers end in many kinds of errors
        raise refuse(path, "it is not a complete .npy file with one plain array") from error
    if not isinstance(array, np.ndarray):
        raise refuse(path, "it is an archive of arrays, a .npy file with one array was expected")
    return array


def write_bytes(path, data):
    """Writes a file through a temporary name in the same folder, which is made where missing.

    Args:
      path: file to write; replaced where it exists.
      data: bytes.

    Raises:
      OSError: the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:  # an interrupt too must leave nothing behind
        temporary.unlink(missing_ok=True)
        raise


def write_text(path, text):
    """Writes a UTF-8 text file, whole or not at all.

    Args:
      path: file to write.
      text: str.

    Raises:
      OSError: the folder cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


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


def write_json(path, obj):
    """Writes JSON, whole or not at all; NaN and infinities, which JSON lacks, become null.

    Args:
      path: file to write.
      obj: dicts, lists, tuples, str, numbers, bool, None, paths, and arrays, which become nested lists.

    Raises:
      TypeError: a value of another type.
      OSError: the folder cannot be written.
    """
    write_text(path, json.dumps(_plain(obj), indent=1, allow_nan=False) + "\n")


def write_csv(path, rows):
    """Writes a table with one line per dict, whole or not at all.

    Args:
      path: file to write.
      rows: list of dicts. The columns are all keys in order of their first appearance. Missing values, None, NaN and
        infinities give empty cells; lists and dicts are written as JSON.

    Raises:
      TypeError: a value that JSON cannot hold.
      OSError: the folder cannot be written.
    """
    rows = [_plain(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in row.items()})
    write_text(path, text.getvalue())


def find_inputs(pattern):
    """Files that match a pattern.

    Args:
      pattern: a file, or a glob (`*`, `?`, `[ab]`, `**` for any folders); `~` is the home folder. A file whose name
        holds such characters is found by its plain name.

    Returns:
      sorted list of Path; folders are left out.

    Raises:
      InputError: no file matches.
    """
    full = os.path.expanduser(os.fspath(pattern))
    if os.path.isfile(full):
        return [Path(full)]
    if os.path.isdir(full):
        raise InputError(
            f"{str(pattern)!r} is a folder, a file or a pattern such as {os.path.join(pattern, '*.png')!r} was expected"
        )
    # Not only regular files: a dangling link is then reported when it is read.
    found = sorted({name for name in glob.glob(full, recursive=True) if not os.path.isdir(name)})
    if not found:
        raise InputError(f"no file matches {str(pattern)!r}, a file or a pattern in quotes was expected")
    return [Path(name) for name in found]


def unique_stems(paths):
    """Names for the results of several inputs.

    Args:
      paths: list of paths.

    Returns:
      list of str in the same order: the stem of each path, numbered from its second use on (photo, photo_2, ...) with
      numbers that no other input has as its own stem. Upper and lower case count as equal, as on some file systems.
    """
    # Bytes that are not text stand in names as lone surrogates, which no text file can hold.
    stems = [re.sub("[\ud800-\udfff]", "_", Path(path).stem) for path in paths]
    real, used, names = {stem.casefold() for stem in stems}, set(), []
    for stem in stems:
        name, number = stem, 2
        while name.casefold() in used or (name != stem and name.casefold() in real):
            name, number = f"{stem}_{number}", number + 1
        used.add(name.casefold())
        names.append(name)
    return names
