"""Released weights in the layout of this package: which models are known, and how their tensors become arrays.

A model is one entry of `MODELS`. It is recognised by its keys, and every key must be there with the right shape.
"""

import math
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.kernels import geometry
from blindsr_jax.networks.kernel_flow import NUM_BLOCKS, Flow, FlowParams, FlowStats, Mlp
from blindsr_jax.weights import archive
from blindsr_jax.weights import flow as flow_weights

Tensors = Mapping[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]


class Model(NamedTuple):
    """A model whose released weights can be converted."""

    sign: str  # a key that no other model has
    shapes: Callable[[Tensors], Shapes]  # from the tensors, as sizes may vary, to every key and its shape
    convert: Callable[[Tensors], bytes]  # to a .npz file


def _fkp_shapes(tensors: Tensors) -> Shapes:
    """KernelPrior with 5 blocks; its sizes are those of its first layer."""
    first = np.shape(tensors.get("net.0.s_net.0.weight", np.zeros((25, 361))))
    hidden, size = first if len(first) == 2 else (25, 361)
    shapes = {name: (1,) for name in ("kernel_size", "alpha", "normalization")}
    shapes |= {name: (size,) for name in ("base_dist_mean", "base_dist_var")}
    for block in range(NUM_BLOCKS):
        shapes[f"net.{2 * block}.mask"] = (size,)
        for part in ("s_net", "t_net"):
            for layer, (rows, columns) in zip(
                (0, 2, 4), ((hidden, size), (hidden, hidden), (size, hidden)), strict=True
            ):
                shapes[f"net.{2 * block}.{part}.{layer}.weight"] = (rows, columns)
                shapes[f"net.{2 * block}.{part}.{layer}.bias"] = (rows,)
        for name in ("log_gamma", "beta", "running_mean", "running_var"):
            shapes[f"net.{2 * block + 1}.{name}"] = (size,)
    return shapes


def fkp_flow(tensors: Tensors) -> Flow:
    """The flow of a released FKP state dict; torch keeps the weights of a layer as (out, in)."""

    def stack(key, first):
        arrays = [np.asarray(tensors[key.format(2 * block + first)], np.float32) for block in range(NUM_BLOCKS)]
        return np.stack(arrays)

    def mlp(part):
        layers = [(f"net.{{}}.{part}.{i}.weight", f"net.{{}}.{part}.{i}.bias") for i in (0, 2, 4)]
        return Mlp(*(x for w, b in layers for x in (stack(w, 0).swapaxes(1, 2), stack(b, 0))))

    norm = [stack(f"net.{{}}.{name}", 1) for name in ("log_gamma", "beta", "running_mean", "running_var")]
    normalization = np.asarray(tensors["normalization"], np.float32).reshape(())
    return Flow(FlowParams(mlp("s_net"), mlp("t_net"), *norm[:2]), FlowStats(*norm[2:]), normalization)


def _fkp_bytes(tensors: Tensors) -> bytes:
    flow = fkp_flow(tensors)
    size = math.isqrt(flow.stats.mean.shape[-1])
    scale = {geometry.default_kernel_size(s): s for s in range(1, 5)}.get(size)
    if scale is None:
        raise ValueError(f"its kernels are {size} x {size}, one of 7, 11, 15, 19 (x1 to x4) was expected")
    return flow_weights.to_bytes(flow, scale, about={"name": "fkp"})


def _usrnet_shapes(tensors: Tensors) -> Shapes:
    """USRNet with widths 16, 32, 64, 64, two residual blocks a level, 6 iterations, 32 units ("tiny")."""
    del tensors
    widths = (16, 32, 64, 64)
    shapes = {"p.m_head.weight": (16, 4, 3, 3), "p.m_tail.weight": (3, 16, 3, 3)}

    def residual(name, width):
        shapes.update({f"{name}.res.{i}.weight": (width, width, 3, 3) for i in (0, 2)})

    for i in range(3):
        for j in range(2):
            residual(f"p.m_down{i + 1}.{j}", widths[i])
            residual(f"p.m_up{i + 1}.{j + 1}", widths[i])
        shapes[f"p.m_down{i + 1}.2.weight"] = (widths[i + 1], widths[i], 2, 2)
        shapes[f"p.m_up{i + 1}.0.weight"] = (widths[i + 1], widths[i], 2, 2)
    for j in range(2):
        residual(f"p.m_body.{j}", widths[3])
    for i, (rows, columns) in zip((0, 2, 4), ((32, 2), (32, 32), (12, 32)), strict=True):
        shapes |= {f"h.mlp.{i}.weight": (rows, columns, 1, 1), f"h.mlp.{i}.bias": (rows,)}
    return shapes


def _usrnet_bytes(tensors: Tensors) -> bytes:
    from blindsr_jax.weights import usrnet

    return usrnet.tensors_to_bytes(tensors, {"name": "usrnet_tiny"})


def _guided_shapes(config_of: str, tensors: Tensors) -> Shapes:
    """Of either network of guided diffusion, whose modules are imported when it is met."""
    from blindsr_jax.weights import guided_diffusion

    config = getattr(guided_diffusion, config_of)(tensors)
    try:
        return guided_diffusion.shapes_of(config)
    except Exception as error:  # sizes that no network can have end in many kinds of errors
        raise ValueError(f"its tensors are those of no network: {type(error).__name__}") from error


def _unet_bytes(tensors: Tensors) -> bytes:
    from blindsr_jax.weights import diffusion, guided_diffusion

    config = guided_diffusion.config_of(tensors)
    params = guided_diffusion.unet_params(tensors, config=config, dtype=None)["params"]
    return diffusion.to_bytes(config, params, half=False, about={"name": "guided_diffusion"})


def _classifier_bytes(tensors: Tensors) -> bytes:
    from blindsr_jax.weights import classifier, guided_diffusion

    config = guided_diffusion.classifier_config_of(tensors)
    params = guided_diffusion.classifier_params(tensors, config=config, dtype=None)["params"]
    return classifier.to_bytes(config, params, about={"name": "guided_diffusion_classifier"})


MODELS = {
    "fkp": Model("net.0.s_net.0.weight", _fkp_shapes, _fkp_bytes),
    "usrnet_tiny": Model("p.m_head.weight", _usrnet_shapes, _usrnet_bytes),
    "guided_diffusion": Model(
        "output_blocks.0.0.in_layers.0.weight", partial(_guided_shapes, "config_of"), _unet_bytes
    ),
    "guided_diffusion_classifier": Model(
        "out.2.positional_embedding", partial(_guided_shapes, "classifier_config_of"), _classifier_bytes
    ),
}
_WRAPPERS = ("model_state", "state_dict")  # single keys under which a state dict may stand
_MOST_NAMED = 4


def is_archive(path: str | os.PathLike) -> bool:
    """Whether a file holds converted weights, by its metadata, or by the names of its arrays where it has none."""
    if (metadata := archive.read_metadata(path)) is not None:
        return metadata.get("name") in MODELS
    try:
        with zipfile.ZipFile(path) as file:
            names = {name.removesuffix(".npy") for name in file.namelist()}
    except Exception:  # damaged archives end in many kinds of errors
        return False
    return {"scale", "log_scale.w0"} <= names or any(model.sign in names for model in MODELS.values())


def _some(names: Iterable[Any]) -> str:
    names = sorted(rules.show(name) for name in names)
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def unwrap(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state dict in what a file holds: itself, or under the one key that releases put it."""
    if len(tree) == 1 and next(iter(tree)) in _WRAPPERS and isinstance(next(iter(tree.values())), Mapping):
        return next(iter(tree.values()))
    return tree


def check(tensors: Mapping[str, Any], name: str | None = None) -> str:
    """Finds out which model a state dict belongs to and that it is complete.

    Args:
      tensors: key to array.
      name: of the model, None to recognise it.

    Returns:
      The name of the model.

    Raises:
      ValueError: names what is missing, unexpected or wrong.
    """
    if name is None:
        name = next((key for key, model in MODELS.items() if model.sign in tensors), None)
    if name not in MODELS:
        found = (
            f"its keys ({_some(tensors)}) are of no known model" if name is None else f"the model {name!r} is unknown"
        )
        raise ValueError(f"{found}, expected one of {', '.join(MODELS)}")
    shapes = MODELS[name].shapes({key: value for key, value in tensors.items() if isinstance(value, np.ndarray)})
    if missing := set(shapes) - set(tensors):
        raise ValueError(f"as {name} it lacks {_some(missing)}")
    if unknown := set(tensors) - set(shapes):
        raise ValueError(f"as {name} it has {_some(unknown)}, which was not expected")
    for key, shape in shapes.items():
        value = tensors[key]
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.shape != shape:
            kind = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise ValueError(f"as {name} its {key} is {kind}, floating-point numbers of shape {shape} were expected")
        if not np.isfinite(value).all():
            raise ValueError(f"as {name} its {key} is not finite")
    return name
