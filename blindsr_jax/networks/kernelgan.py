"""Networks of KernelGAN (Bell-Kligler et al. 2019) and of KernelGAN-FKP (Liang et al. 2021).

KernelGAN's generator is a stack of linear convolutions without biases, so it is one convolution with the kernel that
the stack implies. Only that kernel is made here, and the image meets it alone: 1.1 million multiplications for the
kernel and 0.3 for a 64x64 crop, where the stack needs 1,290 million for the same numbers.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from blindsr_jax.imaging.conv import conv2d
from blindsr_jax.networks.layers import batch_norm, uniform_fan_in

GENERATOR_SIZES = (7, 5, 3, 1, 1, 1)
_EPSILON = 1e-12


def init_generator(
    key: jax.Array, dtype: jnp.dtype, *, channels: int = 64, sizes: Sequence[int] = GENERATOR_SIZES
) -> tuple[jax.Array, ...]:
    """Weights (n, n, ci, co), one array per layer, from Xavier's normal distribution times 0.1 (release).

    Args:
      key: typed PRNG key.
      dtype: of the weights.
      channels: between two layers; one goes in and one comes out.
      sizes: of the layers' kernels.
    """
    widths = (1, *[channels] * (len(sizes) - 1), 1)
    init = nn.initializers.variance_scaling(0.01, "fan_avg", "normal")
    shapes = [(n, n, *widths[i : i + 2]) for i, n in enumerate(sizes)]
    return tuple(init(k, shape, dtype) for k, shape in zip(jax.random.split(key, len(sizes)), shapes, strict=True))


def _overlap_add(x: jax.Array) -> jax.Array:
    """(m, n, ...) -> (m + n - 1, ...), the sums of x[i, j] over i + j: row i is shifted by i, then all are added."""
    m, n, *rest = x.shape
    flat = jnp.pad(x, [(0, 0), (0, m)] + [(0, 0)] * len(rest)).reshape(m * (m + n), *rest)
    return flat[: m * (m + n - 1)].reshape(m, m + n - 1, *rest).sum(0)


def implied_kernel(weights: Sequence[jax.Array]) -> jax.Array:
    """The one kernel by which a stack of VALID cross-correlations correlates its input (no flip is missing).

    Composed from the last layer to the first, so that each intermediate result is a stack of small kernels with one
    output: the whole matrix of channels times channels never appears.

    Args:
      weights: (n, n, ci, co) a layer, ci = 1 in the first and co = 1 in the last.

    Returns:
      (k, k), k - 1 being the sum of all n - 1; 13 for the released sizes.
    """
    tail = weights[-1][..., 0]  # (p, p, channels)
    for w in reversed(weights[:-1]):
        n, p, ci = w.shape[0], tail.shape[0], w.shape[2]
        products = jnp.matmul(w.reshape(-1, w.shape[3]), tail.reshape(p * p, -1).T, precision="highest")
        products = products.reshape(n, n, ci, p, p).transpose(0, 3, 1, 4, 2)
        rows = _overlap_add(products)  # (n + p - 1, n, p, ci)
        tail = _overlap_add(rows.transpose(1, 2, 0, 3)).transpose(1, 0, 2)
    return tail[..., 0]


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.sqrt(jnp.sum(x**2)), _EPSILON)


def spectral_norm(w: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Divides weights by an estimate of their largest singular value (Miyato et al. 2018), one power iteration.

    Args:
      w: (kh, kw, ci, co), as a matrix with co columns.
      u: (co,), the singular vector so far.

    Returns:
      The weights, whose gradient takes the singular vectors as constants, and the next u.
    """
    matrix = w.reshape(-1, w.shape[-1])
    fixed = jax.lax.stop_gradient(matrix)
    v = _unit(jnp.matmul(fixed, u, precision="highest"))
    u = _unit(jnp.matmul(fixed.T, v, precision="highest"))
    sigma = jnp.dot(v, jnp.matmul(matrix, u, precision="highest"), precision="highest")
    return w / sigma, u


def _near_one(key, shape, dtype):
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)


def _normal(key, shape, dtype):
    return 0.02 * jax.random.normal(key, shape, dtype)


class SpectralConv(nn.Module):
    """VALID convolution with bias, its weights under `spectral_norm`; u is the variable 'u' of 'spectral'."""

    features: int
    size: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, Ci) -> (H - size + 1, W - size + 1, features)."""
        # The release's own start has no effect: its norm keeps the default weights, whose scale it divides out.
        init = uniform_fan_in(x.shape[-1] * self.size**2)
        w = self.param("kernel", init, (self.size, self.size, x.shape[-1], self.features), x.dtype)
        b = self.param("bias", nn.initializers.zeros, (self.features,), x.dtype)[None, None]
        u = self.variable(
            "spectral",
            "u",
            lambda: _unit(jax.random.normal(self.make_rng("params"), (self.features,), x.dtype)),
        )
        w, u.value = spectral_norm(w, u.value)
        if self.size == 1:
            return jnp.matmul(x, w[0, 0], precision="highest") + b
        return conv2d(x[None], w)[0] + b


class Norm(nn.Module):
    """Batch normalisation in train mode; the scale starts near 1 (release)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, C) or (N, H, W, C), whose statistics are those of the whole array a channel."""
        scale = self.param("scale", _near_one, x.shape[-1:], x.dtype)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], x.dtype)
        return batch_norm(x.reshape(-1, *x.shape[-2:]), scale, bias, 1e-5).reshape(x.shape)


class Discriminator(nn.Module):
    """KernelGAN's: for each 7 x 7 patch, the probability that it is real. 30,977 parameters.

    Every call moves the variables of the collection 'spectral' by one power iteration: apply with mutable=['spectral'].
    """

    features: int = 64
    hidden_layers: int = 5
    size: int = 7

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, C) in [-1, 1] -> (H - 6, W - 6) in [0, 1]."""
        x = SpectralConv(self.features, self.size, name="first")(x)
        for i in range(self.hidden_layers):
            x = SpectralConv(self.features, 1, name=f"conv{i}")(x)
            x = jax.nn.relu(Norm(name=f"norm{i}")(x))
        return jax.nn.sigmoid(SpectralConv(1, 1, name="last")(x)[..., 0])


class PatchCritic(nn.Module):
    """KernelGAN-FKP's discriminator, of 11 x 11 patches, without a last non-linearity. 29,185 parameters."""

    features: int = 32
    blocks: int = 4
    method: str = "auto"  # of conv2d; one of 'xla', 'im2col' and 'kn2row' where second derivatives are taken

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, C) in [0, 1] -> (N, H - 10, W - 10), any numbers."""
        x = 2 * x - 1
        for i in range(self.blocks):
            x = jax.nn.leaky_relu(Norm(name=f"norm{i}")(self._conv(x, self.features, i)), 0.2)
        return self._conv(x, 1, self.blocks)[..., 0]

    def _conv(self, x, features, i):
        w = self.param(f"kernel{i}", _normal, (3, 3, x.shape[-1], features), x.dtype)
        b = self.param(f"bias{i}", nn.initializers.zeros, (features,), x.dtype)
        return conv2d(x, w, method=self.method) + b[None, None, None]
