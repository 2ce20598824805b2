"""Released weights of guided diffusion: from the keys and layouts of PyTorch to our parameters, and the size they tell.

A key is the path of our parameter, joined by dots. torch keeps convolutions as (out, in, height, width), affine maps as
(out, in), those of attention as (out, in, 1).
"""

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.networks.classifier import Classifier, ClassifierConfig
from blindsr_jax.networks.unet import UNet, UNetConfig, multiple

Tensors = Mapping[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]
Config = UNetConfig | ClassifierConfig

CLASSIFIER_SIGN = "out.2.positional_embedding"  # a key that no other model has
_MOST_BLOCKS, _MOST_LEVELS = 32, 8  # of an encoder or decoder; the largest released network has 21 and 7
_HEAD_CHANNELS = 64  # cannot be told from the tensors; that of the releases
_ONE_DIMENSIONAL = ("qkv", "proj_out", "qkv_proj", "c_proj")  # kept as convolutions of width 1
_SUFFIXES = {"kernel": ".weight", "scale": ".weight", "bias": ".bias", "label_emb": "label_emb.weight"}


@functools.cache
def _skeleton(config: Config) -> Any:
    """The parameters' shapes; nothing is allocated."""
    if isinstance(config, ClassifierConfig):
        network, side = Classifier(config), config.image_size
    else:
        network, side = UNet(config), multiple(config)
    x = jax.ShapeDtypeStruct((1, side, side, config.in_channels), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), x, jax.ShapeDtypeStruct((1,), jnp.float32))


def _names(path) -> tuple[str, ...]:
    """Names on the way to a parameter, without the first, 'params'."""
    return tuple(entry.key for entry in path[1:])


def _key(path) -> str:
    *modules, leaf = _names(path)
    return ".".join(modules) + _SUFFIXES.get(leaf, f".{leaf}")


def _torch_shape(path, value) -> tuple[int, ...]:
    shape, (*modules, leaf) = value.shape, _names(path)
    if leaf != "kernel":
        return shape
    if len(shape) == 4:
        return shape[3], shape[2], shape[0], shape[1]
    return (*shape[::-1], 1) if modules[-1] in _ONE_DIMENSIONAL else shape[::-1]


def _ours(tensor: np.ndarray, leaf: str, dtype) -> np.ndarray:
    """A tensor in our layout."""
    if leaf == "kernel":
        tensor = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.reshape(tensor.shape[:2]).T
    return np.ascontiguousarray(tensor, dtype)


def shapes_of(config: Config) -> Shapes:
    """Key to shape, in torch's layout, of the state dict of either network."""
    leaves = jax.tree_util.tree_flatten_with_path(_skeleton(config))[0]
    return {_key(path): _torch_shape(path, value) for path, value in leaves}


def _shape(tensors: Tensors, key: str, rank: int) -> tuple[int, ...]:
    if key not in tensors:
        raise ValueError(f"it lacks {key}")
    shape = np.shape(tensors[key])
    if len(shape) != rank or 0 in shape:
        raise ValueError(f"its {key} has the shape {shape}, one of {rank} dimensions was expected")
    return shape


def _count(tensors: Tensors, pattern: str) -> int:
    """One more than the largest number that the pattern finds among the keys, 0 without any."""
    count = max((int(found[1]) + 1 for key in tensors if (found := re.fullmatch(pattern, key))), default=0)
    if count > _MOST_BLOCKS:
        raise ValueError(f"it has {count} blocks of one kind, at most {_MOST_BLOCKS} were expected")
    return count


def _encoder(tensors: Tensors, levels: int, num_res_blocks: int) -> dict[str, Any]:
    """What the first tensors of either network tell, given its depth."""
    if levels > _MOST_LEVELS:
        raise ValueError(f"it has {levels} levels, at most {_MOST_LEVELS} were expected")
    model_channels = _shape(tensors, "time_embed.0.weight", 2)[1]
    firsts = [1 + level * (num_res_blocks + 1) for level in range(levels)]
    channels = [_shape(tensors, f"input_blocks.{i}.0.out_layers.3.weight", 4)[0] for i in firsts]
    if any(n % model_channels for n in channels):
        raise ValueError(f"its levels have {channels} channels, multiples of {model_channels} were expected")
    return {
        "in_channels": _shape(tensors, "input_blocks.0.0.weight", 4)[1],
        "model_channels": model_channels,
        "channel_mult": tuple(n // model_channels for n in channels),
        "num_res_blocks": num_res_blocks,
        "attention_rates": tuple(2**n for n, i in enumerate(firsts) if f"input_blocks.{i}.1.qkv.weight" in tensors),
    }


def _divided(number: int, by: int, what: str) -> int:
    if by < 1 or number < by or number % by:
        raise ValueError(f"it has {number} {what}, a positive multiple of {max(by, 1)} was expected")
    return number // by


def config_of(tensors: Tensors, *, head_channels: int = _HEAD_CHANNELS) -> UNetConfig:
    """The sizes of the UNet that a state dict is of.

    Args:
      tensors: key to array.
      head_channels: of its attention, which the tensors do not tell.

    Raises:
      ValueError: names the key that is missing or does not fit.
    """
    # The last block of each level but one also enlarges; nothing else tells the levels apart.
    ups = [key for key in tensors if re.fullmatch(r"output_blocks\.\d+\.[12]\.in_layers\.0\.weight", key)]
    levels = len(ups) + 1
    blocks = _divided(_count(tensors, r"output_blocks\.(\d+)\..*"), levels, "output blocks")
    if blocks < 2:
        raise ValueError(f"it has {levels} output blocks for {levels} levels, at least two a level were expected")
    classes = _shape(tensors, "label_emb.weight", 2)[0] if "label_emb.weight" in tensors else None
    return UNetConfig(
        out_channels=_shape(tensors, "out.2.weight", 4)[0],
        head_channels=head_channels,
        num_classes=classes,
        **_encoder(tensors, levels, blocks - 1),
    )


def classifier_config_of(tensors: Tensors, *, head_channels: int = _HEAD_CHANNELS) -> ClassifierConfig:
    """The sizes of the classifier that a state dict is of.

    Args:
      tensors: key to array.
      head_channels: of its attention, which the tensors do not tell.

    Raises:
      ValueError: names the key that is missing or does not fit.
    """
    blocks = _count(tensors, r"input_blocks\.(\d+)\..*")
    attends = [f"input_blocks.{i}.1.qkv.weight" in tensors for i in range(blocks)]
    if True not in attends:
        raise ValueError("it has no attention in its input blocks, which is what tells how many belong to a level")
    # All blocks of a level attend, but not the one that follows and shrinks.
    first = attends.index(True)
    run = [*attends[first:], False].index(False)
    levels = _divided(blocks, run + 1, "input blocks")
    positions = _shape(tensors, CLASSIFIER_SIGN, 2)[1] - 1
    side = math.isqrt(positions)
    if positions < 1 or side**2 != positions:
        raise ValueError(f"its {CLASSIFIER_SIGN} is for {positions} positions, those of a square were expected")
    return ClassifierConfig(
        num_classes=_shape(tensors, "out.2.c_proj.weight", 3)[0],
        head_channels=head_channels,
        image_size=side * 2 ** (levels - 1),
        **_encoder(tensors, levels, run),
    )


def _params(tensors: Tensors, config: Config, dtype) -> Any:
    skeleton, shapes = _skeleton(config), shapes_of(config)
    if missing := sorted(set(shapes) - set(tensors)):
        raise ValueError(f"it lacks {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else ""))
    if unknown := sorted(set(tensors) - set(shapes)):
        raise ValueError(f"it has {unknown[0]}, which was not expected")

    def convert(path, _):
        key = _key(path)
        tensor = np.asarray(tensors[key])
        if tensor.shape != shapes[key] or tensor.dtype.kind != "f":
            found, shape = f"{tensor.dtype} {tensor.shape}", shapes[key]
            raise ValueError(f"its {key} is {found}, floating-point numbers of shape {shape} were expected")
        if not np.isfinite(tensor).all():
            raise ValueError(f"its {key} is not finite")
        return _ours(tensor, _names(path)[-1], dtype)

    return jax.tree_util.tree_map_with_path(convert, skeleton)


def unet_params(tensors: Tensors, *, config: UNetConfig | None = None, dtype: Any = np.float32) -> Any:
    """Parameters of `UNet` from a state dict.

    Args:
      tensors: key to array.
      config: of the network; told by the tensors where absent.
      dtype: of the parameters.

    Returns:
      NumPy arrays in the tree of `UNet(config).init`.

    Raises:
      ValueError: names the key that is missing, unexpected or of another shape.
    """
    return _params(tensors, config or config_of(tensors), dtype)


def classifier_params(tensors: Tensors, *, config: ClassifierConfig | None = None, dtype: Any = np.float32) -> Any:
    """Parameters of `Classifier` from a state dict; as `unet_params`."""
    return _params(tensors, config or classifier_config_of(tensors), dtype)


def tensors_of(params: Any) -> dict[str, np.ndarray]:
    """The state dict of parameters of either network, in torch's keys and layouts: the inverse of `unet_params`."""

    def convert(path, value):
        value, (*_, leaf) = np.asarray(value), _names(path)
        if leaf == "kernel":
            value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T.reshape(_torch_shape(path, value))
        return np.ascontiguousarray(value)

    return {_key(path): convert(path, value) for path, value in jax.tree_util.tree_flatten_with_path(params)[0]}
