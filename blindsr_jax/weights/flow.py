"""Trained flows as .npz files, and the shipped ones (`files/flow/FAMILY_xSCALE.npz`)."""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from blindsr_jax.networks.kernel_flow import Flow, FlowParams, FlowStats, Mlp
from blindsr_jax.weights import archive

_ALIASES = {"motion": "trajectory"}
_LIMITS = {"scale": (1, 8), "kernel_size": (1, 255), "hidden": (1, 2**16), "blocks": (1, 2**10)}


class _Architecture(NamedTuple):
    scale: int
    kernel_size: int
    hidden: int
    blocks: int


def _names() -> Flow:
    """The name of each array in a file, in the shape of a flow."""
    mlps = (Mlp(*(f"{part}.{name}" for name in Mlp._fields)) for part in ("log_scale", "shift"))
    return Flow(FlowParams(*mlps, "log_gamma", "beta"), FlowStats("mean", "variance"), "normalization")


def _architecture(values: Mapping[str, Any], num_arrays: int) -> _Architecture:
    del num_arrays
    found = _Architecture(**archive.whole_numbers(values, _LIMITS))
    if found.kernel_size % 2 == 0:
        raise ValueError("the size of its kernels is even")
    return found


def _shapes(found: _Architecture) -> archive.Shapes:
    size, hidden = found.kernel_size**2, found.hidden
    mlp = Mlp((size, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden, size), (size,))
    mlp = Mlp(*((found.blocks, *shape) for shape in mlp))
    rows = (found.blocks, size)
    shapes = Flow(FlowParams(mlp, mlp, rows, rows), FlowStats(rows, rows), ())
    names, structure = jax.tree.flatten(_names())
    return dict(zip(names, structure.flatten_up_to(shapes), strict=True))


def _values(arrays: Mapping[str, np.ndarray], scale: int) -> dict[str, int]:
    """The architecture that arrays have, as JSON values."""
    blocks, size, hidden = arrays["log_scale.w0"].shape
    return {"scale": scale, "kernel_size": math.isqrt(size), "hidden": hidden, "blocks": blocks}


def _older(arrays: archive.Arrays) -> tuple[archive.Arrays, dict[str, Any]]:
    """Its sizes were told by the shapes, and its scale by one more array."""
    scale = arrays.pop("scale").item()
    return arrays, {"architecture": _values(arrays, scale)}


_SOURCES = "launch/train_flow.py or launch/convert.py"
FORMAT = archive.Format("flow", "flow", _SOURCES, 2**26, _architecture, _shapes, _older)
FOLDER, shipped = FORMAT.folder, FORMAT.shipped


def to_bytes(flow: Flow, scale: int, about: Mapping[str, Any] | None = None) -> bytes:
    """A flow as the bytes of a .npz file.

    Args:
      flow: the weights.
      scale: of the super-resolution that its kernels are for; says where their centre is.
      about: JSON values, where it came from, see `archive.Format.to_bytes`.
    """
    names, leaves = jax.tree.leaves(_names()), jax.tree.leaves(flow)
    arrays = {name: np.asarray(leaf) for name, leaf in zip(names, leaves, strict=True)}
    return FORMAT.to_bytes(arrays, _values(arrays, scale), about)


def halve(flow: Flow) -> Flow:
    """The flow with its networks in half precision, for a smaller file; `read` gives single precision again."""
    networks = jax.tree.map(lambda x: np.asarray(x, np.float16), (flow.params.log_scale, flow.params.shift))
    return flow._replace(params=flow.params._replace(log_scale=networks[0], shift=networks[1]))


def _flow(path: str | os.PathLike, found: archive.Weights) -> Flow:
    flow = jax.tree.map(found.arrays.get, _names())
    if flow.normalization <= 0 or flow.stats.variance.min() < 0:
        raise archive.refuse("flow", path, "it holds numbers that no flow has, finite ones expected")
    return flow


def read(path: str | os.PathLike) -> tuple[Flow, int]:
    """The flow of a file, NumPy arrays of float32, and its scale; raises ValueError as `archive.Format.read` does."""
    found = FORMAT.read(path)
    return _flow(path, found), found.architecture.scale


def load(name: str, scale: int) -> Flow:
    """The flow that a config names.

    Args:
      name: a kernel family, for the shipped flow of that family and scale, or a .npz file.
      scale: of the problem.

    Raises:
      ValueError: there is none, or the file is bad or for another scale.
    """
    path = name if name.endswith(".npz") else None
    return _flow(name, FORMAT.load(path, f"{_ALIASES.get(name, name)}_x{scale}", scale=scale))
