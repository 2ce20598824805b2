"""Defocus: uniform discs with an antialiased edge."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily, cached, check_range, uniform_log_density

_EDGE = 0.5  # half of the width of the edge, pixels


class DiscLatent(NamedTuple):
    """One disc."""

    radius: jax.Array  # () pixels


def disc_kernel(radius: jax.Array, *, kernel_size: int, center: float) -> jax.Array:
    """Disc whose edge falls from 1 to 0 over one pixel; the centre of mass is exact, any radius of at least 0.

    Only the part of the window that is symmetric about the centre is filled.

    Args:
      radius: () pixels.
      kernel_size: k.
      center: of the disc on both axes, pixels.

    Returns:
      Array (k, k) of unit sum, of the dtype of `radius`.
    """
    radius = jnp.asarray(radius)
    offset = jnp.arange(kernel_size, dtype=radius.dtype) - center
    inside = jnp.abs(offset) <= min(center, kernel_size - 1 - center)
    distance = jnp.sqrt(offset[:, None] ** 2 + offset[None, :] ** 2)
    # Between four pixels the nearest ones are further away than a small disc reaches.
    reach = jnp.maximum(radius + _EDGE, distance.min() + _EDGE)
    heights = jnp.clip(reach - distance, 0, 1)
    return geometry.normalize(jnp.where(inside[:, None] & inside[None, :], heights, 0))


def default_radius_range(scale: int, half_width: float) -> tuple[float, float]:
    """Default range of the radius, pixels: (s / 2, 1.5 s + 1), capped by what the window holds."""
    high = min(1.5 * scale + 1, half_width)
    return min(scale / 2, high), high


def wide_radius_range(scale: int, half_width: float) -> tuple[float, float]:
    """From half the default's least radius to all that the window holds, pixels."""
    return min(scale / 4, half_width), half_width


@cached
def family(
    *,
    scale: int,
    kernel_size: int | None = None,
    kernel_center: str = "release",
    radius_range: Annotated[Sequence[float] | str | None, rules.span(rules.number(0, 4096), "wide")] = None,
) -> KernelFamily:
    """Discs with a uniform radius, exactly centred.

    Args:
      scale: s.
      kernel_size: odd k, None for `geometry.default_kernel_size`.
      kernel_center: 'release' or 'aligned'.
      radius_range: (low, high) pixels, None for `default_radius_range`, 'wide' for `wide_radius_range`. The window
        cuts what is larger.

    Raises:
      ValueError: on an even size, an unknown centre or an empty range.
    """
    window = geometry.window(scale, kernel_size, kernel_center)
    if radius_range is None or isinstance(radius_range, str):
        named = {None: default_radius_range, "wide": wide_radius_range}
        if radius_range not in named:
            raise ValueError(f"radius_range is {radius_range!r}, expected (low, high) or 'wide'")
        radius_range = named[radius_range](scale, window.half_width)
    low, high = check_range("radius_range", radius_range)

    def sample(key):
        return DiscLatent(jax.random.uniform(key, minval=low, maxval=high))

    def render(latent):
        return disc_kernel(latent.radius, kernel_size=window.size, center=window.center)

    def log_prior(latent):
        return uniform_log_density(latent.radius, low, high)

    return KernelFamily("disc", sample, render, log_prior)
