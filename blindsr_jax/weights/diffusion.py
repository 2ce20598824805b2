"""Trained priors as .npz files: reading, writing, and the shipped one (`weights/NAME.npz`).

Beside the shipped file stands a .json with the config, seed, data, versions and metrics of its training.
"""

import io
import json
import os
import pathlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from blindsr_jax.networks.classifier import ClassifierConfig
from blindsr_jax.networks.unet import UNet, UNetConfig, multiple
from blindsr_jax.weights import archive

FOLDER = pathlib.Path(__file__).parent / "files" / "diffusion"
_CONFIG = "config"  # the array that holds the network's config as JSON
_SOURCES = "launch/train_diffusion.py or launch/convert.py"
_MAX_BYTES = 2**33  # of all arrays; the released network has 2**31
_refuse = partial(archive.refuse, "diffusion prior")


def to_bytes(config: UNetConfig, params: Any) -> bytes:
    """A prior as the bytes of a .npz file, in half precision.

    Args:
      config: of the network.
      params: its weights.
    """
    flat = traverse_util.flatten_dict(params, sep="/")
    arrays = {name: np.asarray(x, np.float16) for name, x in flat.items()}
    data = io.BytesIO()
    np.savez(data, **{_CONFIG: np.asarray(json.dumps(config._asdict()))}, **arrays)
    return data.getvalue()


def shapes(config: UNetConfig) -> Any:
    """Names, shapes and dtypes of all parameters of a network; nothing is allocated."""
    side = multiple(config)

    def init():
        x = jnp.zeros((1, side, side, config.in_channels), jnp.float32)
        labels = None if config.num_classes is None else jnp.zeros(1, jnp.int32)
        return UNet(config).init(jax.random.key(0), x, jnp.zeros(1), labels)["params"]

    return jax.eval_shape(init)


def _config_of(path: str | os.PathLike, text: str, num_arrays: int) -> tuple[UNetConfig, Any]:
    """The config that a file holds as JSON, and the shapes of its parameters, of which it must have as many."""
    try:
        values = json.loads(text)
        config = UNetConfig(**{key: tuple(x) if isinstance(x, list) else x for key, x in values.items()})
        if not 0 < config.num_res_blocks * len(config.channel_mult) <= num_arrays:
            raise ValueError("building such a network could take for ever")
        return config, shapes(config)
    except Exception as error:  # wrong kinds, deep nesting; and Flax raises nearly anything where sizes do not fit
        raise _refuse(path, "its config is not that of a UNet") from error


def read(path: str | os.PathLike) -> tuple[UNetConfig, Any]:
    """Reads a prior.

    Args:
      path: a .npz file of `to_bytes`, or of launch/convert.py for released weights.

    Returns:
      The network's config and its parameters, NumPy arrays of float32.

    Raises:
      ValueError: one sentence that names the file and what is wrong: missing, damaged, arrays that do not fit the
        config, not finite.
    """
    arrays = archive.read_arrays(path, kind="diffusion prior", expected=_SOURCES, max_bytes=_MAX_BYTES)
    if _CONFIG not in arrays:
        from blindsr_jax.weights import guided_diffusion

        try:
            return guided_diffusion.config_of(arrays), guided_diffusion.unet_params(arrays)
        except ValueError as error:
            raise _refuse(path, str(error)) from error
    config, like = _config_of(path, str(arrays.pop(_CONFIG)), len(arrays))
    wanted = {name: x.shape for name, x in traverse_util.flatten_dict(like, sep="/").items()}
    if missing := set(wanted) - set(arrays):
        raise _refuse(path, f"it has no {min(missing)}, which its config asks for")
    if unknown := set(arrays) - set(wanted):
        raise _refuse(path, f"{min(unknown)} was not expected in it")
    for name, x in arrays.items():
        if x.shape != wanted[name] or x.dtype.kind != "f":
            raise _refuse(path, f"its {name} is {x.dtype} {x.shape}, numbers of shape {wanted[name]} were expected")
        if not np.isfinite(x).all():
            raise _refuse(path, f"its {name} is not finite")
    return config, traverse_util.unflatten_dict({k: np.asarray(x, np.float32) for k, x in arrays.items()}, sep="/")


def read_classifier(path: str | os.PathLike) -> tuple[ClassifierConfig, Any]:
    """Reads a classifier of noisy images.

    Args:
      path: a .npz file of launch/convert.py.

    Returns:
      The network's config and its parameters, NumPy arrays of float32.

    Raises:
      ValueError: one sentence that names the file and what is wrong.
    """
    from blindsr_jax.weights import guided_diffusion

    kind = "guidance classifier"
    arrays = archive.read_arrays(path, kind=kind, expected="launch/convert.py", max_bytes=_MAX_BYTES)
    try:
        config = guided_diffusion.classifier_config_of(arrays)
        return config, guided_diffusion.classifier_params(arrays, config=config)
    except ValueError as error:
        raise archive.refuse(kind, path, str(error)) from error


def shipped() -> list[str]:
    """Names of the shipped priors."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def load(name: str) -> tuple[UNetConfig, Any]:
    """The prior that a config names.

    Args:
      name: of a shipped prior, or a .npz file.

    Raises:
      ValueError: one sentence: there is none, or the file is bad.
    """
    if name.endswith(".npz"):
        return read(name)
    if name not in shipped():
        known = ", ".join(shipped()) or "none is shipped"
        raise ValueError(f"there is no diffusion prior {name!r} ({known}), expected one of these or a .npz file")
    return read(FOLDER / f"{name}.npz")
