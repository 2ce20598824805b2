"""Training of USRNet: examples made on the device from sharp images, and scores on a fixed set."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.degradation import degrade
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.networks.usrnet import COLOURS, USRNet, first_image
from blindsr_jax.problem import Spec
from blindsr_jax.training.bank import random_patch
from blindsr_jax.training.engine import Task

_VALIDATION_KEY = 2024
_FIRST_WEIGHT = -4.6  # the softplus of it is 0.01: a data step that counts from the start


class Example(NamedTuple):
    """One training example, or with a leading axis many."""

    sharp: jax.Array  # (H, W, 3), an image or a canvas
    lr: jax.Array  # (h, w, 3)
    kernel: jax.Array  # (k, k), the one that the network is shown
    noise_std: jax.Array  # ()


class Settings(NamedTuple):
    """How examples of one scale are made; hashable."""

    spec: Spec
    family: KernelFamily
    side: int  # of the sharp image over the LR image, in pixels; a rest of the scale is cut off
    noise_max: float = 0.0  # the noise has a standard deviation of U(0, noise_max), on the [0, 1] scale
    clean: float = 0.5  # share of the examples without noise and with the true kernel
    kernel_error: float = 0.0  # largest share of another kernel in the one that is shown, beside noise
    quantize: bool = True  # the LR image to the 256 levels of a file

    @property
    def patch(self) -> int:
        """Side of the sharp patches that examples are made of."""
        lr = self.side // self.spec.scale
        return self.spec.canvas_shape((lr, lr, COLOURS))[0]


def synthesize(keys: jax.Array, pieces: jax.Array, settings: Settings) -> Example:
    """Examples of one scale; each depends on its key alone.

    Args:
      keys: (n,) typed PRNG keys.
      pieces: (m, p, p, 3) uint8 of `training.bank.cut`, p at least `settings.patch`.
      settings: how they are made.

    Returns:
      The examples, with a leading axis n.
    """
    keys = jax.vmap(lambda key: jax.random.split(key, 7))(keys)
    patch_keys, kernel_keys, level_keys, clean_keys, noise_keys, other_keys, share_keys = jnp.moveaxis(keys, 1, 0)
    sharp = jax.vmap(lambda key: random_patch(key, pieces, settings.patch))(patch_keys)
    draw = jax.vmap(lambda key: settings.family.render(settings.family.sample(key)).astype(sharp.dtype))
    kernels = shown = draw(kernel_keys)
    levels = jax.vmap(lambda key: jax.random.uniform(key, (), sharp.dtype, 0, settings.noise_max))(level_keys)
    clean = jax.vmap(lambda key: jax.random.bernoulli(key, settings.clean))(clean_keys)
    noise_std = jnp.where(clean, 0, levels)
    if settings.kernel_error:
        shares = jax.vmap(lambda key: jax.random.uniform(key, (), sharp.dtype, 0, settings.kernel_error))(share_keys)
        shares = jnp.where(clean, 0, shares)[:, None, None]
        shown = kernels + shares * (draw(other_keys) - kernels)

    def reduce(example):
        image, kernel, std, key = example
        lr = degrade(image, kernel, scale=settings.spec.scale, boundary=settings.spec.boundary)
        lr = jnp.clip(lr + std * jax.random.normal(key, lr.shape, lr.dtype), 0, 1)
        return jnp.round(255 * lr) / 255 if settings.quantize else lr

    # One after another on a CPU: together they do not fit its cache.
    each = jax.lax.map if jax.default_backend() == "cpu" else lambda function, args: jax.vmap(function)(args)
    return Example(sharp, each(reduce, (sharp, kernels, noise_std, noise_keys)), shown, noise_std)


def restore(network: USRNet, params: Any, seen: Example, settings: Settings) -> jax.Array:
    """The network's images (N, H, W, 3) or canvases."""
    return network.apply(params, seen.lr, seen.kernel, seen.noise_std, spec=settings.spec)


def over_lr(images: jax.Array, seen: Example, settings: Settings) -> jax.Array:
    """The part of images or canvases over the LR images: (N, s h, s w, 3)."""
    return settings.spec.crop(images, seen.lr.shape)


def first_guess(params: Any) -> Any:
    """Random parameters changed so that the network starts as data steps with a denoiser that does nothing.

    The denoiser has no path around it; a short training would be spent on learning to pass its input on.
    The first channels of its outer level carry the image, and what the inner levels add starts at zero.
    """
    parts = {name: dict(part) for name, part in params["params"].items()}
    bias, head, tail = parts["h"]["mlp.4"]["bias"], parts["p"]["m_head"]["kernel"], parts["p"]["m_tail"]["kernel"]
    colours = jnp.arange(COLOURS)
    parts["h"]["mlp.4"] = parts["h"]["mlp.4"] | {"bias": bias.at[: len(bias) // 2].set(_FIRST_WEIGHT)}
    parts["p"]["m_head"] = {"kernel": head.at[..., :COLOURS].set(0).at[1, 1, colours, colours].set(1)}
    parts["p"]["m_tail"] = {"kernel": jnp.zeros_like(tail).at[1, 1, colours, colours].set(1)}
    if "m_up1.0" in parts["p"]:
        parts["p"]["m_up1.0"] = {"kernel": jnp.zeros_like(parts["p"]["m_up1.0"]["kernel"])}
    return {"params": parts}


def make_task(network: USRNet, scales: tuple[Settings, ...], *, start: Any = None) -> Task:
    """The task: the mean absolute error over the LR image, each step at one scale drawn at random (L1, as the paper).

    Args:
      network: of any size.
      scales: how examples are made, one entry a scale.
      start: parameters to start from; None for random ones.
    """

    def init(key):
        if start is not None:
            return jax.tree.map(jnp.asarray, start)
        spec, k = scales[0].spec, scales[0].spec.kernel_size
        lr, kernel, noise = jnp.zeros((1, k, k, COLOURS)), jnp.ones((1, k, k)) / k**2, jnp.zeros(1)
        params = network.init(key, lr, kernel, noise, spec=spec)
        return first_guess(params)

    def loss_of(settings, params, keys, pieces):
        seen = synthesize(keys, pieces, settings)
        found = restore(network, params, seen, settings)
        return jnp.mean(jnp.abs(over_lr(found, seen, settings) - over_lr(seen.sharp, seen, settings)))

    def loss(params, keys, pieces):
        branches = [partial(loss_of, settings) for settings in scales]
        index = jax.random.randint(jax.random.fold_in(keys[0], 0), (), 0, len(scales))
        return jax.lax.switch(index, branches, params, keys, pieces), {}

    return Task(init, loss)


def psnr(images: np.ndarray, truth: np.ndarray) -> float:
    """Mean over images (N, H, W, 3) of the PSNR of all colours, in dB."""
    error = np.mean((np.clip(images, 0, 1) - truth) ** 2, (1, 2, 3))
    return float(np.mean(-10 * np.log10(np.maximum(error, 1e-10))))


class Validation:
    """Fixed examples of each scale, the same for each training on this data."""

    def __init__(self, network: USRNet, pieces: jax.Array, scales: tuple[Settings, ...], *, number: int):
        """Makes `number` examples a scale; `baseline` are the scores of the nearest-neighbour enlargement."""
        keys = jax.random.split(jax.random.key(_VALIDATION_KEY), number)
        make = jax.jit(synthesize, static_argnums=2)
        self._sets = [(settings, jax.device_get(make(keys, pieces, settings))) for settings in scales]
        self._restore = jax.jit(partial(restore, network), static_argnums=2)
        self.baseline = self._score(lambda seen, settings: first_image(jnp.asarray(seen.lr), settings.spec))

    def _score(self, function) -> Mapping[str, float]:
        found = {}
        for settings, seen in self._sets:
            pair = (over_lr(x, seen, settings) for x in (function(seen, settings), seen.sharp))
            found[f"psnr_x{settings.spec.scale}"] = psnr(*map(np.asarray, pair))
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Of the scores."""
        return tuple(self.baseline)

    def scores(self, params: Any) -> Mapping[str, float]:
        """Mean PSNR in dB of each scale."""
        return self._score(lambda seen, settings: self._restore(params, seen, settings))

    def sheet(self, params: Any) -> np.ndarray:
        """The first example of each scale, enlarged, restored and sharp, as one picture (rows, columns, 3)."""
        rows = []
        for settings, seen in self._sets:
            seen = jax.tree.map(lambda x: x[:1], seen)
            images = (
                first_image(jnp.asarray(seen.lr), settings.spec),
                self._restore(params, seen, settings),
                seen.sharp,
            )
            rows.append(np.concatenate([np.asarray(over_lr(x, seen, settings))[0] for x in images], 1))
        side = max(row.shape[1] for row in rows)
        return np.concatenate([np.pad(row, ((0, 0), (0, side - row.shape[1]), (0, 0))) for row in rows])
