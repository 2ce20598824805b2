"""What a camera adds to an LR image: noise of any correlation between colours, gray images, JPEG, 256 levels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.jpeg import compress

_SUBSAMPLED = 0.5  # share of the compressed images whose colours have half the resolution


class Corruption(NamedTuple):
    """How an LR image is spoiled; hashable. The defaults only round."""

    noise_max: float = 0.0  # largest standard deviation of the noise, on the [0, 1] scale; weak noise is more frequent
    noisy: float = 1.0  # share of the images with noise
    correlated: float = 0.0  # share of these whose colours are not independent: equal in one half, random in the other
    gray: float = 0.0  # share of the images with three equal colours, and the same noise in each
    jpeg: float = 0.0  # share of the images that are compressed
    jpeg_quality: tuple[int, int] = (40, 100)  # (low, high), one is drawn for each
    quantize: bool = True  # to the 256 levels of a file


class Seen(NamedTuple):
    """A spoiled image."""

    lr: jax.Array  # (h, w, 3) in [0, 1]
    noise_std: jax.Array  # () of the noise, [0, 1] scale; after compression the error that is left, whatever its kind


def from_config(config: Mapping[str, Any]) -> Corruption:
    """The values of a training's config, which may lack those that older configs do not know."""
    quality = config.get("jpeg_quality")
    found = {name: config[name] for name in Corruption._fields if name in config and name != "jpeg_quality"}
    if quality is None:
        found["jpeg"] = 0.0
    else:
        found = {"jpeg": 1.0, **found, "jpeg_quality": tuple(quality)}
    return Corruption(**found)


def draw_gray(key: jax.Array, settings: Corruption) -> jax.Array:
    """() whether an image is to be gray."""
    return jax.random.bernoulli(key, settings.gray)


def to_gray(image: jax.Array, gray: jax.Array) -> jax.Array:
    """An image (H, W, 3), or where `gray` says so the mean of its colours in each of them."""
    return jnp.where(gray, jnp.mean(image, -1, keepdims=True), image)


def _mixing(key: jax.Array, gray: jax.Array, settings: Corruption, dtype: Any) -> jax.Array:
    """(3, 3), from independent noise to that of each colour: rows of norm 1, so that each keeps its strength."""
    kind_key, row_key = jax.random.split(key)
    share = jax.random.uniform(kind_key, dtype=dtype)
    equal = jnp.zeros((3, 3), dtype).at[:, 0].set(1)
    rows = jax.random.normal(row_key, (3, 3), dtype)
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    chosen = jnp.where(share < settings.correlated, rows, jnp.eye(3, dtype=dtype))
    return jnp.where(gray | (share < settings.correlated / 2), equal, chosen)


def corrupt(key: jax.Array, lr: jax.Array, gray: jax.Array, settings: Corruption, clean: jax.Array = False) -> Seen:
    """Adds noise, compresses and rounds.

    Args:
      key: typed PRNG key.
      lr: (h, w, 3), the sharp image after blur and reduction.
      gray: () whether its colours are equal and are to remain so.
      settings: what happens, and how often.
      clean: () whether this image is rounded only.

    Returns:
      The image, and how strong its noise is.
    """
    level_key, noisy_key, mix_key, noise_key, jpeg_key, quality_key, sample_key = jax.random.split(key, 7)
    clean_lr, std = lr, jnp.zeros((), lr.dtype)
    if settings.noise_max:
        noisy = jax.random.bernoulli(noisy_key, settings.noisy) & jnp.logical_not(clean)
        std = noisy.astype(lr.dtype) * settings.noise_max * jax.random.uniform(level_key, (), lr.dtype) ** 2
        noise = jax.random.normal(noise_key, lr.shape, lr.dtype)
        mixing = _mixing(mix_key, gray, settings, lr.dtype)
        lr = lr + std * jnp.matmul(noise, mixing.T, precision="highest")
    lr = jnp.clip(lr, 0, 1)
    if settings.jpeg:
        low, high = settings.jpeg_quality
        quality = jax.random.randint(quality_key, (), low, high + 1)
        subsample = jax.random.bernoulli(sample_key, _SUBSAMPLED)
        packs = jax.random.bernoulli(jpeg_key, settings.jpeg) & jnp.logical_not(clean)
        packed = jax.lax.cond(packs, lambda x: compress(x, quality, subsample=subsample), lambda x: x, lr)
        std = jnp.where(packs, jnp.sqrt(jnp.mean((packed - clean_lr) ** 2)), std)
        lr = packed
    return Seen(jnp.round(255 * lr) / 255 if settings.quantize else lr, std)
