"""Trained flows as .npz files: reading, writing, and the shipped ones (`weights/FAMILY_xSCALE.npz`).

Beside each shipped file stands a .json with the config, seed, data, versions and metrics of its training.
"""

import io
import math
import os
import pathlib
from functools import partial

import jax
import numpy as np

from blindsr_jax.networks.kernel_flow import Flow, FlowParams, FlowStats, Mlp
from blindsr_jax.weights import archive

FOLDER = pathlib.Path(__file__).parent / "files" / "flow"
_ALIASES = {"motion": "trajectory"}
_SOURCES = "launch/train_flow.py or launch/convert.py"
_MAX_BYTES = 2**26  # of all arrays of a file; an honest one has about 2**20
_refuse = partial(archive.refuse, "flow")


def _names() -> Flow:
    """The name of each array in a file, in the shape of a flow."""
    mlps = (Mlp(*(f"{part}.{name}" for name in Mlp._fields)) for part in ("log_scale", "shift"))
    return Flow(FlowParams(*mlps, "log_gamma", "beta"), FlowStats("mean", "variance"), "normalization")


def _shapes(blocks: int, size: int, hidden: int) -> Flow:
    mlp = Mlp((size, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden, size), (size,))
    mlp = Mlp(*((blocks, *shape) for shape in mlp))
    rows = (blocks, size)
    return Flow(FlowParams(mlp, mlp, rows, rows), FlowStats(rows, rows), ())


def to_bytes(flow: Flow, scale: int) -> bytes:
    """A flow as the bytes of a .npz file.

    Args:
      flow: the weights.
      scale: of the super-resolution that its kernels are for; says where their centre is.
    """
    names, leaves = jax.tree.leaves(_names()), jax.tree.leaves(flow)
    arrays = {name: np.asarray(leaf) for name, leaf in zip(names, leaves, strict=True)}
    data = io.BytesIO()
    np.savez_compressed(data, scale=np.int32(scale), **arrays)
    return data.getvalue()


def halve(flow: Flow) -> Flow:
    """The flow with its networks in half precision, for a smaller file; `read` gives single precision again."""
    networks = jax.tree.map(lambda x: np.asarray(x, np.float16), (flow.params.log_scale, flow.params.shift))
    return flow._replace(params=flow.params._replace(log_scale=networks[0], shift=networks[1]))


def read(path: str | os.PathLike) -> tuple[Flow, int]:
    """Reads a flow.

    Args:
      path: a .npz file of `to_bytes`.

    Returns:
      The flow, NumPy arrays of float32, and its scale.

    Raises:
      ValueError: one sentence that names the file and what is wrong: missing, damaged, other arrays, not finite.
    """
    arrays = archive.read_arrays(path, kind="flow", expected=_SOURCES, max_bytes=_MAX_BYTES)
    names = _names()
    wanted = {"scale", *jax.tree.leaves(names)}
    if missing := wanted - set(arrays):
        raise _refuse(path, f"it has no {', '.join(sorted(missing))}")
    if unknown := set(arrays) - wanted:
        raise _refuse(path, f"{', '.join(sorted(unknown))} was not expected in it")
    w0, scale = arrays["log_scale.w0"], arrays["scale"]
    fits = w0.ndim == 3 and scale.shape == () and scale in range(1, 9) and math.isqrt(w0.shape[1]) ** 2 == w0.shape[1]
    shapes = _shapes(*w0.shape) if fits else None
    flow = jax.tree.map(arrays.get, names)
    if not fits or jax.tree.map(np.shape, flow) != shapes or w0.shape[1] % 2 == 0:
        raise _refuse(path, "its arrays do not fit each other, a flow was expected")
    finite = archive.are_finite(jax.tree.leaves(flow))
    if not finite or flow.normalization <= 0 or flow.stats.variance.min() < 0:
        raise _refuse(path, "it holds numbers that no flow has, finite ones expected")
    return jax.tree.map(lambda x: np.asarray(x, np.float32), flow), int(scale)


def shipped() -> list[str]:
    """Names of the shipped flows, such as 'gaussian_x4'."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def load(name: str, scale: int) -> Flow:
    """The flow that a config names.

    Args:
      name: a kernel family, for the shipped flow of that family and scale, or a .npz file.
      scale: of the problem.

    Raises:
      ValueError: one sentence: there is none, or the file is bad or for another scale.
    """
    if name.endswith(".npz"):
        flow, found = read(name)
        if found != scale:
            raise ValueError(f"the flow {name!r} is for scale {found}, one for scale {scale} was expected")
        return flow
    stem = f"{_ALIASES.get(name, name)}_x{scale}"
    if stem not in shipped():
        raise ValueError(
            f"there is no flow {stem!r}, expected one of {', '.join(shipped())}, or the .npz file of a flow trained by "
            "launch/train_flow.py"
        )
    return read(FOLDER / f"{stem}.npz")[0]
