"""Trained diffusion priors as .npz files, and the shipped one (`files/diffusion/`)."""

import json
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.networks.classifier import ClassifierConfig
from blindsr_jax.networks.unet import UNet, UNetConfig, multiple
from blindsr_jax.weights import archive

MAX_BYTES = 2**33  # of all arrays; the released network has 2**31
SEPARATOR = "/"  # of the modules in an array's name

_Config = TypeVar("_Config", UNetConfig, ClassifierConfig)


def shapes(config: UNetConfig) -> Any:
    """Names, shapes and dtypes of all parameters of a network; nothing is allocated."""
    side = multiple(config)

    def init():
        x = jnp.zeros((1, side, side, config.in_channels), jnp.float32)
        labels = None if config.num_classes is None else jnp.zeros(1, jnp.int32)
        return UNet(config).init(jax.random.key(0), x, jnp.zeros(1), labels)["params"]

    return jax.eval_shape(init)


def checked(config: _Config, num_arrays: int) -> _Config:
    """A config from JSON, with tuples for lists; what is wrong with it shows when its network is built.

    Raises:
      ValueError: building it could take for ever.
    """
    if not 0 < config.num_res_blocks * len(config.channel_mult) <= num_arrays:
        raise ValueError("it has more blocks than arrays")
    return config._replace(**{key: tuple(x) for key, x in config._asdict().items() if isinstance(x, list)})


def _architecture(values: Mapping[str, Any], num_arrays: int) -> UNetConfig:
    return checked(UNetConfig(**values), num_arrays)


def _shapes(config: UNetConfig) -> archive.Shapes:
    return {name: x.shape for name, x in flatten_dict(shapes(config), sep=SEPARATOR).items()}


def _older(arrays: archive.Arrays) -> tuple[archive.Arrays, dict[str, Any]]:
    """The config was one more array; converted files had the keys and layouts of PyTorch, and no config."""
    if "config" in arrays:
        return arrays, {"architecture": json.loads(str(arrays.pop("config")))}
    from blindsr_jax.weights import guided_diffusion

    config = guided_diffusion.config_of(arrays)
    params = guided_diffusion.unet_params(arrays, config=config, dtype=None)["params"]
    return flatten_dict(params, sep=SEPARATOR), {"architecture": config._asdict()}


_SOURCES = "launch/train_diffusion.py or launch/convert.py"
FORMAT = archive.Format("diffusion", "diffusion prior", _SOURCES, MAX_BYTES, _architecture, _shapes, _older, False)
FOLDER, shipped = FORMAT.folder, FORMAT.shipped


def flatten(params: Any, *, half: bool) -> archive.Arrays:
    """Parameters by name; in half precision, or what is not in half precision in float32."""

    def dtype(x):
        return np.float16 if half or x.dtype == np.float16 else np.float32

    return {name: np.asarray(x, dtype(x)) for name, x in flatten_dict(params, sep=SEPARATOR).items()}


def to_bytes(config: UNetConfig, params: Any, *, half: bool = True, about: Mapping[str, Any] | None = None) -> bytes:
    """A prior as the bytes of a .npz file.

    Args:
      config: of the network.
      params: its weights.
      half: store half precision; otherwise only what is in half precision.
      about: JSON values, where it came from, see `archive.Format.to_bytes`.
    """
    return FORMAT.to_bytes(flatten(params, half=half), config._asdict(), about)


def _prior(found: archive.Weights) -> tuple[UNetConfig, Any]:
    return found.architecture, unflatten_dict(found.arrays, sep=SEPARATOR)


def read(path: str | os.PathLike) -> tuple[UNetConfig, Any]:
    """The config of a prior and its parameters, NumPy arrays of float32.

    Raises:
      ValueError: as `archive.Format.read` does.
    """
    return _prior(FORMAT.read(path))


def load(name: str) -> tuple[UNetConfig, Any]:
    """The prior that a config names.

    Args:
      name: of a shipped prior, or a .npz file.

    Raises:
      ValueError: there is none, or the file is bad.
    """
    return _prior(FORMAT.load(name if name.endswith(".npz") else None, name))
