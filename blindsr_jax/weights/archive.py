"""The one format of files of trained weights (.npz): written with their provenance, read without trusting them.

A file holds the arrays of a network and, as JSON in the array 'metadata', which network it is, its architecture, where
it came from (`ABOUT`) and the SHA-256 of the arrays. What is wrong with a file is one sentence that names it. A network
has one `Format` in a module of its own. Imports nothing else of the package.
"""

import hashlib
import io
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import jax
import numpy as np

METADATA = "metadata"  # the array that holds the JSON
ABOUT = ("name", "config", "data", "seed", "metrics")  # of a training; null where unknown
FILES = pathlib.Path(__file__).parent / "files"  # the shipped ones, a folder per network
_MAX_METADATA_BYTES = 2**24

Arrays = dict[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]


def refuse(kind: str, path: str | os.PathLike, reason: str) -> ValueError:
    """The error about one file, to be raised.

    Args:
      kind: what the file was to hold: 'flow', 'network'.
      path: of the file.
      reason: what is wrong, and what was expected.
    """
    return ValueError(f"cannot read the {kind} {str(path)!r}: {reason}")


def read_arrays(path: str | os.PathLike, *, kind: str, expected: str, max_bytes: int) -> Arrays:
    """Reads all arrays of a .npz file; nothing in it is run, and its bytes are in memory once, as the arrays.

    Args:
      path: of the file.
      kind: what it holds, for messages: 'flow', 'network'.
      expected: what writes such files, for messages: 'launch/train_flow.py'.
      max_bytes: of all arrays together; a small file can claim to hold huge ones.

    Returns:
      Name to array, of any dtype but object.

    Raises:
      ValueError: names the file: missing, damaged, no archive of arrays, too large.
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


def _load(file: BinaryIO) -> Arrays:
    with np.load(file, allow_pickle=False) as archive:
        arrays = dict(archive)
    if not all(isinstance(x, np.ndarray) for x in arrays.values()):
        raise ValueError("bytes that are no array")  # NumPy passes them on as they are
    return arrays


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and values of arrays, in hexadecimal."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        x = arrays[name]
        found.update(f"{name} {x.dtype.str} {x.shape}\n".encode())
        found.update(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def read_metadata(file: str | os.PathLike | BinaryIO) -> dict[str, Any] | None:
    """The metadata of a file alone, its arrays unread and unchecked; None where it has none."""
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.getinfo(f"{METADATA}.npy").file_size > _MAX_METADATA_BYTES:
                return None
            with archive.open(f"{METADATA}.npy") as entry:
                return _parse(np.lib.format.read_array(entry, allow_pickle=False))
    except Exception:  # damaged archives end in many kinds of errors
        return None


def _parse(text: np.ndarray) -> dict[str, Any]:
    found = json.loads(str(text)) if text.dtype.kind == "U" and text.shape == () else None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def whole_numbers(values: Mapping[str, Any], limits: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Entries of an architecture that must be whole numbers within limits; raises ValueError or KeyError."""
    found = {name: values[name] for name in limits}
    for name, (low, high) in limits.items():
        if type(found[name]) is not int or not low <= found[name] <= high:
            raise ValueError(f"its {name} is not a whole number from {low} to {high}")
    return found


def words(values: Any) -> tuple[str, ...]:
    """A part of an architecture that must be one name or more; raises ValueError."""
    if not isinstance(values, list) or not values or not all(isinstance(x, str) for x in values):
        raise ValueError("no list of names")
    return tuple(values)


def half(params: Any) -> Any:
    """Arrays of float32 as a file in half precision gives them back."""
    return jax.tree.map(lambda x: np.asarray(np.asarray(x, np.float16), np.float32), params)


class Weights(NamedTuple):
    """What a file holds."""

    architecture: Any  # the network's own
    arrays: Arrays  # float32, of the shapes that the architecture asks for, finite
    metadata: Mapping[str, Any]  # `ABOUT` and more; of files older than the metadata only 'architecture'


class Format(NamedTuple):
    """How the weights of one network lie in files."""

    network: str  # its name in the metadata and among `FILES`: 'kenet'
    kind: str  # in messages: 'network'
    sources: str  # what writes such files, in messages
    max_bytes: int  # of all arrays of a file
    architecture: Callable[[Mapping[str, Any], int], Any]  # (JSON values, number of arrays) -> a NamedTuple; or raises
    shapes: Callable[[Any], Shapes]  # architecture -> the shape of every array
    older: Callable[[Arrays], tuple[Arrays, dict[str, Any]]]  # a file without metadata -> what it is in this format
    compress: bool = True

    @property
    def folder(self) -> pathlib.Path:
        """Of the shipped files."""
        return FILES / self.network

    def to_bytes(
        self, arrays: Mapping[str, np.ndarray], architecture: Mapping[str, Any], about: Mapping[str, Any] | None = None
    ) -> bytes:
        """Weights as the bytes of a .npz file.

        Args:
          arrays: by name, in the precision in which they are to be stored.
          architecture: JSON values that the field `architecture` reads.
          about: JSON values, where the weights came from: `ABOUT` and whatever else there is to say.
        """
        metadata = {"network": self.network, **dict.fromkeys(ABOUT), **(about or {})}
        metadata |= {"architecture": architecture, "sha256": digest(arrays)}
        data = io.BytesIO()
        save = np.savez_compressed if self.compress else np.savez
        save(data, **{METADATA: np.asarray(json.dumps(metadata))}, **arrays)
        return data.getvalue()

    def read(self, path: str | os.PathLike) -> Weights:
        """Reads weights of this format, or of the one that the network had before.

        Raises:
          ValueError: names the file and what is wrong: missing, damaged, of another network, arrays
            that its architecture does not have or whose checksum is another one, not finite.
        """
        arrays = read_arrays(path, kind=self.kind, expected=self.sources, max_bytes=self.max_bytes)
        try:
            text = arrays.pop(METADATA, None)
            arrays, metadata = self.older(arrays) if text is None else (arrays, _parse(text))
            if metadata.get("network", self.network) != self.network:
                raise ValueError("another network")
            architecture = self.architecture(metadata["architecture"], len(arrays))
            shapes = self.shapes(architecture)
        except Exception as error:  # values of wrong kinds; and Flax raises nearly anything where sizes do not fit
            reason = f"its arrays do not fit each other, those of a {self.network} network were expected"
            raise refuse(self.kind, path, reason) from error
        self._check(path, arrays, shapes)
        if "sha256" in metadata and metadata["sha256"] != digest(arrays):
            raise refuse(self.kind, path, "its arrays are not those that its checksum was taken of")
        return Weights(architecture, {name: np.asarray(x, np.float32) for name, x in arrays.items()}, metadata)

    def _check(self, path: str | os.PathLike, arrays: Arrays, shapes: Shapes) -> None:
        if missing := set(shapes) - set(arrays):
            raise refuse(self.kind, path, f"it has no {min(missing)}, which its network needs")
        if unknown := set(arrays) - set(shapes):
            raise refuse(self.kind, path, f"{min(unknown)} was not expected in it")
        for name, x in arrays.items():
            if x.shape != shapes[name] or x.dtype.kind != "f":
                expected = f"numbers of shape {shapes[name]} were expected"
                raise refuse(self.kind, path, f"its {name} is {x.dtype} {x.shape}, {expected}")
            if not np.isfinite(x).all():
                raise refuse(self.kind, path, f"its {name} is not finite")

    def shipped(self) -> list[str]:
        """Names of the shipped files."""
        return sorted(path.stem for path in self.folder.glob("*.npz"))

    def load(self, path: str | os.PathLike | None, stem: str, *, scale: int | None = None) -> Weights:
        """The weights that a config names.

        Args:
          path: a .npz file, or None for the shipped one.
          stem: name of the shipped one.
          scale: that the architecture must be for, if there is one.

        Raises:
          ValueError: there is none, or the file is bad or for another scale.
        """
        if path is None and stem not in self.shipped():
            known = ", ".join(self.shipped()) or "none is shipped"
            raise ValueError(
                f"there is no shipped {self.kind} {stem!r}, expected one of {known}, or the .npz file of {self.sources}"
            )
        found = self.read(self.folder / f"{stem}.npz" if path is None else path)
        if scale is not None and found.architecture.scale != scale:
            raise ValueError(
                f"the {self.kind} {str(path or stem)!r} is for scale {found.architecture.scale}, one for scale {scale} "
                "was expected"
            )
        return found
