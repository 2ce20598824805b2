"""Released classifiers of noisy images as .npz files, by launch/convert.py."""

import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from blindsr_jax.networks.classifier import Classifier, ClassifierConfig
from blindsr_jax.weights import archive, diffusion


def _architecture(values: Mapping[str, Any], num_arrays: int) -> ClassifierConfig:
    return diffusion.checked(ClassifierConfig(**values), num_arrays)


def _shapes(config: ClassifierConfig) -> archive.Shapes:
    side = config.image_size
    x = jax.ShapeDtypeStruct((1, side, side, config.in_channels), jnp.float32)
    time = jax.ShapeDtypeStruct((1,), jnp.float32)
    params = jax.eval_shape(Classifier(config).init, jax.random.key(0), x, time)["params"]
    return {name: x.shape for name, x in flatten_dict(params, sep=diffusion.SEPARATOR).items()}


def _older(arrays: archive.Arrays) -> tuple[archive.Arrays, dict[str, Any]]:
    """The keys and layouts were those of PyTorch."""
    from blindsr_jax.weights import guided_diffusion

    config = guided_diffusion.classifier_config_of(arrays)
    params = guided_diffusion.classifier_params(arrays, config=config, dtype=None)["params"]
    return flatten_dict(params, sep=diffusion.SEPARATOR), {"architecture": config._asdict()}


FORMAT = archive.Format(
    "classifier", "classifier", "launch/convert.py", diffusion.MAX_BYTES, _architecture, _shapes, _older, False
)


def to_bytes(config: ClassifierConfig, params: Any, *, about: Mapping[str, Any] | None = None) -> bytes:
    """A classifier as the bytes of a .npz file, in half precision where its parameters are."""
    return FORMAT.to_bytes(diffusion.flatten(params, half=False), config._asdict(), about)


def read(path: str | os.PathLike) -> tuple[ClassifierConfig, Any]:
    """The config of a classifier and its parameters as Flax has them, NumPy arrays of float32.

    Raises:
      ValueError: as `archive.Format.read` does.
    """
    found = FORMAT.read(path)
    return found.architecture, {"params": unflatten_dict(found.arrays, sep=diffusion.SEPARATOR)}
