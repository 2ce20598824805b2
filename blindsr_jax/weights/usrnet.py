"""Trained USRNets as .npz files under the keys and in the layout of the released state dict, and the shipped one.

So the arrays of a file are those of the released weights, or what launch/train_usrnet.py makes of its own.
"""

import math
import os
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.networks.layers import Compute
from blindsr_jax.networks.usrnet import COLOURS, Denoiser, Parameters, UsrnetConfig
from blindsr_jax.weights import archive


class Trained(NamedTuple):
    """A trained network."""

    params: Any  # flax's, NumPy arrays of float32
    config: UsrnetConfig


def _to_flax(key: str, x: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Path and layout of a tensor; torch keeps (out, in, h, w), and (in, out, h, w) of a transposed convolution."""
    net, *layer, kind = key.split(".")
    path = (net, ".".join(layer), "kernel" if kind == "weight" else kind)
    if x.ndim == 4:
        x = x.transpose(2, 3, 0, 1) if _doubles(layer) else x.transpose(2, 3, 1, 0)
        x = x[0, 0] if net == "h" else x
    return path, x


def _to_torch(path: tuple[str, ...], x: np.ndarray) -> tuple[str, np.ndarray]:
    """The inverse of `_to_flax`."""
    net, layer, kind = path
    x = x[None, None] if net == "h" and kind == "kernel" else x
    if x.ndim == 4:
        x = x.transpose(2, 3, 0, 1) if _doubles(layer.split(".")) else x.transpose(3, 2, 0, 1)
    return f"{net}.{layer}.{'weight' if kind == 'kernel' else kind}", x


def _doubles(layer: list[str]) -> bool:
    """Whether a layer is a transposed convolution."""
    return layer[0].startswith("m_up") and layer[1:] == ["0"]


@cache
def _shapes(config: UsrnetConfig) -> dict[str, tuple[int, ...]]:
    """Every key of a network and its shape, from its two parts: the data step between them has no parameters."""
    key, level = jax.random.key(0), jax.ShapeDtypeStruct((1,), jnp.float32)
    image = jax.ShapeDtypeStruct((1, 8, 8, COLOURS), jnp.float32)
    parts = {"p": (Denoiser(config, Compute()), image), "h": (Parameters(config), level)}
    params = {name: jax.eval_shape(part.init, key, x, level)["params"] for name, (part, x) in parts.items()}
    zeros = {path: np.broadcast_to(np.float32(0), x.shape) for path, x in flatten_dict(params).items()}
    return {key: x.shape for key, x in (_to_torch(path, x) for path, x in zeros.items())}


def _architecture(values: Mapping[str, Any], num_arrays: int) -> UsrnetConfig:
    """Each level and block has arrays of its own, so that their number bounds those."""
    most = {"blocks": num_arrays, "hidden": 2**16, "iterations": 2**16, "fold": 2**8}
    sizes = archive.whole_numbers(values, {name: (1, limit) for name, limit in most.items()})
    widths = values["widths"]
    if not 0 < len(widths) <= num_arrays or not all(type(x) is int and 0 < x <= 2**16 for x in widths):
        raise ValueError("its widths are not those of levels")
    return UsrnetConfig(tuple(widths), **sizes)


def architecture_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The sizes that tensors of the released layout tell, as JSON values; raises ValueError where they tell none."""
    first, last = shapes.get("p.m_head.weight", ()), shapes.get("h.mlp.4.weight", ())
    if len(first) != 4 or len(last) != 4 or last[0] % 2:
        raise ValueError("it has no first or last layer")
    blocks = sum(key.startswith("p.m_body.") for key in shapes) // 2
    widths = [first[0]]
    while len(down := shapes.get(f"p.m_down{len(widths)}.{blocks}.weight", ())) == 4:
        widths.append(down[0])
    fold = math.isqrt((first[1] - 1) // COLOURS)  # it sees blocks of pixels and the noise level
    return {"widths": widths, "blocks": blocks, "hidden": last[1], "iterations": last[0] // 2, "fold": fold}


def _older(arrays: archive.Arrays) -> tuple[archive.Arrays, dict[str, Any]]:
    """The shapes told everything."""
    return arrays, {"architecture": architecture_of({key: x.shape for key, x in arrays.items()})}


_SOURCES = "launch/train_usrnet.py or launch/convert.py"
FORMAT = archive.Format("usrnet", "network", _SOURCES, 2**28, _architecture, _shapes, _older)
FOLDER = FORMAT.folder


def to_bytes(params: Any, *, half: bool = False, about: Mapping[str, Any] | None = None) -> bytes:
    """A network as the bytes of a .npz file.

    Args:
      params: of `USRNet.init`.
      half: store half precision; `read` gives single precision again.
      about: JSON values, where it came from, see `archive.Format.to_bytes`.
    """
    dtype = np.float16 if half else np.float32
    return tensors_to_bytes(
        dict(_to_torch(path, np.asarray(x, dtype)) for path, x in flatten_dict(params["params"]).items()), about
    )


def tensors_to_bytes(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None) -> bytes:
    """`to_bytes` of a state dict of the released layout."""
    return FORMAT.to_bytes(tensors, architecture_of({key: x.shape for key, x in tensors.items()}), about)


def _trained(found: archive.Weights) -> Trained:
    tree = dict(_to_flax(key, x) for key, x in found.arrays.items())
    return Trained({"params": unflatten_dict(tree)}, found.architecture)


def read(path: str | os.PathLike) -> Trained:
    """Reads a network of any size; raises ValueError as `archive.Format.read` does."""
    return _trained(FORMAT.read(path))


def load(name: str | os.PathLike | None) -> Trained:
    """The network of a file, the shipped one for None, or for 'wide' the one that was trained with noise and JPEG.

    Raises:
      ValueError: the file is bad, or none is shipped.
    """
    return _trained(FORMAT.load(FOLDER / "wide" / "usrnet.npz" if name == "wide" else name, "usrnet"))
