"""Reads one matrix of a MATLAB file, version 5 to 7 (MathWorks, "MAT-file format", level 5).

SciPy's reader ends the whole program on some damaged files, where a run over many images must go on.
"""

import struct
import zlib

import numpy as np

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x800
_MAX_BYTES = 2**26  # of one unpacked variable; a kernel has far less


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
            raise ValueError("the file is truncated or damaged")
        yield kind, data[start : start + size]
        at += step


def _variable(content, name, order):
    """The matrix in a matrix element, None where its name is another one."""
    parts = _elements(content, order)
    (_, flags), (_, shape), (_, label) = (next(parts) for _ in range(3))
    if label.decode("latin-1") != name:
        return None
    flags = struct.unpack_from(order + "I", flags)[0]
    if flags & 0xFF not in _NUMERIC_CLASSES or flags & _COMPLEX:
        raise ValueError(f"the variable {name!r} does not hold real numbers, a full matrix was expected")
    kind, values = next(parts)
    try:
        return np.frombuffer(values, order + _NUMBERS[kind]).reshape(np.frombuffer(shape, order + "i4"), order="F")
    except ValueError as error:  # sizes that do not fit together
        raise ValueError("the file is truncated or damaged") from error


def read_matrix(data, name):
    """Reads a variable.

    Args:
      data: bytes of the file.
      name: str, name of the variable.

    Returns:
      array of real numbers, as stored.

    Raises:
      ValueError: not such a file, damaged, or without a real matrix of that name; the message is a short phrase.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or struct.unpack(order + "H", data[124:126])[0] != 0x0100:
        raise ValueError("it is not a MATLAB file of version 5 to 7")
    try:
        for kind, content in _elements(data[_HEADER:], order):
            if kind == _COMPRESSED:
                kind, content = next(_elements(zlib.decompressobj().decompress(content, _MAX_BYTES), order))
            matrix = _variable(content, name, order) if kind == _MATRIX else None
            if matrix is not None:
                return matrix
    except (StopIteration, RuntimeError, KeyError, TypeError, struct.error, zlib.error) as error:
        raise ValueError("the file is truncated or damaged") from error
    raise ValueError(f"it has no variable {name!r}")
