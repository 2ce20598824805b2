"""Trained USRNets as .npz files under the keys and in the layout of the released state dict, and the shipped one.

So a file is what launch/convert.py makes of the released weights, or what launch/train_usrnet.py writes.
"""

import io
import math
import os
import pathlib
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.networks.usrnet import COLOURS, USRNet, UsrnetConfig
from blindsr_jax.weights import archive

FOLDER = pathlib.Path(__file__).parent / "files" / "usrnet"
_SHIPPED = "usrnet.npz"
_SOURCES = "launch/train_usrnet.py or launch/convert.py"
_MAX_BYTES = 2**28  # of all arrays of a file; the full network of the paper has 2**26
_refuse = partial(archive.refuse, "network")


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


def _shapes(config: UsrnetConfig) -> dict[str, tuple[int, ...]]:
    """Every key of a network and its shape."""
    shapes = ((1, 8, 8, COLOURS), (1, 3, 3), (1,))
    inputs = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    params = jax.eval_shape(
        partial(USRNet(config).init, spec=make_spec(scale=1, kernel_size=3)), jax.random.key(0), *inputs
    )
    zeros = {path: np.broadcast_to(np.float32(0), x.shape) for path, x in flatten_dict(params["params"]).items()}
    return {key: x.shape for key, x in (_to_torch(path, x) for path, x in zeros.items())}


def _config(shapes: Mapping[str, tuple[int, ...]]) -> UsrnetConfig | None:
    """The sizes that tensors tell; None where they tell none."""
    first, last = shapes.get("p.m_head.weight", ()), shapes.get("h.mlp.4.weight", ())
    if len(first) != 4 or len(last) != 4 or last[0] % 2:
        return None
    blocks = sum(key.startswith("p.m_body.") for key in shapes) // 2
    widths = [first[0]]
    while len(down := shapes.get(f"p.m_down{len(widths)}.{blocks}.weight", ())) == 4:
        widths.append(down[0])
    fold = math.isqrt((first[1] - 1) // COLOURS)  # it sees blocks of pixels and the noise level
    sizes = (*widths, blocks, last[1], last[0] // 2, fold)
    return UsrnetConfig(tuple(widths), *sizes[len(widths) :]) if all(sizes) else None


def to_bytes(params: Any, *, half: bool = False) -> bytes:
    """A network as the bytes of a .npz file.

    Args:
      params: of `USRNet.init`.
      half: store half precision; `read` gives single precision again.
    """
    dtype = np.float16 if half else np.float32
    arrays = (_to_torch(path, np.asarray(x, dtype)) for path, x in flatten_dict(params["params"]).items())
    data = io.BytesIO()
    np.savez_compressed(data, **dict(arrays))
    return data.getvalue()


def read(path: str | os.PathLike) -> Trained:
    """Reads a network of any size.

    Args:
      path: a .npz file of `to_bytes`, or of launch/convert.py.

    Raises:
      ValueError: one sentence that names the file and what is wrong: missing, damaged, other arrays, not finite.
    """
    arrays = archive.read_arrays(path, kind="network", expected=_SOURCES, max_bytes=_MAX_BYTES)
    shapes = {key: x.shape for key, x in arrays.items()}
    config = _config(shapes)
    if config is None or shapes != _shapes(config):
        raise _refuse(path, "its arrays do not fit each other, a USRNet expected")
    if not archive.are_finite(arrays.values()):
        raise _refuse(path, "it holds numbers that are not finite")
    tree = dict(_to_flax(key, np.asarray(x, np.float32)) for key, x in arrays.items())
    return Trained({"params": unflatten_dict(tree)}, config)


def load(name: str | os.PathLike | None) -> Trained:
    """The network of a file, or the shipped one for None.

    Raises:
      ValueError: one sentence: the file is bad, or none is shipped.
    """
    if name is None and not (FOLDER / _SHIPPED).is_file():
        raise ValueError(
            "no trained USRNet is shipped, expected the .npz file of one converted by launch/convert.py or trained by "
            "launch/train_usrnet.py as the option 'weights'"
        )
    return read(FOLDER / _SHIPPED if name is None else name)
