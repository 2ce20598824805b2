"""Trained evidence networks as .npz files: reading, writing, and the shipped ones (`weights/evidence_xSCALE.npz`).

A file says what it is for and where it came from: config, data, seed, scores and a checksum of its arrays. Beside each
shipped file stands a .json with the same text.
"""

import hashlib
import io
import json
import os
import pathlib
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.networks.evidence import LARGEST_REACH, SMALLEST_SIDE, Evidence
from blindsr_jax.networks.layers import Compute
from blindsr_jax.weights import archive

FOLDER = pathlib.Path(__file__).parent / "files" / "evidence"
_SOURCE = "launch/train_evidence.py"
_MAX_BYTES = 2**26  # of all arrays of a file
_SIZES = ("scale", "kernel_size", "channels", "hidden", "features", "reach", "window")
_LIMITS = ((1, 8), (3, 255), (1, 256), (1, 4096), (1, 1024), (1, LARGEST_REACH), (SMALLEST_SIDE, 1024))
_NOTES = ("sizes", "families", "note", "sha256")
_refuse = partial(archive.refuse, "network")


class Trained(NamedTuple):
    """A trained network and what it is for."""

    params: Any  # flax's, float32
    scale: int
    kernel_size: int
    channels: int
    hidden: int
    features: int
    reach: int
    window: int  # largest side of an LR image that it has seen
    families: tuple[str, ...]  # of kernels, in the order of the prior's members
    note: Mapping[str, Any]  # how it was trained; `config` among it, whose `prior` is what the evidence is against

    def network(self, compute: Compute | None = None) -> Evidence:
        """The module that `params` belong to; it computes in float32 unless told otherwise."""
        sizes = self.scale, self.kernel_size, self.channels, self.hidden, self.features, self.reach
        return Evidence(*sizes, compute or Compute())


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and values of arrays, in hexadecimal."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        x = arrays[name]
        found.update(f"{name} {x.dtype.str} {x.shape}\n".encode())
        found.update(np.ascontiguousarray(x).tobytes())
    return found.hexdigest()


def to_bytes(
    params: Any,
    network: Evidence,
    *,
    window: int,
    families: tuple[str, ...],
    note: Mapping[str, Any],
    half: bool = True,
) -> bytes:
    """A network as the bytes of a .npz file.

    Args:
      params: of `network`.
      network: the module.
      window: largest side of an LR image of the training.
      families: names of the kernel families.
      note: JSON values, how it was trained.
      half: store half precision; `read` gives single precision again.
    """
    dtype = np.float16 if half else np.float32
    arrays = {name: np.asarray(x, dtype) for name, x in flatten_dict(params["params"], sep=".").items()}
    sizes = [window if name == "window" else getattr(network, name) for name in _SIZES]
    notes = {
        "sizes": np.asarray(sizes, np.int32),
        "families": np.asarray(families, np.str_),
        "note": np.asarray(json.dumps(note)),
        "sha256": np.asarray(digest(arrays)),
    }
    data = io.BytesIO()
    np.savez_compressed(data, **notes, **arrays)
    return data.getvalue()


def _describe(arrays: Mapping[str, np.ndarray]) -> Trained | None:
    """What a file says that it holds, its parameters as shapes; None where that is impossible."""
    sizes, families, note = (arrays.get(name) for name in _NOTES[:3])
    if sizes is None or families is None or note is None or sizes.shape != (len(_SIZES),) or sizes.dtype.kind != "i":
        return None
    if not all(low <= size <= high for size, (low, high) in zip(sizes, _LIMITS, strict=True)):
        return None
    if families.ndim != 1 or not len(families) or note.shape or {families.dtype.kind, note.dtype.kind} != {"U"}:
        return None
    try:
        said = json.loads(str(note))
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    found = Trained(None, *map(int, sizes), tuple(map(str, families)), said)
    if found.kernel_size % 2 == 0 or found.kernel_size < found.scale:
        return None
    return found._replace(params=jax.eval_shape(found.network().init, jax.random.key(0), *_examples(found)))


def _examples(found: Trained) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """An image and a kernel of the smallest size."""
    image = jax.ShapeDtypeStruct((1, SMALLEST_SIDE, SMALLEST_SIDE, 3), jnp.float32)
    return image, jax.ShapeDtypeStruct((1, found.kernel_size, found.kernel_size), jnp.float32)


def read(path: str | os.PathLike) -> Trained:
    """Reads a network.

    Args:
      path: a .npz file of `to_bytes`.

    Raises:
      ValueError: one sentence that names the file and what is wrong: missing, damaged, other arrays, not finite.
    """
    arrays = archive.read_arrays(path, kind="network", expected=_SOURCE, max_bytes=_MAX_BYTES)
    found = _describe(arrays)
    weights = {name: x for name, x in arrays.items() if name not in _NOTES}
    wanted = {} if found is None else flatten_dict(found.params["params"], sep=".")
    if not wanted or {k: x.shape for k, x in weights.items()} != {k: x.shape for k, x in wanted.items()}:
        raise _refuse(path, "its arrays do not fit each other, an evidence network expected")
    if not archive.are_finite(weights.values()):
        raise _refuse(path, "it holds numbers that are not finite")
    if str(arrays.get("sha256")) != digest(weights):
        raise _refuse(path, "its arrays are not those that its checksum was taken of")
    tree = unflatten_dict({name: np.asarray(x, np.float32) for name, x in weights.items()}, sep=".")
    return found._replace(params={"params": tree})


def shipped() -> list[str]:
    """Names of the shipped networks, such as 'evidence_x4'."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def load(name: str | os.PathLike | None, scale: int) -> Trained:
    """The network for a scale.

    Args:
      name: a .npz file, or None for the shipped one.
      scale: of the problem.

    Raises:
      ValueError: one sentence: there is none, or the file is bad or for another scale.
    """
    stem = f"evidence_x{scale}"
    if name is None and stem not in shipped():
        raise ValueError(
            f"there is no trained evidence network for scale {scale}, expected one of "
            f"{', '.join(shipped()) or 'none'}, or the .npz file of one trained by {_SOURCE}"
        )
    found = read(FOLDER / f"{stem}.npz" if name is None else name)
    if found.scale != scale:
        raise ValueError(f"the network {str(name)!r} is for scale {found.scale}, one for scale {scale} expected")
    return found
