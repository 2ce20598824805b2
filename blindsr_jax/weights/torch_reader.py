"""Weights saved by PyTorch, read without it: the zip format and the older one, by `pickle_data`.

Whatever a file claims, time and memory stay in proportion to its size.
"""

import io
import math
import os
import struct
import zipfile
from typing import Any, NamedTuple

import numpy as np

from blindsr_jax.io.files import refuse
from blindsr_jax.weights import pickle_data

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the older format
_MOST_AXES = 32  # of a tensor
_MOST_COPIES = 4  # of the file's size: what all tensors may take, some of which share their numbers
_DEEPEST = 20  # dicts and lists in one another
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


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**40


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    """Stands for the function that makes a tensor."""
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("a tensor without a storage")
    if len(shape) != len(strides) or len(shape) > _MOST_AXES or not all(map(_is_size, (offset, *shape, *strides))):
        raise ValueError("a tensor of impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    # Zero strides would let a small file claim a huge tensor.
    if math.prod(shape) and (last >= storage.size or math.prod(shape) > storage.size):
        raise ValueError("a tensor beyond its storage")
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    """Stands for the function that marks a tensor as a parameter."""
    return data


def _ordered_dict() -> dict:
    """Stands for an ordered dict, which is filled later."""
    return {}


def _find_storage(pid: Any) -> _Storage:
    """A storage by its description ('storage', type, key, device, size[, view])."""
    if not isinstance(pid, tuple) or len(pid) not in (5, 6):
        raise ValueError("an unknown storage")
    kind, dtype, key, _, size, *view = pid
    if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str) or not _is_size(size):
        raise ValueError("an unknown storage")
    if view and view[0] is not None:
        raise ValueError("a view of a storage")
    return _Storage(dtype, key, size)


_NAMES = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    **{f"torch.{name}": dtype for name, dtype in _DTYPES.items()},
}


def _load(file: io.BytesIO) -> Any:
    return pickle_data.load(file, names=_NAMES, find=_find_storage)


class _Tree:
    """A pickled tree and what it takes to make arrays of its tensors; each part is visited once."""

    def __init__(self, root: Any):
        self.storages: dict[str, int] = {}  # key to bytes
        self.num_bytes = 0  # of all tensors
        self._root = root
        self._made: dict[int, Any] = {}
        self._visit(root, set(), 0)

    def _visit(self, node: Any, seen: set[int], depth: int) -> None:
        if id(node) in seen or not isinstance(node, dict | list | tuple):
            return
        if depth > _DEEPEST:
            raise ValueError("too deep")
        seen.add(id(node))
        if isinstance(node, _Tensor):
            storage = node.storage
            self.num_bytes += math.prod(node.shape) * storage.dtype.itemsize
            size = storage.size * storage.dtype.itemsize
            if self.storages.setdefault(storage.key, size) != size:
                raise ValueError("a storage of two sizes")
            return
        for value in node.values() if isinstance(node, dict) else node:
            self._visit(value, seen, depth + 1)

    def arrays(self, storages: dict[str, bytes]) -> Any:
        """The same tree with arrays for tensors; tuples come back as lists."""

        def make(node):
            if not isinstance(node, dict | list | tuple):
                return node
            if id(node) not in self._made:
                if isinstance(node, _Tensor):
                    self._made[id(node)] = _array(node, storages[node.storage.key])
                elif isinstance(node, dict):
                    self._made[id(node)] = {key: make(value) for key, value in node.items()}
                else:
                    self._made[id(node)] = [make(value) for value in node]
            return self._made[id(node)]

        return make(self._root)


def _array(tensor: _Tensor, data: bytes) -> np.ndarray:
    dtype = tensor.storage.dtype
    if not math.prod(tensor.shape):
        return np.zeros(tensor.shape, dtype)
    flat = np.frombuffer(data, dtype, tensor.storage.size)
    strides = [step * dtype.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False).copy()


def _check_size(tree: _Tree, most: int) -> None:
    """Refuses tensors that take far more than the file that they are in."""
    if tree.num_bytes > _MOST_COPIES * most:
        raise ValueError("tensors of more bytes than there are")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, which torch never compresses: what it unpacks to is then not longer than the file."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError("a compressed member")
    with archive.open(info) as file:
        return file.read(info.file_size)  # checks the CRC


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        tree = _Tree(_load(io.BytesIO(_member(archive, members[pickles[0]]))))
        _check_size(tree, len(data))
        found = {key: members[f"{folder}data/{key}"] for key in tree.storages}
        # Members can lie over one another.
        if any(info.file_size != tree.storages[key] for key, info in found.items()):
            raise ValueError("a storage of another size")
        if sum(tree.storages.values()) > len(data):
            raise ValueError("storages of more bytes than there are")
        return tree.arrays({key: _member(archive, info) for key, info in found.items()})


def _read_legacy(data: bytes) -> Any:
    file = io.BytesIO(data)
    if _load(file) != _MAGIC or _load(file) != _PROTOCOL:
        raise ValueError("another format")
    if not _load(file).get("little_endian"):
        raise ValueError("big endian")
    tree, keys = _Tree(_load(file)), _load(file)
    _check_size(tree, len(data))
    storages = {}
    for key in keys:
        if not isinstance(key, str):
            raise ValueError("a key that is no text")
        (count,) = struct.unpack("<q", file.read(8))
        size = tree.storages[key]  # a storage that no tensor uses has an unknown width
        storages[key] = file.read(size)
        if len(storages[key]) != size or size % count:
            raise ValueError("truncated")
    return tree.arrays(storages)


def read_tensors(path: str | os.PathLike, data: bytes) -> dict[str, Any]:
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
    except pickle_data.ForbiddenError as error:
        raise refuse(path, f"it asks for {error}, a file of tensors only was expected") from error
    except MemoryError as error:
        raise refuse(path, "there is not enough memory for its tensors") from error
    except Exception as error:  # damaged files end in nearly every kind of error
        raise refuse(path, "it is not a complete file of torch.save, a dict of tensors was expected") from error
    if not isinstance(tree, dict):
        raise refuse(path, "it holds no dict, a dict of tensors was expected")
    return tree
