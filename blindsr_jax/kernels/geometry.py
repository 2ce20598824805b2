"""Geometry of blur kernels: sizes, centres, moments, sub-pixel shifts.

A kernel is a float array (k, k), rows x columns, that sums to 1 and is used as a cross-correlation. Its centre is
its centre of mass; `center` is the one place that says where the two conventions put it.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

CENTERS = ("release", "aligned")


class Window(NamedTuple):
    """Where a kernel lives: (size, size) pixels, its centre, and the half width of the part symmetric about it."""

    size: int
    center: float
    half_width: float


def default_kernel_size(scale: int) -> int:
    """Kernel size of the FKP and DKP data for a scale: 11, 15, 19, 21 for x2, x3, x4, x8 (FKP, Liang et al. 2021)."""
    return min(4 * scale + 3, 21)


def center(kernel_size: int, scale: int, kernel_center: str) -> float:
    """Centre of mass, in pixels and the same on both axes, that a convention asks for.

    'release' is (k - s) / 2, the data and weights of FKP (Liang et al. 2021) and DKP (Yang et al. 2024). 'aligned' is
    (k + s) / 2 - 1: the SR image then lies exactly over the LR image. They differ by s - 1 pixels.

    Raises:
      ValueError: on an unknown name, or where the window is too small to hold the centre.
    """
    if kernel_center not in CENTERS:
        raise ValueError(f"unknown kernel_center {kernel_center!r}; known: {', '.join(CENTERS)}")
    if kernel_size < scale:
        raise ValueError(f"a kernel of size {kernel_size} cannot hold the centre for scale {scale}")
    return (kernel_size - scale) / 2 if kernel_center == "release" else (kernel_size + scale) / 2 - 1


def center_offset(scale: int, kernel_center: str) -> float:
    """Pixels from the middle of a window of any size to the centre that a convention asks for; see `center`."""
    return center(scale, scale, kernel_center) - (scale - 1) / 2


def window(scale: int, kernel_size: int | None, kernel_center: str) -> Window:
    """Window of a kernel family; `kernel_size` None means `default_kernel_size(scale)`.

    Raises:
      ValueError: where scale is below 1, the size is even or below the scale, or the centre's name is unknown.
    """
    size = default_kernel_size(scale) if kernel_size is None else kernel_size
    if scale < 1 or size % 2 == 0:
        raise ValueError(f"need scale >= 1 and an odd kernel size, got scale {scale}, kernel_size {size}")
    middle = center(size, scale, kernel_center)
    return Window(size, middle, min(middle, size - 1 - middle))


def center_of_mass(kernel: jax.Array) -> jax.Array:
    """Centre of mass (2,) = (row, column) in pixels of a kernel (h, w) with a non-zero sum."""
    kernel = _as_float(kernel)
    rows, cols = (jnp.arange(n, dtype=kernel.dtype) for n in kernel.shape)
    first = jnp.stack([jnp.sum(kernel.sum(1) * rows), jnp.sum(kernel.sum(0) * cols)])
    return first / kernel.sum()


def covariance(kernel: jax.Array) -> jax.Array:
    """Covariance (2, 2) in (row, column) order, square pixels, of a kernel (h, w) with a non-zero sum."""
    kernel = _as_float(kernel)
    middle = center_of_mass(kernel)
    rows, cols = (jnp.arange(n, dtype=kernel.dtype) - middle[axis] for axis, n in enumerate(kernel.shape))
    mixed = jnp.sum(kernel * rows[:, None] * cols[None, :])
    diagonal = jnp.sum(kernel.sum(1) * rows**2), jnp.sum(kernel.sum(0) * cols**2)
    return jnp.stack([jnp.stack([diagonal[0], mixed]), jnp.stack([mixed, diagonal[1]])]) / kernel.sum()


def shift(kernel: jax.Array, offset: jax.Array) -> jax.Array:
    """Moves a kernel (h, w) by `offset` pixels with cubic-spline interpolation, zeros coming in from outside.

    The same numbers as scipy.ndimage.shift with order 3 and mode 'constant', which made the released data: B-spline
    coefficients under mirror boundaries, and exactly 0 where the source coordinate is outside [0, n - 1]. The sum
    is not restored, and slightly negative values can appear.

    Args:
      kernel: float array (h, w).
      offset: scalar, or (2,) = (rows, columns); positive moves down and right. May be traced and differentiated.

    Returns:
      Array (h, w) of the kernel's dtype.
    """
    kernel = _as_float(kernel)
    offset = jnp.broadcast_to(jnp.asarray(offset, kernel.dtype), (2,))
    rows, cols = (_shift_matrix(n, offset[axis]) for axis, n in enumerate(kernel.shape))
    return jnp.linalg.multi_dot([rows, kernel, cols.T], precision="highest")


def move_center(kernel: jax.Array, target: jax.Array) -> jax.Array:
    """Shifts a kernel (h, w) so that its centre of mass lands on `target`, a scalar or (2,) in pixels; see `shift`."""
    kernel = _as_float(kernel)
    return shift(kernel, jnp.asarray(target, kernel.dtype) - center_of_mass(kernel))


def normalize(kernel: jax.Array, *, clip: bool = False) -> jax.Array:
    """Divides a kernel by its sum, which must not be 0; with `clip`, negative values become 0 first."""
    kernel = jnp.maximum(kernel, 0) if clip else kernel
    return kernel / kernel.sum()


def flip(kernel: jax.Array) -> jax.Array:
    """Kernel (h, w) turned by 180 degrees: a cross-correlation kernel as a true convolution's, and back."""
    return kernel[::-1, ::-1]


def resize(kernel: jax.Array, size: int) -> jax.Array:
    """Pads with zeros, or crops, a kernel (k, k) about its middle pixel to (size, size).

    Both centre conventions survive. Cropped mass is lost; see `normalize`.

    Raises:
      ValueError: where k and `size` are not both odd.
    """
    if kernel.shape[0] % 2 == 0 or size % 2 == 0:
        raise ValueError(f"kernel sizes must be odd, got {kernel.shape[0]} and {size}")
    margin = (size - kernel.shape[0]) // 2
    crop = max(-margin, 0)
    inner = kernel[crop : kernel.shape[0] - crop, crop : kernel.shape[1] - crop]
    return jnp.pad(inner, max(margin, 0))


def convert_center(kernel: jax.Array, scale: int, source: str, target: str) -> jax.Array:
    """Moves a kernel (k, k) from one centre convention to the other: an exact shift by s - 1 pixels, zero fill.

    Raises:
      ValueError: on an unknown convention.
    """
    size = kernel.shape[0]
    step = round(center(size, scale, target) - center(size, scale, source))
    before, after = max(step, 0), max(-step, 0)
    return jnp.pad(kernel, ((before, after), (before, after)))[after : after + size, after : after + size]


def splat(points: jax.Array, kernel_size: int) -> jax.Array:
    """Kernel (k, k) of unit sum from equally heavy points (n, 2) = (row, column), each spread over its four pixels.

    Bilinear weights keep the centre of mass of the points. Points must not all be outside [0, k - 1].
    """
    grid = jnp.arange(kernel_size, dtype=points.dtype)
    weights = jnp.maximum(0, 1 - jnp.abs(points[:, :, None] - grid[None, None, :]))  # (n, 2, k)
    kernel = jnp.matmul(weights[:, 0].T, weights[:, 1], precision="highest")  # one matmul, no scatter
    return kernel / kernel.sum()


def _as_float(kernel) -> jax.Array:
    kernel = jnp.asarray(kernel)
    return kernel if jnp.issubdtype(kernel.dtype, jnp.floating) else kernel.astype(jnp.result_type(float))


def _cubic(x):
    """Centred cubic B-spline."""
    x = abs(x)
    near, far = 2 / 3 - x**2 * (1 - x / 2), (2 - x) ** 3 / 6
    pick = np.where if isinstance(x, np.ndarray) else jnp.where
    return pick(x < 1, near, pick(x < 2, far, 0.0))


def _collocation(x, n: int):
    """B-spline values (len(x), n) at coordinates x in [0, n - 1], mirrored at the first and the last sample."""
    j = np.arange(n)
    spline = _cubic(x[:, None] - j[None, :].astype(x.dtype))
    left = _cubic(x[:, None] + j[None, :].astype(x.dtype)) * (j > 0)[None, :].astype(x.dtype)
    right = _cubic(x[:, None] - (2 * n - 2 - j)[None, :].astype(x.dtype)) * (j < n - 1)[None, :].astype(x.dtype)
    return spline + left + right


@functools.lru_cache(maxsize=64)
def _prefilter(n: int) -> np.ndarray:
    """Samples to B-spline coefficients (n, n), in float64."""
    return np.linalg.inv(_collocation(np.arange(n, dtype=np.float64), n))


def _shift_matrix(n: int, offset: jax.Array) -> jax.Array:
    source = jnp.arange(n, dtype=offset.dtype) - offset
    inside = (source >= 0) & (source <= n - 1)
    spline = jnp.where(inside[:, None], _collocation(source, n), 0)
    return jnp.matmul(spline, jnp.asarray(_prefilter(n), offset.dtype), precision="highest")
