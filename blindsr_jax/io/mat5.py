"""Reads the small matrices of a MATLAB file, version 5 to 7 (MathWorks, "MAT-file format", level 5).

SciPy's reader ends the whole program on some damaged files, where a run over many images must go on.
"""

import itertools
import math
import struct
import zlib
from typing import Any

import numpy as np

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CELL, _NUMERIC_CLASSES = 1, range(6, 16)
_COMPLEX = 0x800
_MAX_VARIABLES = 100  # a limit on the work that a small file can ask for; and cells of one
_NO_NUMBERS = "does not hold real numbers, a full matrix was expected"
_DAMAGED = "the file is truncated or damaged"


def _elements(data, order):
    """Yields (type, content) of the data elements in a block."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:  # small element: both numbers in the first word, content in the second
            kind, size, start, step = kind & 0xFFFF, kind >> 16, at + 4, 8
        else:
            # Compressed elements alone are not padded to multiples of 8 bytes.
            start, step = at + 8, 8 + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data) or (start == at + 4 and size > 4):
            raise ValueError(_DAMAGED)
        yield kind, data[start : start + size]
        at += step


def _unpack(content, order, limit):
    """Type and content of a compressed element; cut off where it is larger than `limit` numbers and their header."""
    block = zlib.decompressobj().decompress(content, 8 * limit + 4096)
    kind, size = struct.unpack_from(order + "II", block)
    return kind, block[8 : 8 + size]


def _cells(parts, order, limit):
    """The matrices in a cell array, or what is wrong with one of them."""
    values = []
    for kind, content in itertools.islice(parts, _MAX_VARIABLES + 1):
        if kind != _MATRIX:
            raise ValueError(_DAMAGED)
        values.append(_variable(content, order, limit, is_cell=True)[1])
    if len(values) > _MAX_VARIABLES:
        return f"has more than {_MAX_VARIABLES} cells, one kernel was expected"
    return next((value for value in values if isinstance(value, str)), values) or _NO_NUMBERS


def _variable(content, order, limit, *, is_cell=False):
    """Name of a matrix element, and its matrix, the matrices of its cells, or what is wrong with it."""
    parts = _elements(content, order)
    (_, flags), (_, shape), (_, label) = (next(parts) for _ in range(3))
    name = bytes(label).decode("latin-1")
    flags = struct.unpack_from(order + "I", flags)[0]
    if flags & 0xFF == _CELL and not is_cell:
        return name, _cells(parts, order, limit)
    if flags & 0xFF not in _NUMERIC_CLASSES or flags & _COMPLEX:
        return name, _NO_NUMBERS
    shape = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if any(side < 0 for side in shape):
        raise ValueError(_DAMAGED)
    if math.prod(shape) > limit:
        return name, f"has the shape {shape}, at most {limit} numbers were expected"
    kind, values = next(parts)
    try:
        return name, np.frombuffer(values, order + _NUMBERS[kind]).reshape(shape, order="F")
    except ValueError as error:  # sizes that do not fit together
        raise ValueError(_DAMAGED) from error


def _check_format(data):
    """The byte order of the file."""
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if data[:8] == b"\x89HDF\r\n\x1a\n" or (order and data[124:126] in (b"\0\2", b"\2\0")):
        raise ValueError("it is a MATLAB file of version 7.3 (HDF5), which is not supported, save it with -v7")
    if order is None or struct.unpack(order + "H", data[124:126])[0] != 0x0100:
        raise ValueError("it is not a MATLAB file of version 5 to 7")
    return order


def read_matrices(data: bytes, *, limit: int) -> dict[str, Any]:
    """Reads the variables, of which larger ones are not unpacked.

    Args:
      data: bytes of the file.
      limit: int, the most numbers of a matrix.

    Returns:
      dict from the names of the variables to arrays of real numbers, as stored, to lists of those in cell arrays, or to
      what is wrong with that variable, as a phrase (str).

    Raises:
      ValueError: not such a file, or damaged; the message is a short phrase.
    """
    order, variables = _check_format(data), {}
    try:
        for kind, content in _elements(memoryview(data)[_HEADER:], order):
            if kind == _COMPRESSED:
                kind, content = _unpack(content, order, limit)
            if kind == _MATRIX:
                name, value = _variable(content, order, limit)
                variables[name] = value
            if len(variables) > _MAX_VARIABLES:
                raise ValueError(f"it has more than {_MAX_VARIABLES} variables, one kernel was expected")
    except (StopIteration, RuntimeError, KeyError, TypeError, struct.error, zlib.error) as error:
        raise ValueError(_DAMAGED) from error
    return variables
