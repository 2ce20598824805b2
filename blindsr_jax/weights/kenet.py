"""Trained KENets as .npz files: reading, writing, and the shipped ones (`weights/kenet_xSCALE.npz`).

Beside each shipped file stands a .json with the config, seed, data, versions and metrics of its training.
"""

import io
import math
import os
import pathlib
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.networks.kenet import LARGEST_REACH, SMALLEST_SIDE, KENet
from blindsr_jax.networks.layers import Compute
from blindsr_jax.weights import archive

FOLDER = pathlib.Path(__file__).parent / "files" / "kenet"
_SOURCE = "launch/train_kenet.py"
_MAX_BYTES = 2**27  # of all arrays of a file; the paper's network has 2**24 bytes
_NOTES = ("scale", "families", "reach")
_refuse = partial(archive.refuse, "network")


def wide(scale: int) -> pathlib.Path:
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


def to_bytes(params: Any, *, scale: int, families: tuple[str, ...], reach: int = 0, half: bool = True) -> bytes:
    """A network as the bytes of a .npz file.

    Args:
      params: of `KENet.init`.
      scale: of the super-resolution.
      families: names of the kernel families, in the order of the categories.
      reach: of the network.
      half: store half precision; `read` gives single precision again.
    """
    dtype = np.float16 if half else np.float32
    arrays = {name: np.asarray(x, dtype) for name, x in flatten_dict(params["params"], sep=".").items()}
    data = io.BytesIO()
    notes = {"scale": np.int32(scale), "reach": np.int32(reach), "families": np.asarray(families, dtype=np.str_)}
    np.savez_compressed(data, **notes, **arrays)
    return data.getvalue()


def _describe(arrays: dict[str, np.ndarray]) -> Trained | None:
    """The network that arrays belong to by their shapes, its parameters as shapes; None where they fit none."""
    scale, families, reach = (arrays.get(name) for name in _NOTES)
    first, last = (np.shape(arrays.get(name)) for name in ("conv0.kernel", "kernel.kernel"))
    if scale is None or families is None or reach is None or len(first) != 4 or len(last) != 2:
        return None
    size = math.isqrt(last[1])
    names = tuple(map(str, families)) if families.ndim == 1 and families.dtype.kind == "U" else ()
    if scale.shape != () or scale not in range(1, 9) or reach.shape != () or reach not in range(LARGEST_REACH + 1):
        return None
    if size % 2 == 0 or not names or not all((*first, *last)):
        return None
    found = Trained(None, int(scale), names, size, first[3], last[0], int(reach))
    image = jax.ShapeDtypeStruct((1, SMALLEST_SIDE, SMALLEST_SIDE, 3), jnp.float32)
    return found._replace(params=jax.eval_shape(found.network().init, jax.random.key(0), image))


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
        raise _refuse(path, "its arrays do not fit each other, a KENet expected")
    if not archive.are_finite(weights.values()):
        raise _refuse(path, "it holds numbers that are not finite")
    tree = unflatten_dict({name: np.asarray(x, np.float32) for name, x in weights.items()}, sep=".")
    return found._replace(params={"params": tree})


def shipped() -> list[str]:
    """Names of the shipped networks, such as 'kenet_x4'."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def load(name: str | os.PathLike | None, scale: int) -> Trained:
    """The network for a scale.

    Args:
      name: a .npz file, or None for the shipped one.
      scale: of the problem.

    Raises:
      ValueError: one sentence: there is none, or the file is bad or for another scale.
    """
    if name is not None:
        found = read(name)
        if found.scale != scale:
            raise ValueError(f"the network {str(name)!r} is for scale {found.scale}, one for scale {scale} expected")
        return found
    stem = f"kenet_x{scale}"
    if stem not in shipped():
        raise ValueError(
            f"there is no trained KENet for scale {scale}, expected one of {', '.join(shipped()) or 'none'}, or the "
            ".npz file of one trained by launch/train_kenet.py"
        )
    return read(FOLDER / f"{stem}.npz")
