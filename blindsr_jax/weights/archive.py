"""Archives of arrays, which files of trained weights are, read without trusting them.

What is wrong with a file is one sentence that names it. Imports nothing else of the package.
"""

import os
import zipfile
from collections.abc import Iterable

import numpy as np


def refuse(kind: str, path: str | os.PathLike, reason: str) -> ValueError:
    """The error about one file, to be raised.

    Args:
      kind: what the file was to hold: 'flow', 'network'.
      path: of the file.
      reason: what is wrong, and what was expected.
    """
    return ValueError(f"cannot read the {kind} {str(path)!r}: {reason}")


def read_arrays(path: str | os.PathLike, *, kind: str, expected: str, max_bytes: int) -> dict[str, np.ndarray]:
    """Reads all arrays of a .npz file; nothing in it is run, and its bytes are in memory once, as the arrays.

    Args:
      path: of the file.
      kind: what it holds, for messages: 'flow', 'network'.
      expected: what writes such files, for messages: 'launch/train_flow.py'.
      max_bytes: of all arrays together; a small file can claim to hold huge ones.

    Returns:
      Name to array, of any dtype but object.

    Raises:
      ValueError: one sentence that names the file: missing, damaged, no archive of arrays, too large.
    """
    try:
        with open(path, "rb") as file:  # NumPy leaves a broken file open that it has opened itself
            with zipfile.ZipFile(file) as archive:
                size = sum(info.file_size for info in archive.infolist())
            file.seek(0)
            arrays = _load(file) if size <= max_bytes else None
    except FileNotFoundError as error:
        raise refuse(kind, path, "there is no such file") from error
    except Exception as error:  # damaged archives end in many kinds of errors
        reason = f"it is not a complete .npz file of arrays, one of {expected} was expected"
        raise refuse(kind, path, reason) from error
    if arrays is None:
        raise refuse(kind, path, f"its arrays take {size} bytes, at most {max_bytes} were expected")
    return arrays


def _load(file) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as archive:
        arrays = dict(archive)
    if not all(isinstance(x, np.ndarray) for x in arrays.values()):
        raise ValueError("bytes that are no array")  # NumPy passes them on as they are
    return arrays


def are_finite(arrays: Iterable[np.ndarray]) -> bool:
    """Whether all entries of all arrays are finite floating-point numbers."""
    return all(x.dtype.kind == "f" and np.isfinite(x).all() for x in arrays)
