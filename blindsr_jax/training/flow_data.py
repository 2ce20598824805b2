"""Training kernels of a flow: drawn from a family as they are needed, or a user's own."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.kernels import geometry, placement
from blindsr_jax.kernels.family import KernelFamily, sample_kernels
from blindsr_jax.kernels.gaussian import data_variance_range, release_gaussian_kernel

_HELD_OUT_KEY, _HELD_OUT = 2024, 4096  # validation kernels of a family without a grid
_OWN_SHARE = 10  # one of so many own kernels is held out
_MARGIN = 0.01  # of the normalization above the largest entry, as in the release
_MOST_LOST = 0.05  # share of an own kernel that may fall outside the window


class Data(NamedTuple):
    """Where kernels come from, centred as 'release' says. Hashable by identity: make it once."""

    draw: Callable[[jax.Array, int], jax.Array]  # (key, n) -> (n, k, k)
    validation: Callable[[], jax.Array]  # -> (m, k, k), the same in each call
    # -> an entry that counts as the largest; the release takes the peak of the narrowest kernel at angle 0. None: found
    largest: Callable[[], float] | None = None


def gaussian_grid(scale: int, kernel_size: int) -> jax.Array:
    """The validation kernels of the release, (m, k, k): a grid of variances (steps of 0.3 px^2) and angles (0.2)."""
    low, high = data_variance_range(scale)
    dtype = jnp.result_type(float)
    # Counted in float64: one width more or less would be another set.
    widths = jnp.asarray(np.arange(low, high + 0.3, 0.3), dtype)
    angles = jnp.asarray(np.arange(0, np.pi, 0.2), dtype)
    first, second, angle = (x.reshape(-1) for x in jnp.meshgrid(widths, widths, angles, indexing="ij"))

    @jax.jit
    @jax.vmap
    def render(first, second, angle):
        return release_gaussian_kernel(jnp.stack([first, second]), angle, kernel_size=kernel_size, scale=scale)

    return render(first, second, angle)


def smooth(kernels: jax.Array, std: float) -> jax.Array:
    """Kernels (n, k, k) blurred by a Gaussian of `std` px, sums 1: what a lens and a pixel add to a path."""
    offset = np.arange(kernels.shape[-1])
    taps = np.exp(-((offset[:, None] - offset[None, :]) ** 2) / (2 * std**2))
    taps = jnp.asarray(taps / taps.sum(0), kernels.dtype)
    kernels = jnp.einsum("ia,nab,jb->nij", taps, kernels, taps, precision="highest")
    return kernels / jnp.sum(kernels, (1, 2), keepdims=True)


def from_family(family: KernelFamily, *, smoothing: float = 0.0) -> Data:
    """Fresh draws, validated on 4,096 draws that are always the same.

    Args:
      family: where kernels come from.
      smoothing: px, see `smooth`; 0 leaves the kernels as they are.
    """

    def draw(key, n):
        kernels = sample_kernels(key, family, n)
        return smooth(kernels, smoothing) if smoothing else kernels

    return Data(draw, lambda: draw(jax.random.key(_HELD_OUT_KEY), _HELD_OUT))


def gaussian(family: KernelFamily, scale: int, kernel_size: int) -> Data:
    """Gaussian kernels of the range of the FKP data, validated on the release's grid and normalised as there."""
    return from_family(family)._replace(
        validation=lambda: gaussian_grid(scale, kernel_size),
        largest=lambda: float(gaussian_grid(scale, kernel_size)[0].max()),
    )


def from_kernels(kernels: np.ndarray) -> Data:
    """Draws with replacement from (n, k, k), n at least 2; every tenth kernel, the first one among them, is held out.

    Raises:
      ValueError: fewer than two.
    """
    if len(kernels) < 2:
        raise ValueError(f"{len(kernels)} kernels were found, at least 2 were expected")
    held_out = np.arange(len(kernels)) % _OWN_SHARE == 0
    known = jnp.asarray(kernels[~held_out], jnp.result_type(float))
    rest = jnp.asarray(kernels[held_out], known.dtype)

    def draw(key, n):
        return known[jax.random.randint(key, (n,), 0, known.shape[0])]

    return Data(draw, lambda: rest)


def prepare(kernel: np.ndarray, scale: int, kernel_size: int) -> np.ndarray:
    """An own kernel (odd, odd) as a flow takes it: (k, k), centre of mass at (k - s) / 2, no negative values, sum 1.

    Raises:
      ValueError: more than 5 % of it would fall outside.
    """
    kernel = jnp.asarray(kernel, jnp.result_type(float))
    inside, lost = placement.fit(kernel, center=geometry.center(kernel_size, scale, "release"), size=kernel_size)
    if lost > _MOST_LOST:
        raise ValueError(f"{100 * lost:.0f} % of it fall outside a window of {kernel_size}, at most 5 % were expected")
    return np.asarray(inside)


def choose_normalization(data: Data) -> float:
    """A number above the entries of the kernels: the largest one, rounded to 5 digits, plus 0.01 (release)."""
    if data.largest is None:
        drawn = data.draw(jax.random.key(_HELD_OUT_KEY + 1), _HELD_OUT)
        largest = max(float(drawn.max()), float(data.validation().max()))
    else:
        largest = data.largest()
    return round(largest, 5) + _MARGIN
