"""Whether a kernel that was estimated can be the blur of an image, and whether there is a blur at all."""

import enum
from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels import geometry

# Variance of a kernel along an axis, in HR pixels, up to which it is taken as no blur beyond that of the sampling: a
# point between pixels has 0.25 on the grid of an even scale, a point on a pixel 0.
NO_BLUR = {0: 0.27, 1: 0.12}  # by the parity of the scale
# Share of the power of an image's differences where the kernel passes less than FAINT, beyond which it is not its own.
FAINT = 0.02
IMPOSSIBLE = 0.3
# Share of an image's power beyond ALIASED of its Nyquist frequency, from which it is of stripes or points too fine for
# its pixels: which sharp image they stand for cannot be told. The power of photographs falls with frequency.
ALIASED = 0.75
FINE = 0.5
FLAT = 1e-4  # root mean square of the differences of neighbours, below which an image shows nothing
UNEVEN = 0.35  # see `unevenness`: above it the windows of an image disagree on its blur


class Blur(enum.IntEnum):
    """What was found out about the blur of an image."""

    FOUND = 0
    NONE = 1  # no blur
    IMPOSSIBLE = 2  # the kernel suppresses what the image has
    UNSEEN = 3  # the image has nothing that could be blurred

    def sentence(self, scale: int) -> str:
        """What a person is told of the result at a scale, empty where all is well."""
        result = f"so the result is the {'input' if scale == 1 else 'enlargement'}"
        return {
            Blur.FOUND: "",
            Blur.NONE: f"no blur was found, {result}",
            Blur.IMPOSSIBLE: f"no kernel that fits the image was found, {result}",
            Blur.UNSEEN: f"the image has no detail to tell a blur from, {result}",
        }[self]


class Judgement(NamedTuple):
    """A verdict and what it rests on."""

    verdict: jax.Array  # () int32, a `Blur`
    variance: jax.Array  # () of the kernel along an axis, HR pixels squared, the mean of both axes
    suppressed: jax.Array  # () share of the image's power where the kernel passes next to nothing


def _passed(kernel: jax.Array, scale: int, size: int) -> jax.Array:
    """What passes of LR frequencies (size, size): the largest response among the HR frequencies that alias to each."""
    response = jnp.abs(jnp.fft.fft2(kernel, (scale * size, scale * size)))
    return jnp.max(response.reshape(scale, size, scale, size), (0, 2))


def _power(lr: jax.Array, noise_std: jax.Array | float, size: int = 32) -> jax.Array:
    """The mean power spectrum (n, n) of blocks of an LR image (h, w, c), n at most `size`.

    That of white noise, which no kernel suppresses, is taken off, as if the noise of all colours were the same. What is
    left of it in single frequencies has either sign, and little is left in a sum.
    """
    gray = jnp.mean(lr, -1)
    side = min(size, *gray.shape)
    rows, columns = (n // side for n in gray.shape)
    blocks = gray[: rows * side, : columns * side].reshape(rows, side, columns, side).swapaxes(1, 2)
    taper = jnp.hanning(side + 2)[1:-1].astype(lr.dtype)
    blocks = blocks - jnp.mean(blocks, (-2, -1), keepdims=True)
    down, across = taper[None, None, :, None], taper[None, None, None]
    power = jnp.mean(jnp.square(jnp.abs(jnp.fft.fft2(blocks * down * across))), (0, 1))
    return power - jnp.square(noise_std * jnp.sum(jnp.square(taper)))


def _share(power: jax.Array, where: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.sum(jnp.where(where, power, 0)), 0) / jnp.maximum(jnp.sum(power), 1e-20)


def _suppressed(power: jax.Array, kernel: jax.Array, scale: int) -> jax.Array:
    """Share of the power of the differences of an LR image at frequencies that the kernel suppresses."""
    side = len(power)
    frequency = 2 * jnp.sin(jnp.pi * jnp.fft.fftfreq(side)).astype(power.dtype)
    of_differences = power * (jnp.square(frequency)[:, None] + jnp.square(frequency)[None])
    return _share(of_differences, _passed(kernel, scale, side) < FAINT)


def _fine(power: jax.Array) -> jax.Array:
    """Share of the power of an LR image beyond ALIASED of the Nyquist frequency along an axis."""
    frequency = jnp.abs(jnp.fft.fftfreq(len(power)))
    return _share(power, jnp.maximum(frequency[:, None], frequency[None]) > ALIASED / 2)


def axis_variance(kernel: jax.Array) -> jax.Array:
    """Variance of a kernel (k, k) along an axis, the mean of both axes, in pixels squared, ()."""
    return jnp.trace(geometry.covariance(kernel)) / 2


def unevenness(kernels: jax.Array) -> jax.Array:
    """Relative standard deviation of the widths of the kernels (n, k, k) of windows of one image, ()."""
    widths = jnp.sqrt(jnp.maximum(jax.vmap(axis_variance)(kernels), 0))
    return jnp.std(widths) / jnp.maximum(jnp.mean(widths), 1e-6)


def is_sampling(variance: jax.Array, spec: Spec) -> jax.Array:
    """Whether a variance along an axis is no more than what sampling alone does, bool ()."""
    return variance < NO_BLUR[spec.scale % 2]


def judge(lr: jax.Array, kernel: jax.Array, spec: Spec, noise_std: jax.Array | float = 0.0) -> Judgement:
    """Whether an image should be restored under a kernel.

    Args:
      lr: (h, w, c) in [0, 1].
      kernel: (k, k), sum 1.
      spec: the problem's static part.
      noise_std: (), of the noise in `lr`, see `Problem`.
    """
    variance = axis_variance(kernel)
    power = _power(lr, noise_std)
    suppressed = _suppressed(power, kernel, spec.scale)
    gray = jnp.mean(lr, -1)
    differences = [jnp.mean(jnp.square(jnp.diff(gray, axis=axis))) for axis in (0, 1)]
    is_flat = sum(differences) < 2 * FLAT**2
    verdict = jnp.where((suppressed > IMPOSSIBLE) | (_fine(power) > FINE), Blur.IMPOSSIBLE, Blur.FOUND)
    verdict = jnp.where(is_sampling(variance, spec), Blur.NONE, verdict)
    verdict = jnp.where(is_flat, Blur.UNSEEN, verdict)
    return Judgement(verdict.astype(jnp.int32), variance, suppressed)
