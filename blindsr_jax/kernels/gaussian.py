"""Anisotropic Gaussian kernels, as in FKP (Liang et al. 2021) and DKP (Yang et al. 2024).

Parameters are the VARIANCES (square pixels) along the two principal axes and the angle of the first axis in radians,
in (column, row) coordinates with rows pointing down: covariance = R(angle) diag(variances) R(angle)^T. At angle 0,
`variances[0]` is the variance along columns.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily, cached, check_range, uniform_box, uniform_log_density

# Narrower than any pixel: below this a kernel is a point, and dividing by the variance would overflow.
_MIN_VARIANCE = 1e-6
THIN, NARROW = 0.3, 0.05  # see `gaussian_kernel`


class GaussianLatent(NamedTuple):
    """Parameters of one Gaussian kernel."""

    variances: jax.Array  # (2,) square pixels
    angle: jax.Array  # () radians


def data_variance_range(scale: int) -> tuple[float, float]:
    """Range of variances (px^2) of the test and training kernels of FKP and DKP: (0.175 s, min(2.5 s, 10))."""
    return 0.175 * scale, min(2.5 * scale, 10.0)


def wide_variance_range(scale: int) -> tuple[float, float]:
    """From half to twice the data's range (px^2): what a prior expects of kernels whose range it is not told."""
    low, high = data_variance_range(scale)
    return low / 2, 2 * high


def release_sampler_variance_range(scale: int) -> tuple[float, float]:
    """Range of variances (px^2) from which the released DKP (Yang et al. 2024) draws its random kernels."""
    return 0.175 * scale + 3 + (scale - 4), min(2.5 * scale, 10.0) + 10 + (scale - 4)


def gaussian_kernel(variances: jax.Array, angle: jax.Array, *, kernel_size: int, center: float) -> jax.Array:
    """Gaussian evaluated at the pixels around `center`; unit sum, no negative values, any variance.

    Only the part of the window that is symmetric about the centre is filled, so the centre of mass is exact. (In the
    released data the same s - 1 rows and columns are empty.)

    Args:
      variances: (2,) square pixels; values below 1e-6 count as 1e-6, and the smaller one as THIN of the larger one at
        least, where that is less than NARROW: else a ridge between pixels leaves only distant ones, which lie on it.
      angle: () radians.
      kernel_size: k.
      center: centre of mass on both axes, pixels; see `geometry.center`.

    Returns:
      Array (k, k) of the dtype of `variances`.
    """
    variances, angle = _parameters(variances, angle)
    variances = jnp.maximum(variances, jnp.minimum(THIN * jnp.max(variances), NARROW))
    offset = jnp.arange(kernel_size, dtype=variances.dtype) - center
    inside = jnp.abs(offset) <= min(center, kernel_size - 1 - center)
    logits = jnp.where(inside[:, None] & inside[None, :], _log_gaussian(variances, angle, offset), -jnp.inf)
    return jax.nn.softmax(logits, axis=(0, 1))


def release_gaussian_kernel(
    variances: jax.Array,
    angle: jax.Array,
    *,
    kernel_size: int,
    scale: int,
    target: jax.Array | None = None,
    noise: jax.Array | None = None,
) -> jax.Array:
    """Gaussian kernel made as the released FKP and DKP code makes it, number for number.

    The Gaussian is rasterised around k // 2 + (s - k % 2) / 2, multiplied by (1 + noise), moved by a cubic spline so
    that its centre of mass is near `target`, and divided by its sum. The last s - 1 rows and columns come out empty
    and values down to about -1e-5 appear.

    Args:
      variances: (2,) square pixels.
      angle: () radians.
      kernel_size: k.
      scale: s.
      target: centre of mass, scalar or (2,) = (row, column) in pixels; None means (k - s) / 2.
      noise: None or (k, k) multiplicative noise, about -0.4 to 0.4.

    Returns:
      Array (k, k) of unit sum, of the dtype of `variances`.
    """
    variances, angle = _parameters(variances, angle)
    middle = kernel_size // 2 + 0.5 * (scale - kernel_size % 2)
    logits = _log_gaussian(variances, angle, jnp.arange(kernel_size, dtype=variances.dtype) - middle)
    raw = jnp.exp(logits - jax.lax.stop_gradient(logits.max()))  # the factor cancels; a narrow kernel never vanishes
    if noise is not None:
        raw = raw * (1 + jnp.asarray(noise, raw.dtype))
    target = (kernel_size - scale) / 2 if target is None else target
    return geometry.normalize(geometry.move_center(raw, target))


@cached
def family(
    *,
    scale: int,
    kernel_size: int | None = None,
    kernel_center: str = "release",
    variance_range: Annotated[
        Sequence[float] | str | None, rules.span(rules.VARIANCE, "data", "wide", "release")
    ] = None,
    exact_release: bool = False,
) -> KernelFamily:
    """Gaussian kernels with independent uniform variances and angle ~ U(0, pi) (FKP, Liang et al. 2021).

    Args:
      scale: s.
      kernel_size: odd k, None for `geometry.default_kernel_size`.
      kernel_center: 'release' or 'aligned'.
      variance_range: (low, high) px^2, or 'data' (None), 'wide' or 'release' for the ranges of FKP's data, from half to
        twice that, and of DKP's sampler.
      exact_release: render with `release_gaussian_kernel` rather than `gaussian_kernel`.

    Raises:
      ValueError: on an even size, an unknown centre or an empty range.
    """
    window = geometry.window(scale, kernel_size, kernel_center)
    variance_range = "data" if variance_range is None else variance_range
    if isinstance(variance_range, str):
        named = {
            "data": data_variance_range,
            "wide": wide_variance_range,
            "release": release_sampler_variance_range,
        }
        if variance_range not in named:
            raise ValueError(f"variance_range is {variance_range!r}, expected (low, high) or one of {', '.join(named)}")
        variance_range = named[variance_range](scale)
    low, high = check_range("variance_range", variance_range)

    def sample(key):
        values = uniform_box(key, (low, low, 0.0), (high, high, np.pi))
        return GaussianLatent(values[:2], values[2])

    def render(latent):
        if not exact_release:
            return gaussian_kernel(*latent, kernel_size=window.size, center=window.center)
        kernel = release_gaussian_kernel(*latent, kernel_size=window.size, scale=scale)
        return geometry.convert_center(kernel, scale, "release", kernel_center)

    def log_prior(latent):
        box = uniform_log_density(latent.variances, low, high).sum()
        return box + uniform_log_density(latent.angle, 0.0, np.pi)

    return KernelFamily("gaussian", sample, render, log_prior)


def _parameters(variances, angle):
    variances = jnp.asarray(variances)
    if not jnp.issubdtype(variances.dtype, jnp.floating):
        variances = variances.astype(jnp.result_type(float))
    return jnp.maximum(variances, _MIN_VARIANCE), jnp.asarray(angle, variances.dtype)


def _log_gaussian(variances, angle, offset):
    """Exponent (k, k) at all pairs of `offset` (k,), distances from the centre on either axis."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    rows, cols = offset[:, None], offset[None, :]
    along, across = cos * cols + sin * rows, cos * rows - sin * cols
    return -0.5 * (along**2 / variances[0] + across**2 / variances[1])
