"""The degradation y = (k * x) downsampled by s: one strided depthwise cross-correlation, its adjoint, and noise.

    y[i, j] = sum_ab K[a, b] x[s i + a - p, s j + b - p],   p = (k - 1) / 2

The kernel is not flipped. 'circular' wraps around; 'valid' takes a canvas that reaches (k - s) pixels beyond the image,
so that every LR pixel is explained without a guess at what lies outside. (DKP, Yang et al. 2024, eq. 1; FKP, Liang et
al. 2021.)
"""

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.conv import conv2d

# Above this many taps per phase the FFT is cheaper than the sum. Blur with both gradients on two CPU cores, sum / FFT:
# x4, k 19, 40x40x3: 3.4 / 1.1 ms, 100x100x3: 13 / 13 ms; x2, k 11, 96x96x3: 5.9 / 2.9 ms; x1, k 7, 300x300: 14 / 1.5.
_FFT_TAPS = 24


def _phases(x: jax.Array, scale: int) -> jax.Array:
    """(H, W, C) -> (C, ceil(H / s), ceil(W / s), s * s): the s * s sub-grids as channels, colours as a batch."""
    h, w, c = x.shape
    x = jnp.pad(x, ((0, -h % scale), (0, -w % scale), (0, 0)))
    x = x.reshape(x.shape[0] // scale, scale, x.shape[1] // scale, scale, c)
    return x.transpose(4, 0, 2, 1, 3).reshape(c, x.shape[0], x.shape[2], scale * scale)


def _correlate_phases(x: jax.Array, kernel: jax.Array, scale: int) -> jax.Array:
    """Strided correlation as a small dense convolution between phases: no stride, so its gradients stay fast."""
    taps = -(-kernel.shape[0] // scale)
    margin = taps * scale - kernel.shape[0]
    weight = jnp.pad(kernel, ((0, margin), (0, margin))).reshape(taps, scale, taps, scale)
    weight = weight.transpose(0, 2, 1, 3).reshape(taps, taps, scale * scale, 1)
    return conv2d(_phases(x, scale), weight)[..., 0].transpose(1, 2, 0)


def _correlate_fft(x: jax.Array, kernel: jax.Array, scale: int) -> jax.Array:
    """The same through the Fourier domain."""
    h, w, _ = x.shape
    k = kernel.shape[0]
    spectrum = jnp.fft.rfft2(x, axes=(0, 1)) * jnp.conj(jnp.fft.rfft2(kernel, (h, w)))[..., None]
    full = jnp.fft.irfft2(spectrum, (h, w), axes=(0, 1))
    return full[: h - k + 1 : scale, : w - k + 1 : scale]


def correlate(canvas: jax.Array, kernel: jax.Array, *, scale: int) -> jax.Array:
    """VALID cross-correlation of each channel with one kernel, keeping every `scale`-th sample.

    Args:
      canvas: (H, W, C) with H = s h + k - s.
      kernel: (k, k).
      scale: s.

    Returns:
      (h, w, C).
    """
    many = (kernel.shape[0] / scale) ** 2 > _FFT_TAPS
    return (_correlate_fft if many else _correlate_phases)(canvas, kernel, scale)


def degrade(image: jax.Array, kernel: jax.Array, *, scale: int, boundary: str) -> jax.Array:
    """Blurs and downsamples an image.

    Args:
      image: (s h, s w, C) for 'circular', the canvas (s h + k - s, s w + k - s, C) for 'valid'.
      kernel: (k, k), cross-correlation convention.
      scale: s.
      boundary: 'circular' or 'valid'.

    Returns:
      The LR image (h, w, C), in the range of the input.
    """
    if boundary == "circular":
        p = (kernel.shape[0] - 1) // 2
        # Samples stop at s (h - 1), so the last s - 1 rows of padding would never be read.
        after = max(p - scale + 1, 0)
        image = jnp.pad(image, ((p, after), (p, after), (0, 0)), mode="wrap")
        excess = max(scale - 1 - p, 0)
        image = image[: image.shape[0] - excess, : image.shape[1] - excess]
    return correlate(image, kernel, scale=scale)


def adjoint(lr: jax.Array, kernel: jax.Array, *, scale: int, boundary: str, image_shape: tuple) -> jax.Array:
    """Transpose of `degrade` in the image: <degrade(x), y> = <x, adjoint(y)>.

    Args:
      lr: (h, w, C).
      kernel: (k, k).
      scale: s.
      boundary: 'circular' or 'valid'.
      image_shape: shape (H, W, C) of the image or canvas.

    Returns:
      (H, W, C).
    """
    zeros = jnp.zeros(image_shape, lr.dtype)
    _, transpose = jax.vjp(lambda x: degrade(x, kernel, scale=scale, boundary=boundary), zeros)
    return transpose(lr)[0]


def add_noise(key: jax.Array, lr: jax.Array, noise_std: float) -> jax.Array:
    """White Gaussian noise of standard deviation `noise_std` on the [0, 1] scale, then clipped to [0, 1]."""
    return jnp.clip(lr + noise_std * jax.random.normal(key, lr.shape, lr.dtype), 0, 1)
