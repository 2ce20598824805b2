"""Resizing of images as MATLAB's imresize does it, with cubic, Lanczos, box or linear interpolation."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def _cubic(x):
    """Cubic convolution with a = -0.5 (Keys 1981)."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def _lanczos3(x):
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def _released_lanczos3(x):
    """The release guards the division at 0 with the epsilon of float32, which moves the numbers by 1e-8."""
    guard = np.finfo(np.float32).eps
    value = (np.sin(np.pi * x) * np.sin(np.pi * x / 3) + guard) / (np.pi**2 * x**2 / 3 + guard)
    return np.where(np.abs(x) < 3, value, 0)


def _box(x):
    return np.where((x >= -0.5) & (x < 0.5), 1.0, 0.0)


def _linear(x):
    return np.maximum(1 - np.abs(x), 0)


# Interpolating function and its support.
_METHODS = {"cubic": (_cubic, 4.0), "lanczos3": (_lanczos3, 6.0), "box": (_box, 1.0), "linear": (_linear, 2.0)}


@functools.lru_cache(maxsize=256)
def resize_matrix(
    size: int, new_size: int, scale: float, *, method: str = "cubic", antialias: bool = True, legacy: bool = False
) -> np.ndarray:
    """Matrix (new_size, size), float64, whose rows sum to 1: an axis of an image is resized by a product with it.

    Args:
      size: samples before.
      new_size: samples after.
      scale: the enlargement that places samples: sample i lies at (i + 1/2) / scale - 1/2 of the old ones.
      method: of `imresize`.
      antialias: of `imresize`.
      legacy: of `imresize`.
    """
    function, support = _METHODS[method]
    if legacy and method == "lanczos3":
        function = _released_lanczos3
    stretch = 1 / scale if antialias and scale < 1 else 1.0
    place = (np.arange(new_size) + 0.5) / scale - 0.5
    # Two samples more than the support holds: rounding must not decide which ones are looked at.
    first = np.floor(place - support * stretch / 2).astype(int)
    index = first[:, None] + np.arange(math.ceil(support * stretch) + 2)
    weight = function((place[:, None] - index) / stretch)
    if legacy:
        weight = np.where(index < 0, 0, weight)
    mirrored = index % (2 * size)  # half-sample symmetric: the border sample is repeated
    mirrored = np.minimum(mirrored, 2 * size - 1 - mirrored)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], mirrored), weight)
    return matrix / matrix.sum(1, keepdims=True)


def imresize(
    image: jax.Array,
    scale: float | tuple[float, float] | None = None,
    shape: tuple[int, int] | None = None,
    *,
    method: str = "cubic",
    antialias: bool = True,
    legacy: bool = False,
) -> jax.Array:
    """Resizes an image; pixels are squares, so corners of the image stay where they are.

    Args:
      image: float array (H, W) or (H, W, C).
      scale: enlargement, one number or one an axis; None is taken from `shape`.
      shape: (H', W'); None is ceil(scale H), ceil(scale W).
      method: 'cubic' (a = -0.5), 'lanczos3', 'box' or 'linear'.
      antialias: widen the interpolating function by 1 / scale where an axis shrinks.
      legacy: leave out samples above and left of the image, as the resizing in KernelGAN's release does, instead of
        mirroring them like those below and right of it.

    Returns:
      Array (H', W') or (H', W', C) of the image's dtype; values may leave the range of the input.

    Raises:
      ValueError: an unknown method, or neither scale nor shape.
    """
    if method not in _METHODS:
        raise ValueError(f"the method of resizing is {method!r}, expected one of {', '.join(_METHODS)}")
    if scale is None and shape is None:
        raise ValueError("imresize needs a scale or a shape")
    old = image.shape[:2]
    if scale is None:
        scales = tuple(new / n for new, n in zip(shape, old, strict=True))
    else:
        scales = scale if isinstance(scale, tuple) else (scale, scale)
    shape = tuple(math.ceil(s * n) for s, n in zip(scales, old, strict=True)) if shape is None else shape
    rows, cols = (
        jnp.asarray(resize_matrix(n, new, s, method=method, antialias=antialias, legacy=legacy), image.dtype)
        for n, new, s in zip(old, shape, scales, strict=True)
    )
    resized = jnp.tensordot(rows, image, 1, precision="highest")
    return jnp.moveaxis(jnp.tensordot(cols, resized, ((1,), (1,)), precision="highest"), 0, 1)


def _upsample_axis(x: jax.Array, axis: int) -> jax.Array:
    """Doubles one axis: 3/4 of the nearest sample and 1/4 of the next one, edges clamped."""
    n = x.shape[axis]
    before = jnp.concatenate([lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, 0, n - 1, axis=axis)], axis)
    after = jnp.concatenate([lax.slice_in_dim(x, 1, n, axis=axis), lax.slice_in_dim(x, n - 1, n, axis=axis)], axis)
    pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
    return pair.reshape(x.shape[:axis] + (2 * n,) + x.shape[axis + 1 :])


def upsample(x: jax.Array) -> jax.Array:
    """Bilinear enlargement by two with half-pixel centres: (H, W, C) -> (2 H, 2 W, C)."""
    return _upsample_axis(_upsample_axis(x, 0), 1)
