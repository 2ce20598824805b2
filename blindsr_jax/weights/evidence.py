"""Trained evidence networks as .npz files, and the shipped ones (`files/evidence/evidence_xSCALE.npz`)."""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.networks.evidence import LARGEST_REACH, SMALLEST_SIDE, Evidence
from blindsr_jax.networks.layers import Compute
from blindsr_jax.weights import archive

_LIMITS = {
    "scale": (1, 8),
    "kernel_size": (3, 255),
    "channels": (1, 256),
    "hidden": (1, 4096),
    "features": (1, 1024),
    "reach": (1, LARGEST_REACH),
    "window": (SMALLEST_SIDE, 1024),
}


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

    def config(self, name: str | os.PathLike | None) -> Mapping[str, Any]:
        """The config of its training; `name` is the network's in an error.

        Raises:
          ValueError: the note does not say which prior it was trained on.
        """
        found = self.note.get("config")
        if isinstance(found, Mapping) and isinstance(found.get("prior"), Mapping):
            return found
        raise ValueError(
            f"the network {name!r} does not say what prior it was trained on, expected one that "
            "launch/train_evidence.py has written"
        )


def _architecture(values: Mapping[str, Any], num_arrays: int) -> Trained:
    del num_arrays
    sizes = archive.whole_numbers(values, _LIMITS)
    found = Trained(None, **sizes, families=archive.words(values["families"]), note={})
    if found.kernel_size % 2 == 0 or found.kernel_size < found.scale:
        raise ValueError("the size of its kernels is even, or below the scale")
    return found


def _shapes(found: Trained) -> archive.Shapes:
    image = jax.ShapeDtypeStruct((1, SMALLEST_SIDE, SMALLEST_SIDE, 3), jnp.float32)
    kernel = jax.ShapeDtypeStruct((1, found.kernel_size, found.kernel_size), jnp.float32)
    params = jax.eval_shape(found.network().init, jax.random.key(0), image, kernel)["params"]
    return {name: x.shape for name, x in flatten_dict(params, sep=".").items()}


def _older(arrays: archive.Arrays) -> tuple[archive.Arrays, dict[str, Any]]:
    """Four more arrays told what metadata tell."""
    sizes, families, note, sha256 = (arrays.pop(name) for name in ("sizes", "families", "note", "sha256"))
    values = dict(zip(_LIMITS, sizes.tolist(), strict=True)) | {"families": families.tolist()}
    said = json.loads(str(note))
    return arrays, {**said, "architecture": values, "sha256": str(sha256)}


FORMAT = archive.Format("evidence", "network", "launch/train_evidence.py", 2**26, _architecture, _shapes, _older)
FOLDER, shipped = FORMAT.folder, FORMAT.shipped


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
      note: JSON values, where it came from, see `archive.Format.to_bytes`.
      half: store half precision; `read` gives single precision again.
    """
    dtype = np.float16 if half else np.float32
    arrays = {name: np.asarray(x, dtype) for name, x in flatten_dict(params["params"], sep=".").items()}
    sizes = {name: window if name == "window" else getattr(network, name) for name in _LIMITS}
    return FORMAT.to_bytes(arrays, {**sizes, "families": list(families)}, note)


def _trained(found: archive.Weights) -> Trained:
    params = {"params": unflatten_dict(found.arrays, sep=".")}
    return found.architecture._replace(params=params, note=found.metadata)


def read(path: str | os.PathLike) -> Trained:
    """Reads a network; raises ValueError as `archive.Format.read` does."""
    return _trained(FORMAT.read(path))


def load(name: str | os.PathLike | None, scale: int) -> Trained:
    """The network for a scale.

    Args:
      name: a .npz file, or None for the shipped one.
      scale: of the problem.

    Raises:
      ValueError: there is none, or the file is bad or for another scale.
    """
    return _trained(FORMAT.load(name, f"evidence_x{scale}", scale=scale))
