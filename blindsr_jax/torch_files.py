"""Weights saved by PyTorch, read without it: the zip format and the older one, by an unpickler that makes tensors only.

A pickle is a program. This one may build dicts, ordered dicts, lists, tuples, numbers, strings and tensors; any other
name in it is refused before anything is called.
"""

import collections
import io
import math
import pickle
import struct
import zipfile
from typing import Any, NamedTuple

import numpy as np

from blindsr_jax.files import InputError, refuse

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the older format
_MAX_PICKLE = 2**24  # bytes
_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("<i1"),
    "ByteStorage": np.dtype("<u1"),
    "BoolStorage": np.dtype("?"),
}


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    size: int  # entries


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class _RebuildTensor:
    """Stands for the function that makes a tensor. Without attributes, so that no pickle can change it."""

    __slots__ = ()

    def __call__(self, storage, offset, shape, strides, *_):
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or len(shape) != len(strides):
            raise ValueError("a tensor without a storage")
        if any(not isinstance(n, int) or not 0 <= n < 2**40 for n in numbers):
            raise ValueError("a tensor of impossible shape")
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        # Zero strides would let a small file claim a huge tensor.
        if math.prod(shape) and (last >= storage.size or math.prod(shape) > storage.size):
            raise ValueError("a tensor beyond its storage")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _RebuildParameter:
    """Stands for the function that marks a tensor as a parameter."""

    __slots__ = ()

    def __call__(self, data, *_):
        return data


class _Unpickler(pickle.Unpickler):
    """Refuses every name but those of tensors; storages are noted, not loaded."""

    _allowed = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
        ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
        **{("torch", name): name for name in _DTYPES},
    }

    def find_class(self, module, name):
        """The stand-in of an allowed name."""
        if (module, name) not in self._allowed:
            raise _ForbiddenError(f"{module}.{name}")
        return self._allowed[module, name]

    def persistent_load(self, pid):
        """A storage by its description ('storage', type, key, device, size[, view])."""
        kind, storage, key, _, size, *view = pid
        if kind != "storage" or storage not in _DTYPES or not isinstance(size, int) or (view and view[0] is not None):
            raise ValueError("an unknown storage")
        return _Storage(_DTYPES[storage], str(key), size)


class _ForbiddenError(Exception):
    """A name that a file of tensors does not need."""


def _arrays(tree: Any, storages: dict[str, bytes]) -> Any:
    """The same tree with arrays for tensors."""
    if isinstance(tree, _Tensor):
        storage, data = tree.storage, storages[tree.storage.key]
        flat = np.frombuffer(data, storage.dtype, storage.size)
        strides = [step * storage.dtype.itemsize for step in tree.strides]
        if not math.prod(tree.shape):
            return np.zeros(tree.shape, storage.dtype)
        return np.lib.stride_tricks.as_strided(flat[tree.offset :], tree.shape, strides, writeable=False).copy()
    if isinstance(tree, dict):
        return {key: _arrays(value, storages) for key, value in tree.items()}
    if isinstance(tree, list | tuple) and not isinstance(tree, _Storage):
        return [_arrays(value, storages) for value in tree]
    return tree


def _sizes(tree: Any, found: dict[str, int]) -> dict[str, int]:
    """Bytes of each storage that the tensors of a tree need."""
    if isinstance(tree, _Tensor):
        found[tree.storage.key] = tree.storage.size * tree.storage.dtype.itemsize
    elif isinstance(tree, dict):
        for value in tree.values():
            _sizes(value, found)
    elif isinstance(tree, list | tuple) and not isinstance(tree, _Storage):
        for value in tree:
            _sizes(value, found)
    return found


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        if members[pickles[0]].file_size > _MAX_PICKLE:
            raise ValueError("too large")
        tree = _Unpickler(io.BytesIO(archive.read(pickles[0]))).load()
        storages = {}
        for key, size in _sizes(tree, {}).items():
            info = members[f"{folder}data/{key}"]
            if info.file_size != size:
                raise ValueError("a storage of another size")
            storages[key] = archive.read(info)  # checks the CRC
        return _arrays(tree, storages)


def _read_legacy(data: bytes) -> Any:
    file = io.BytesIO(data)
    if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
        raise ValueError("another format")
    if not _Unpickler(file).load().get("little_endian"):
        raise ValueError("big endian")
    tree, keys = _Unpickler(file).load(), _Unpickler(file).load()
    sizes, storages = _sizes(tree, {}), {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        size = sizes[key]  # a storage that no tensor uses has an unknown width
        storages[key] = file.read(size)
        if len(storages[key]) != size or size % count:
            raise ValueError("truncated")
    return _arrays(tree, storages)


def read_tensors(path, data: bytes) -> dict[str, Any]:
    """Reads what `torch.save` wrote of a dict of tensors.

    Args:
      path: file, for messages.
      data: its bytes.

    Returns:
      The dict, with NumPy arrays for tensors; values can be dicts again.

    Raises:
      InputError: damaged, truncated, no such file, or holding anything but tensors and plain values.
    """
    try:
        tree = _read_zip(data) if data.startswith(b"PK") else _read_legacy(data)
    except _ForbiddenError as error:
        raise refuse(path, f"it asks for {error}, a file of tensors only was expected") from error
    except InputError:
        raise
    except Exception as error:  # damaged files end in nearly every kind of error
        raise refuse(path, "it is not a complete file of torch.save, a dict of tensors was expected") from error
    if not isinstance(tree, dict):
        raise refuse(path, "it holds no dict, a dict of tensors was expected")
    return tree
