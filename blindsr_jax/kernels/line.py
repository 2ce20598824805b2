"""Linear motion kernels: the released variant of DKP (Yang et al. 2024) and an exactly centred continuous one."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily, cached, check_range, uniform_box, uniform_log_density

_POINTS_PER_PIXEL = 8
_AB_SCALE, _AB_SHIFT, _FRACTIONS = 1024, 5, 32  # OpenCV: 10 bits in the products, 5 bits kept in the coordinates


class LineLatent(NamedTuple):
    """Parameters of one segment."""

    length: jax.Array  # () pixels
    angle: jax.Array  # () radians, counter-clockwise from the direction of columns


class ReleaseLineLatent(NamedTuple):
    """Parameter of one released line."""

    angle: jax.Array  # () degrees, counter-clockwise


def line_kernel(
    angle_degrees: jax.Array, half_length: jax.Array, *, kernel_size: int, scale: int, quantized: bool = True
) -> jax.Array:
    """Linear motion kernel of the released DKP: a row of ones, rotated about (k - s) / 2 by bilinear warping.

    The row is floor((k - s) / 2) and reaches `half_length` pixels to either side of that column. For even s it is
    half a pixel off the point of rotation, so the kernel is not exactly centred (off by up to 0.84 px at x4).

    Args:
      angle_degrees: () degrees, counter-clockwise.
      half_length: () pixels, at most floor((k - s) / 2); the release uses k // 4. May be traced.
      kernel_size: k.
      scale: s.
      quantized: round source coordinates to 1/32 pixel as OpenCV's warpAffine does. Without it the values differ
        by up to 0.0071.

    Returns:
      Array (k, k) of unit sum, of the dtype of `angle_degrees`.
    """
    angle = jnp.asarray(angle_degrees)
    angle = angle if jnp.issubdtype(angle.dtype, jnp.floating) else angle.astype(jnp.result_type(float))
    pivot = (kernel_size - scale) / 2
    middle = int(pivot)
    cos, sin = jnp.cos(angle * (np.pi / 180)), jnp.sin(angle * (np.pi / 180))
    matrix = _inverse_affine(cos, sin, pivot)
    grid = jnp.arange(kernel_size, dtype=angle.dtype)
    xs, ys = (_source(row, grid, quantized) for row in matrix)  # each (k, k)
    kernel = jnp.zeros_like(xs)
    for down in (0, 1):
        for right in (0, 1):
            row, col = jnp.floor(ys) + down, jnp.floor(xs) + right
            weight = (1 - jnp.abs(ys - row)) * (1 - jnp.abs(xs - col))
            on_line = (row == middle) & (jnp.abs(col - middle) <= half_length) & (col >= 0) & (col < kernel_size)
            kernel = kernel + jnp.where(on_line, weight, 0)
    return kernel / kernel.sum()


def segment_kernel(length: jax.Array, angle: jax.Array, *, kernel_size: int, center: float) -> jax.Array:
    """Antialiased segment through `center`; the centre of mass is exact, any real length and angle.

    Args:
      length: () pixels; the segment must fit: length / 2 <= min(center, k - 1 - center).
      angle: () radians, counter-clockwise from the direction of columns.
      kernel_size: k.
      center: centre of the segment on both axes, pixels.

    Returns:
      Array (k, k) of unit sum, of the dtype of `length`.
    """
    length = jnp.asarray(length)
    angle = jnp.asarray(angle, length.dtype)
    num = _POINTS_PER_PIXEL * kernel_size
    along = jnp.asarray((np.arange(num) + 0.5) / num - 0.5, length.dtype) * length
    points = jnp.stack([-jnp.sin(angle) * along, jnp.cos(angle) * along], axis=1) + center
    return geometry.splat(points, kernel_size)


@cached
def family(
    *,
    scale: int,
    kernel_size: int | None = None,
    kernel_center: str = "release",
    length_range: Annotated[Sequence[float] | str | None, rules.span(rules.number(0, 4096), "wide")] = None,
    release: bool = False,
) -> KernelFamily:
    """Linear motion with uniform length and direction, exactly centred.

    Args:
      scale: s.
      kernel_size: odd k, None for `geometry.default_kernel_size`.
      kernel_center: 'release' or 'aligned'.
      length_range: (low, high) pixels, None for (s, 3 s + 1) where that fits, 'wide' for from half of s to all that
        the window holds.
      release: the released variant instead (DKP, Yang et al. 2024): `line_kernel` with half length k // 4 and angle
        ~ U(0, 360) degrees; `length_range` must be None.

    Raises:
      ValueError: on an even size, an unknown centre, or lengths that are empty or do not fit the window.
    """
    window = geometry.window(scale, kernel_size, kernel_center)
    if release:
        if length_range is not None:
            raise ValueError("length_range has no meaning with release=True")
        return _release_family(window.size, scale, kernel_center)
    longest = 2 * window.half_width
    if isinstance(length_range, str):
        if length_range != "wide":
            raise ValueError(f"length_range is {length_range!r}, expected (low, high) or 'wide'")
        length_range = (min(scale / 2, longest), longest)
    high = min(3.0 * scale + 1, longest)
    low, high = check_range("length_range", length_range or (min(scale, high), high))
    if high > longest:
        raise ValueError(f"a length of {high} px does not fit: the window has room for {longest} px about the centre")

    def sample(key):
        return LineLatent(*uniform_box(key, (low, 0.0), (high, np.pi)))

    def render(latent):
        return segment_kernel(*latent, kernel_size=window.size, center=window.center)

    def log_prior(latent):
        return uniform_log_density(latent.length, low, high) + uniform_log_density(latent.angle, 0.0, np.pi)

    return KernelFamily("line", sample, render, log_prior)


def _release_family(kernel_size, scale, kernel_center):
    half_length = min(kernel_size // 4, (kernel_size - scale) // 2)

    def sample(key):
        return ReleaseLineLatent(jax.random.uniform(key, maxval=360.0))

    def render(latent):
        kernel = line_kernel(latent.angle, half_length, kernel_size=kernel_size, scale=scale)
        return geometry.convert_center(kernel, scale, "release", kernel_center)

    def log_prior(latent):
        return uniform_log_density(latent.angle, 0.0, 360.0)

    return KernelFamily("line", sample, render, log_prior)


def _inverse_affine(cos, sin, pivot):
    """Rows (of x, of y) of the map from target to source, in the order of operations that OpenCV uses."""
    move_x, move_y = (1 - cos) * pivot - sin * pivot, sin * pivot + (1 - cos) * pivot
    scale = 1 / (cos * cos + sin * sin)
    xx, xy, yx, yy = cos * scale, -sin * scale, sin * scale, cos * scale
    return (xx, xy, -xx * move_x - xy * move_y), (yx, yy, -yx * move_x - yy * move_y)


def _source(row, grid, quantized):
    """Source coordinate (k, k) of every target pixel; `grid` (k,) holds 0..k-1."""
    by_x, by_y, constant = row
    if not quantized:
        return by_x * grid[None, :] + (by_y * grid[:, None] + constant)
    across = jnp.round(by_x * grid * _AB_SCALE)[None, :]
    down = jnp.round((by_y * grid + constant) * _AB_SCALE)[:, None] + _AB_SCALE // _FRACTIONS // 2
    return jnp.floor((across + down) / 2**_AB_SHIFT) / _FRACTIONS
