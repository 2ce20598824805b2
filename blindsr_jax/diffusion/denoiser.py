"""A trained UNet as a denoiser: noisy image and noise level in, sharp image out; images of any size.

Outside images are in [0, 1]; the network lives in [-1, 1]. `to_network` and `from_network` are the only bridge.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.diffusion import schedule
from blindsr_jax.imaging.tiling import starts
from blindsr_jax.networks.unet import UNet, UNetConfig, multiple

NUM_TIMES = schedule.NUM_STEPS


def to_network(x: jax.Array) -> jax.Array:
    """[0, 1] to [-1, 1]."""
    return 2 * x - 1


def from_network(x: jax.Array) -> jax.Array:
    """[-1, 1] to [0, 1]."""
    return (x + 1) / 2


def alphas_cumprod() -> np.ndarray:
    """(1000,) float64: the share of the image's variance that is left at each time of the whole chain."""
    return np.cumprod(1 - schedule.linear_betas())


def time_of(noise_std: jax.Array | float) -> jax.Array:
    """The (fractional) time whose noise, relative to the image, has a standard deviation; inverse of the schedule.

    Args:
      noise_std: on the scale of images in [0, 1].

    Returns:
      The time, 0 to 999, of the shape of `noise_std`.
    """
    kept = alphas_cumprod()
    levels = 0.5 * np.log((1 - kept) / kept)
    return jnp.interp(jnp.log(2 * jnp.asarray(noise_std)), levels, np.arange(NUM_TIMES))


def noise_of(config: UNetConfig, params: Any, x: jax.Array, t: jax.Array, labels: jax.Array | None = None) -> jax.Array:
    """The noise that the network sees in images of any size: they are continued by reflection to whole multiples.

    Args:
      config: of the network.
      params: its weights.
      x: (N, H, W, C) in [-1, 1] and noisy.
      t: (N,).
      labels: (N,) classes, or None.

    Returns:
      (N, H, W, C); a second half of the network's channels, the variance, is left out.
    """
    side, (_, h, w, c) = multiple(config), x.shape
    # 'symmetric' repeats as often as it must, also where an image is smaller than what it lacks.
    padded = jnp.pad(x, ((0, 0), (0, -h % side), (0, -w % side), (0, 0)), mode="symmetric")
    return UNet(config).apply({"params": params}, padded, t, labels)[:, :h, :w, :c].astype(x.dtype)


def denoise(config: UNetConfig, params: Any, noisy: jax.Array, noise_std: float) -> jax.Array:
    """Images without their white noise.

    Args:
      config: of the network.
      params: its weights.
      noisy: (N, H, W, 3) in [0, 1] plus noise, not clipped.
      noise_std: of the noise, on the same scale.

    Returns:
      (N, H, W, 3), not clipped.
    """
    t = time_of(noise_std)
    std = jnp.asarray(2 * noise_std, noisy.dtype)
    x = to_network(noisy)
    eps = noise_of(config, params, x * jax.lax.rsqrt(1 + std**2), jnp.broadcast_to(t, x.shape[:1]))
    return from_network(x - std * eps)


def tiled(function: Callable, x: jax.Array, *, tile: int, overlap: int) -> jax.Array:
    """Applies a function to overlapping tiles and blends what it gives, so that no border can be seen.

    Weights fall linearly to the border of a tile. One tile is computed at a time, so that memory is that of a tile.

    Args:
      function: (N, tile, tile, C) -> the same shape.
      x: (N, H, W, C).
      tile: side; where it holds the image on an axis, that axis is not cut.
      overlap: at least so many pixels are shared by neighbours.

    Returns:
      (N, H, W, C).
    """
    n, h, w, c = x.shape
    height, width = min(tile, h), min(tile, w)
    rows, columns = (starts(n, size, overlap=overlap) for n, size in ((h, height), (w, width)))
    if len(rows) == len(columns) == 1:
        return function(x)
    places = jnp.asarray([(i, j) for i in rows for j in columns])
    weight = jnp.asarray(np.outer(_ramp(height, overlap), _ramp(width, overlap))[None, ..., None], x.dtype)

    def body(carry, place):
        total, weights = carry
        start = (0, place[0], place[1], 0)
        piece = weight * function(jax.lax.dynamic_slice(x, start, (n, height, width, c)))
        old = jax.lax.dynamic_slice(total, start, piece.shape), jax.lax.dynamic_slice(weights, start, weight.shape)
        total = jax.lax.dynamic_update_slice(total, old[0] + piece, start)
        return (total, jax.lax.dynamic_update_slice(weights, old[1] + weight, start)), None

    (total, weights), _ = jax.lax.scan(body, (jnp.zeros_like(x), jnp.zeros((1, h, w, 1), x.dtype)), places)
    return total / weights


def _ramp(size: int, overlap: int) -> np.ndarray:
    """Rises over the overlap, falls over it, never zero."""
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    return np.minimum(edge / max(overlap, 1), 1)
