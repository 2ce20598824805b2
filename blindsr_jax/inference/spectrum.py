"""How well a kernel explains the power spectrum of the LR image: evidence that needs no estimate of the sharp image.

The sharp image is taken as a Gaussian field with the power spectrum A / |f|^a of natural images, a about 2 (Field
1987). Then the LR image is a Gaussian field too, with the spectrum

    S(f) = A / s^2  sum over aliases of |K(f)|^2 / |f|^a  + noise,

and the likelihood of a kernel has the image integrated out (Whittle's approximation). A joint estimate of image and
kernel favours "no blur" (Levin et al. 2011); this one does not, but it sees |K| only, and photographs are no Gaussian
fields, so it can start a solver, not end it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging import tiling
from blindsr_jax.imaging.problem import Problem

# Rounding to 8 bits, as the variance of a uniform error: no photograph has less noise.
_ROUNDING = (1 / 255) ** 2 / 12
_NOISE_QUANTILE = 0.1  # the weakest frequencies show the noise
_AMPLITUDES = 24
_NOTHING = 1e-20  # power that a kernel passes: a flat one as wide as the image passes exactly none
_SLOPES = (1.5, 2.0, 2.5, 3.0)  # exponents a; soft photographs have the steeper ones
# What the log evidence is divided by before it is believed: far above one, as no photograph is a Gaussian field.
_TEMPERATURE = 100.0


def block_size(lr_shape: tuple[int, ...], scale: int, kernel_size: int, *, least: int = 32) -> int:
    """Side of the blocks whose spectra are averaged: twice the kernel, `least` LR pixels or more, at most the image."""
    return min(max(least, -(-2 * kernel_size // scale)), *lr_shape[-3:-1])


def mean_power(lr: jax.Array, size: int) -> jax.Array:
    """Periodogram of the luminance, averaged over half-overlapping Hann-windowed blocks.

    Args:
      lr: (h, w, c) in [0, 1].
      size: n, side of a block.

    Returns:
      (n, n) power a frequency; white noise of variance v gives v.
    """
    gray = jnp.mean(lr, -1)
    starts = [
        np.unique(np.linspace(0, m - size, max(1, -(-2 * (m - size) // size) + 1)).astype(int)) for m in gray.shape
    ]
    window = np.hanning(size + 2)[1:-1]
    window = np.outer(window, window)
    window = jnp.asarray(window / np.sqrt(np.mean(window**2)), lr.dtype)[None]
    corners = tiling.corners(*starts)  # gathered: the program does not grow with them
    blocks = jax.vmap(lambda corner: tiling.take(gray, corner, (size, size)))(corners)
    blocks = (blocks - jnp.sum(blocks * window, (1, 2), keepdims=True) / jnp.sum(window)) * window
    return jnp.mean(jnp.abs(jnp.fft.fft2(blocks)) ** 2, 0) / size**2


def _leak(spectrum: jax.Array) -> jax.Array:
    """What a Hann window does to a spectrum (n, n): without it, the zeros of a motion kernel would look impossible."""
    for axis in (0, 1):
        spectrum = 2 / 3 * spectrum + (jnp.roll(spectrum, 1, axis) + jnp.roll(spectrum, -1, axis)) / 6
    return spectrum


def by_slope(kernels: jax.Array, power: jax.Array, scale: int) -> jax.Array:
    """Log likelihood of a power spectrum under each kernel and slope, amplitude profiled out.

    Args:
      kernels: (L, k, k), no wider than the blocks of the spectrum at the HR scale.
      power: (n, n) of `mean_power`.
      scale: s.

    Returns:
      (L, 4), as if each frequency were one independent sample.
    """
    s, n = scale, len(power)
    noise = jnp.maximum(jnp.quantile(power, _NOISE_QUANTILE), _ROUNDING)
    f = np.fft.fftfreq(s * n)
    radius = np.sqrt(f[:, None] ** 2 + f[None, :] ** 2)
    radius = np.maximum(radius, 1 / (s * n))
    fields = jnp.asarray(np.stack([radius**-slope for slope in _SLOPES]), power.dtype)
    low = np.fft.fftfreq(n)
    # The lowest frequencies hold the scene's layout and the window's leakage, not the blur.
    used = np.sqrt(low[:, None] ** 2 + low[None, :] ** 2) > 2.5 / n

    def one(kernel):
        response = jnp.abs(jnp.fft.fft2(kernel, (s * n, s * n))) ** 2

        def of_slope(field):
            shape = _leak(jnp.mean((response * field).reshape(s, n, s, n), (0, 2)))[used]
            seen = power[used]
            guess = jnp.mean(seen) / jnp.maximum(jnp.mean(shape), _NOTHING)
            amplitudes = guess * jnp.logspace(-2, 2, _AMPLITUDES, dtype=power.dtype)
            model = amplitudes[:, None] * shape[None] + noise
            return jnp.max(-jnp.sum(jnp.log(model) + seen[None] / model, -1))

        return jax.vmap(of_slope)(fields)

    return jax.lax.map(one, kernels, batch_size=64)


def _evidence_by_slope(kernels, problem):
    """(L, 4): log likelihood of the LR image's spectrum under each kernel and slope."""
    s, lr = problem.spec.scale, problem.lr
    n = block_size(lr.shape, s, problem.spec.kernel_size)
    # Independent samples: a real field has each frequency twice.
    return by_slope(kernels, mean_power(lr, n), s) * (lr.shape[-3] * lr.shape[-2] / n**2 / 2)


def log_evidence(kernels: jax.Array, problem: Problem) -> jax.Array:
    """Log likelihood of the LR image's spectrum under each kernel, up to a constant.

    The amplitude is profiled out, the slope is averaged over. Tests check it; solvers take `log_prior`.

    Args:
      kernels: (L, k, k).
      problem: the LR image and its spec.

    Returns:
      (L,).
    """
    return jax.nn.logsumexp(_evidence_by_slope(kernels, problem), -1)


def log_prior(kernels: jax.Array, problem: Problem) -> jax.Array:
    """`log_evidence`, tempered so that it can stand beside other terms: (L, k, k) -> (L,)."""
    return jax.nn.logsumexp(_evidence_by_slope(kernels, problem) / _TEMPERATURE, -1)
