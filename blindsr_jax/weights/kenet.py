"""Trained KENets as .npz files, and the shipped ones (`files/kenet/kenet_xSCALE.npz`)."""

import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.networks.kenet import LARGEST_REACH, SMALLEST_SIDE, KENet
from blindsr_jax.networks.layers import Compute
from blindsr_jax.weights import archive

_LIMITS = {
    "scale": (1, 8),
    "kernel_size": (1, 255),
    "channels": (1, 2**12),
    "hidden": (1, 2**16),
    "reach": (0, LARGEST_REACH),
}


def _wide(scale: int) -> pathlib.Path:
    """The file of the shipped network of a scale that was trained with noise, JPEG and all kernel families.

    Raises:
      ValueError: there is none for that scale.
    """
    if scale not in (1, 2, 3, 4):
        raise ValueError(f"there is no wide network for scale {scale}, expected 1 to 4")
    return FOLDER / "wide" / f"kenet_x{scale}.npz"


class Trained(NamedTuple):
    """A trained network and what it is for."""

    params: Any  # flax's, float32
    scale: int
    families: tuple[str, ...]  # of kernels, in the order of the categories
    kernel_size: int
    channels: int
    hidden: int
    reach: int

    def network(self, compute: Compute | None = None) -> KENet:
        """The module that `params` belong to; it computes in float32 unless told otherwise."""
        sizes = self.kernel_size, self.channels, self.hidden, len(self.families), self.reach
        return KENet(*sizes, compute or Compute())


def _architecture(values: Mapping[str, Any], num_arrays: int) -> Trained:
    del num_arrays
    found = Trained(None, families=archive.words(values["families"]), **archive.whole_numbers(values, _LIMITS))
    if found.kernel_size % 2 == 0:
        raise ValueError("the size of its kernels is even")
    return found


def _shapes(found: Trained) -> archive.Shapes:
    image = jax.ShapeDtypeStruct((1, SMALLEST_SIDE, SMALLEST_SIDE, 3), jnp.float32)
    params = jax.eval_shape(found.network().init, jax.random.key(0), image)["params"]
    return {name: x.shape for name, x in flatten_dict(params, sep=".").items()}


def _older(arrays: archive.Arrays) -> tuple[archive.Arrays, dict[str, Any]]:
    """Its sizes were told by the shapes, and the rest by three more arrays."""
    scale, families, reach = (arrays.pop(name) for name in ("scale", "families", "reach"))
    return arrays, {
        "architecture": {
            "scale": scale.item(),
            "families": families.tolist(),
            "kernel_size": math.isqrt(arrays["kernel.kernel"].shape[1]),
            "channels": arrays["conv0.kernel"].shape[3],
            "hidden": arrays["kernel.kernel"].shape[0],
            "reach": reach.item(),
        }
    }


FORMAT = archive.Format("kenet", "network", "launch/train_kenet.py", 2**27, _architecture, _shapes, _older)
FOLDER, shipped = FORMAT.folder, FORMAT.shipped


def to_bytes(
    params: Any,
    *,
    scale: int,
    families: tuple[str, ...],
    reach: int = 0,
    half: bool = True,
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """A network as the bytes of a .npz file.

    Args:
      params: of `KENet.init`.
      scale: of the super-resolution.
      families: names of the kernel families, in the order of the categories.
      reach: of the network.
      half: store half precision; `read` gives single precision again.
      about: JSON values, where it came from, see `archive.Format.to_bytes`.
    """
    dtype = np.float16 if half else np.float32
    arrays = {name: np.asarray(x, dtype) for name, x in flatten_dict(params["params"], sep=".").items()}
    notes = {"scale": np.asarray(scale), "families": np.asarray(families), "reach": np.asarray(reach)}
    architecture = _older({**arrays, **notes})[1]["architecture"]
    return FORMAT.to_bytes(arrays, architecture, about)


def _trained(found: archive.Weights) -> Trained:
    return found.architecture._replace(params={"params": unflatten_dict(found.arrays, sep=".")})


def read(path: str | os.PathLike) -> Trained:
    """Reads a network; raises ValueError as `archive.Format.read` does."""
    return _trained(FORMAT.read(path))


def load(name: str | os.PathLike | None, scale: int) -> Trained:
    """The network for a scale.

    Args:
      name: a .npz file, None for the shipped one, or 'wide' for the shipped one of the wide range.
      scale: of the problem.

    Raises:
      ValueError: there is none, or the file is bad or for another scale.
    """
    return _trained(FORMAT.load(_wide(scale) if name == "wide" else name, f"kenet_x{scale}", scale=scale))
