"""KENet: from LR images to their blur kernels in one pass, on N images at once."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from blindsr_jax.imaging.conv import conv2d
from blindsr_jax.networks.layers import Compute, affine

SMALLEST_SIDE = 8  # three halvings
LARGEST_REACH = 6  # of the lags: what the smallest image holds
STAGES = 4
_LEAST_POWER = 1e-3  # of a frequency, in the mean power of all: what lies below is leakage
_LEAST_CONTRAST = 0.02  # of a range of 1: below this an image has more rounding errors than details


class Prediction(NamedTuple):
    """What the network says about N images."""

    kernel_logits: jax.Array  # (N, k, k), float32 at least
    category_logits: jax.Array  # (N, number of categories), likewise

    @property
    def kernel(self) -> jax.Array:
        """(N, k, k), entries above 0, sums 1."""
        n, k, _ = self.kernel_logits.shape
        return jax.nn.softmax(self.kernel_logits.reshape(n, -1)).reshape(n, k, k)


class Conv3(nn.Module):
    """3 x 3 convolution with bias and zeros around, of N images."""

    features: int
    zero_init: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, Ci) -> (N, H, W, features)."""
        first = nn.initializers.zeros if self.zero_init else nn.initializers.he_normal()
        dtype = self.compute.param_dtype(x)
        w = self.param("kernel", first, (3, 3, x.shape[-1], self.features), dtype)
        b = self.param("bias", nn.initializers.zeros, (self.features,), dtype)
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        w, b = w.astype(x.dtype), b.astype(x.dtype)
        return conv2d(x, w, method=self.compute.conv, precision=self.compute.products) + b[None, None, None]


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))); it starts as the identity, there is no normalisation to tame a deep random start."""

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, C) -> (N, H, W, C)."""
        inner = nn.relu(Conv3(x.shape[-1], compute=self.compute, name="first")(x))
        return x + Conv3(x.shape[-1], zero_init=True, compute=self.compute, name="second")(inner)


def max_pool(x: jax.Array) -> jax.Array:
    """2 x 2 maxima, an odd last row or column is dropped: (N, H, W, C) -> (N, H // 2, W // 2, C)."""
    n, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    # Maxima of slices: the gradient of a maximum over axes is several times slower on a CPU.
    return jnp.maximum(jnp.maximum(x[:, :, 0, :, 0], x[:, :, 0, :, 1]), jnp.maximum(x[:, :, 1, :, 0], x[:, :, 1, :, 1]))


class Affine(nn.Module):
    """Affine map of the last axis, in the precision of its input."""

    features: int
    zero_init: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., Ci) -> (..., features)."""
        first = nn.initializers.zeros if self.zero_init else nn.initializers.he_normal()
        w = self.param("kernel", first, (x.shape[-1], self.features), x.dtype)
        b = self.param("bias", nn.initializers.zeros, (self.features,), x.dtype)
        return affine(x, w.astype(x.dtype), b.astype(x.dtype))


def standardize(x: jax.Array) -> jax.Array:
    """Takes off the mean of each of N images (N, H, W, C) and divides by its contrast: both say nothing of the blur."""
    x = x - jnp.mean(jnp.mean(x, 1, keepdims=True), (2, 3), keepdims=True)
    variance = jnp.mean(jnp.mean(x**2, 1, keepdims=True), (2, 3), keepdims=True)
    return x * jax.lax.rsqrt(variance + _LEAST_CONTRAST**2)


def lags_of(differences: Sequence[jax.Array], reach: int) -> jax.Array:
    """The autocorrelation that fields have together.

    Args:
      differences: fields (N, H, W) of one shape, sides above `reach`; beyond them there are zeros.
      reach: the largest lag on either axis.

    Returns:
      (N, (reach + 1) * (2 reach + 1)): the lags of half a plane in rows, in the share of lag zero, which comes first.
    """
    shape = [n + reach for n in differences[0].shape[1:]]  # zeros, so that no lag reaches around
    power = sum(jnp.abs(jnp.fft.rfft2(d, shape)) ** 2 for d in differences)
    found = jnp.roll(jnp.fft.irfft2(power, shape), reach, 2)[:, : reach + 1, : 2 * reach + 1]
    found = jnp.roll(found, -reach, 2).reshape(found.shape[0], -1)
    return found / jnp.maximum(found[:, :1], jnp.finfo(found.dtype).tiny)


def gradients(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Differences of the mean colour of images (N, H, W, C) down and across: (N, H - 1, W - 1) each."""
    gray = jnp.mean(x, -1)
    return jnp.diff(gray, axis=1)[:, :, :-1], jnp.diff(gray, axis=2)[:, :-1]


def autocorrelation(x: jax.Array, reach: int) -> jax.Array:
    """How alike an image's differences are to themselves a few pixels on: the shape of the blur, at first sight.

    Args:
      x: (N, H, W, C).
      reach: the largest lag on either axis.

    Returns:
      (N, (reach + 1) * (2 reach + 1)), see `lags_of`.
    """
    return lags_of(gradients(x), reach)


def log_spectrum(lags: jax.Array, reach: int) -> jax.Array:
    """The logarithm of the smoothed power spectrum: a blur adds to it, where it multiplies all else.

    Blackman and Tukey's estimate, the transform of the autocorrelation under a window. The logarithm of a Gaussian
    kernel's spectrum is linear in its covariance, so that little is left to learn for a network that sees this.

    Args:
      lags: (N, (reach + 1) * (2 reach + 1)) of `autocorrelation`.
      reach: the largest lag on either axis.

    Returns:
      (N, (reach + 1) * (2 reach + 1)), half of the frequencies, about -2.5 to 3.
    """
    size = 2 * reach + 1
    down, across = np.arange(reach + 1), np.fft.ifftshift(np.arange(-reach, reach + 1))
    window = np.outer(*(np.cos(np.pi * n / (2 * reach + 2)) ** 2 for n in (down, across)))
    window[1:] *= 2  # each stands for the lag across the origin too
    turns = (down[:, None, None, None] * down[None, None, :, None] + across[:, None, None] * across) / size
    matrix = (np.cos(2 * np.pi * turns) * window).reshape(lags.shape[-1], -1)
    power = jnp.matmul(lags, jnp.asarray(matrix.T, lags.dtype), precision="highest")
    return jnp.log(jnp.maximum(power, 0) + _LEAST_POWER) / 2 + 1


class KENet(nn.Module):
    """The kernel estimator of the KENet paper, any width, with a second head that names the kernel's category.

    Four stages of 1, 2, 3, 4 times `channels`, each a 3 x 3 convolution, ReLU and a residual block, 2 x 2 maxima
    between them; the mean over all positions; two layers of `hidden`; a softmax over the k * k entries. `channels` 64
    and `hidden` 1024 are the paper's. Beyond the paper, images are standardised first, the category head lets one
    network serve several families, and with a `reach` (1 to 6) the hidden layers also see the image's autocorrelation
    and the logarithm of its power spectrum.
    """

    kernel_size: int
    channels: int = 64
    hidden: int = 1024
    categories: int = 1
    reach: int = 0
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> Prediction:
        """Estimates the kernels of N images (N, h, w, 3) in [0, 1], sides of at least 8; any h and w.

        Raises:
          ValueError: a side is below 8.
        """
        if min(x.shape[1:3]) < SMALLEST_SIDE:
            raise ValueError(f"KENet got images of {x.shape[1]} x {x.shape[2]}, expected sides of at least 8")
        wide = self.compute.param_dtype(x)
        features = []
        if self.reach:
            lags = autocorrelation(x.astype(wide), self.reach)
            features = [lags, log_spectrum(lags, self.reach)]
        x = self.compute.cast(standardize(x))
        for stage in range(STAGES):
            x = max_pool(x) if stage else x
            x = nn.relu(Conv3((stage + 1) * self.channels, compute=self.compute, name=f"conv{stage}")(x))
            x = ResidualBlock(compute=self.compute, name=f"block{stage}")(x)
        x = jnp.concatenate([jnp.mean(jnp.mean(x.astype(wide), 1), 1), *features], -1)
        for layer in range(2):
            x = nn.relu(Affine(self.hidden, name=f"hidden{layer}")(x))
        kernel = Affine(self.kernel_size**2, zero_init=True, name="kernel")(x)
        category = Affine(self.categories, zero_init=True, name="category")(x)
        return Prediction(kernel.reshape(-1, self.kernel_size, self.kernel_size), category)
