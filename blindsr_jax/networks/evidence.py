"""The learned evidence: two towers whose product is log p(kernel | LR) - log p(kernel), but for a constant an image.

One tower sees an LR image, the other a kernel. Trained to tell the kernel of an image from other kernels of the prior
(InfoNCE, van den Oord et al. 2018), the best score is that logarithm; `inference.evidence` makes a posterior of it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from blindsr_jax.kernels import geometry
from blindsr_jax.networks.kenet import STAGES, Affine, Conv3, gradients, lags_of, log_spectrum, max_pool
from blindsr_jax.networks.layers import Compute

SMALLEST_SIDE = 8  # three halvings
LARGEST_REACH = 14
_LEAST_CONTRAST = 0.02  # of a range of 1: below this an image has more rounding errors than details
_TYPICAL_SIDE = 48.0
_FREQUENCIES = 10  # steps from 0 to the sampling frequency of the LR image
_LEAST_POWER = 1e-3  # of a frequency of a kernel, whose mean has 1
_LEAST_ENTRY = 1e-5  # of a kernel: below it the root is a straight line, so that its slope stays finite


def default_reach(scale: int, kernel_size: int) -> int:
    """Lags of the autocorrelation, in LR pixels, that a kernel of this size can reach, and one more; at most 12."""
    return min(-(-kernel_size // scale) + 1, 12)


def _inside(shape: tuple[int, ...], sizes: jax.Array, dtype) -> jax.Array:
    """(N, H, W, 1): 1 in the first rows and columns that `sizes` (N, 2) counts, 0 elsewhere."""
    rows, columns = (jnp.arange(n, dtype=sizes.dtype)[None] < sizes[:, axis, None] for axis, n in enumerate(shape[1:3]))
    return (rows[:, :, None] & columns[:, None, :])[..., None].astype(dtype)


def _sum(x: jax.Array) -> jax.Array:
    """Sums over positions, (N, H, W, C) -> (N, C): one long float32 sum would lose digits."""
    return jnp.sum(jnp.sum(x, 1), 1)


class ImageTower(nn.Module):
    """LR images -> embeddings: a trunk as KENet's, means of each stage, lags, log spectrum, contrast and size."""

    channels: int
    hidden: int
    features: int
    reach: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array, sizes: jax.Array) -> jax.Array:
        """(N, h, w, 3) in [0, 1], of each image the first rows and columns as `sizes` (N, 2) counts -> (N, features).

        The other pixels have no influence: the result is that of the image cut to its size.
        """
        wide = self.compute.param_dtype(x)
        x = x.astype(wide)
        room = [(0, max(self.reach + 2 - n, 0)) for n in x.shape[1:3]]  # the lags need it
        x = jnp.pad(x, ((0, 0), *room, (0, 0)))
        inside, count = _inside(x.shape, sizes, wide), jnp.prod(sizes, 1).astype(wide)[:, None]
        x = (x - (_sum(x * inside) / count)[:, None, None]) * inside
        variance = jnp.mean(_sum(x**2) / count, -1)[:, None]
        x = x * jax.lax.rsqrt(variance + _LEAST_CONTRAST**2)[:, None, None]
        within = _inside((0, x.shape[1] - 1, x.shape[2] - 1), sizes - 1, wide)[..., 0]
        lags = lags_of([d * within for d in gradients(x)], self.reach)
        features = [jnp.log(variance + 1e-6) / 2 + 2, jnp.log(count / _TYPICAL_SIDE**2)]
        features += [lags, log_spectrum(lags, self.reach), *self._trunk(x, sizes, wide)]
        x = jnp.concatenate(features, -1)
        for layer in range(2):
            x = nn.relu(Affine(self.hidden, name=f"hidden{layer}")(x))
        return Affine(self.features, name="embedding")(x)

    def _trunk(self, x, sizes, wide) -> list[jax.Array]:
        """Means over the positions after each stage, (N, channels of the stage), and of the last also of squares."""
        x, means = self.compute.cast(x), []
        for stage in range(STAGES):
            x, sizes = (max_pool(x), sizes // 2) if stage else (x, sizes)
            inside, count = _inside(x.shape, sizes, x.dtype), jnp.prod(sizes, 1).astype(wide)[:, None]
            x = x * inside  # a maximum over an odd last row reaches beyond the image
            x = nn.relu(Conv3((stage + 1) * self.channels, compute=self.compute, name=f"conv{stage}")(x)) * inside
            y = nn.relu(Conv3(x.shape[-1], compute=self.compute, name=f"first{stage}")(x)) * inside
            x = (x + Conv3(x.shape[-1], zero_init=True, compute=self.compute, name=f"second{stage}")(y)) * inside
            means.append(_sum(x.astype(wide)) / count)
        means.append(jnp.sqrt(_sum(x.astype(wide) ** 2) / count + 1e-6))
        return means


def kernel_features(kernels: jax.Array, scale: int) -> jax.Array:
    """What the kernel tower sees: log power at low frequencies, covariance, and the root of each entry.

    Args:
      kernels: (n, k, k), sums 1.
      scale: of the super-resolution; frequencies reach up to the sampling frequency of the LR image, those above half
        of it are the ones that alias.

    Returns:
      (n, features), differentiable also where entries are 0.
    """
    k, dtype = kernels.shape[-1], kernels.dtype
    limit = min(1 / scale, 0.5) / _FREQUENCIES
    turns = [limit * np.arange(first, _FREQUENCIES + 1) for first in (0, -_FREQUENCIES)]
    down, across = (np.exp(-2j * np.pi * np.outer(f, np.arange(k))) for f in turns)

    def transform(real, imaginary):  # of the two factors of the transform
        left, right = jnp.asarray(real, dtype), jnp.asarray(imaginary, dtype)
        return jnp.einsum("ui,nij,vj->nuv", left, kernels, right, precision="highest")

    re = transform(down.real, across.real) - transform(down.imag, across.imag)
    im = transform(down.real, across.imag) + transform(down.imag, across.real)
    power = (re**2 + im**2).reshape(len(kernels), -1)
    covariance = _covariances(kernels) / scale**2
    covariance = jnp.stack([covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]], -1)
    width = jnp.log(covariance[:, :1] + covariance[:, 1:2] + 0.01)
    roots = (jnp.sqrt(jnp.maximum(kernels, 0) + _LEAST_ENTRY) - _LEAST_ENTRY**0.5) * k / 2
    return jnp.concatenate(
        [jnp.log(power + _LEAST_POWER) / 2 + 1, covariance, width, roots.reshape(len(kernels), -1)], axis=-1
    )


def _covariances(kernels: jax.Array) -> jax.Array:
    """Covariances (n, 2, 2) in px^2 of kernels (n, k, k)."""
    return jax.vmap(geometry.covariance)(kernels)


class KernelTower(nn.Module):
    """Kernels -> embeddings and biases."""

    scale: int
    hidden: int
    features: int

    @nn.compact
    def __call__(self, kernels: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(n, k, k), sums 1 -> (n, features), (n,)."""
        x = kernel_features(kernels, self.scale)
        for layer in range(2):
            x = nn.relu(Affine(self.hidden, name=f"hidden{layer}")(x))
        found = Affine(self.features + 1, zero_init=True, name="embedding")(x)
        return found[:, :-1], found[:, -1]


class Evidence(nn.Module):
    """Both towers, for one scale; kernels are (k, k) and centred as 'release' says."""

    scale: int
    kernel_size: int
    channels: int = 16
    hidden: int = 256
    features: int = 128
    reach: int = 6
    compute: Compute = Compute()

    def setup(self):
        """Names the towers."""
        self.image = ImageTower(self.channels, self.hidden, self.features, self.reach, self.compute)
        self.kernel = KernelTower(self.scale, self.hidden, self.features)

    def observe(self, lr: jax.Array, sizes: jax.Array | None = None) -> jax.Array:
        """Embeddings (N, features) of LR images (N, h, w, 3) in [0, 1].

        Args:
          lr: sides of at least 8.
          sizes: (N, 2) whole numbers of at least 8, how many of its first rows and columns are the image; None: all.

        Raises:
          ValueError: a side is below 8.
        """
        if min(lr.shape[1:3]) < SMALLEST_SIDE:
            raise ValueError(f"the evidence got images of {lr.shape[1]} x {lr.shape[2]}, expected sides of at least 8")
        if sizes is None:
            sizes = jnp.broadcast_to(jnp.asarray(lr.shape[1:3], jnp.int32), (len(lr), 2))
        return self.image(lr, sizes)

    def describe(self, kernels: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Embeddings (n, features) and biases (n,) of kernels (n, k, k)."""
        return self.kernel(kernels)

    def __call__(self, lr: jax.Array, kernels: jax.Array) -> jax.Array:
        """Scores (N, n) of each kernel for each image."""
        return score(self.observe(lr), *self.describe(kernels))


def score(image: jax.Array, kernel: jax.Array, bias: jax.Array, strength: jax.Array | float = 1.0) -> jax.Array:
    """Scores (..., n) of n kernels.

    Args:
      image: (..., features), an embedding or a sum of several.
      kernel: (n, features).
      bias: (n,).
      strength: (...) how many images the embedding stands for.
    """
    found = jnp.matmul(image, kernel.T, precision="highest") / kernel.shape[-1] ** 0.5
    strength = jnp.asarray(strength, found.dtype)[..., None]
    strength, bias = (jax.lax.broadcast_to_rank(x, found.ndim) for x in (strength, bias))
    return found + strength * bias
