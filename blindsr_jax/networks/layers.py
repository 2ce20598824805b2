"""Layers on one image (H, W, C), initialised as PyTorch does (the release trains from that start)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from blindsr_jax.imaging.conv import conv2d

PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "highest"}


class Compute(NamedTuple):
    """How a network computes; parameters, statistics and gradients of parameters keep the precision of the problem."""

    conv: str = "auto"  # of conv.METHODS
    precision: str = "float32"  # of PRECISIONS

    @property
    def products(self) -> str:
        """The precision of products of float32 numbers, as jax names it."""
        return PRECISIONS[self.precision]

    def param_dtype(self, x: jax.Array) -> jnp.dtype:
        """Of the parameters of a layer with input `x`."""
        return jnp.dtype(jnp.float32) if self.precision == "bfloat16" else x.dtype

    def cast(self, x: jax.Array) -> jax.Array:
        """The network's input in the precision of its activations."""
        return x.astype(jnp.bfloat16) if self.precision == "bfloat16" else x


def uniform_fan_in(fan_in: int) -> Callable[..., jax.Array]:
    """Initialiser U(-1/sqrt(fan_in), 1/sqrt(fan_in)), used for weights and biases alike."""
    bound = fan_in**-0.5
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


def affine(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    """The last axis times a matrix, plus a bias: (..., Ci), (Ci, Co), (Co,) -> (..., Co)."""
    return jnp.matmul(x, w, precision="highest") + lax.broadcast_to_rank(b, x.ndim)


class Dense(nn.Module):
    """Affine map of the last axis."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., Ci) -> (..., features)."""
        init = uniform_fan_in(x.shape[-1])
        w = self.param("kernel", init, (x.shape[-1], self.features), x.dtype)
        b = self.param("bias", init, (self.features,), x.dtype)
        return affine(x, w, b)


class Conv(nn.Module):
    """Square convolution with bias and reflection padding (size - 1) / 2; size 1 is a matrix product."""

    features: int
    size: int = 3
    stride: int = 1
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, Ci) -> (ceil(H / stride), ceil(W / stride), features)."""
        pad = (self.size - 1) // 2
        init = uniform_fan_in(x.shape[-1] * self.size**2)
        dtype = self.compute.param_dtype(x)
        w = self.param("kernel", init, (self.size, self.size, x.shape[-1], self.features), dtype)
        b = self.param("bias", init, (self.features,), dtype)
        w, b = w.astype(x.dtype), b.astype(x.dtype)[None, None]
        if self.size == 1 and self.stride == 1:
            return jnp.matmul(x, w[0, 0], precision=self.compute.products) + b
        x = jnp.pad(x, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
        return conv2d(x[None], w, self.stride, method=self.compute.conv, precision=self.compute.products)[0] + b


def _channel_mean(x: jax.Array) -> jax.Array:
    """(H, W, C) -> (C,), first down the columns, then along the row: one long float32 sum would lose digits."""
    return jnp.mean(jnp.mean(x, 0), 0)


def wide(dtype: jnp.dtype) -> jnp.dtype:
    """The precision of parameters, statistics and embeddings: float32 at least."""
    return jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)


def batch_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
    """Normalises each channel of one image by its own mean and biased variance (Ioffe & Szegedy 2015).

    Args:
      x: (H, W, C).
      scale: (C,).
      bias: (C,).
      epsilon: added to the variance.

    Returns:
      (H, W, C) of the dtype of `x`; statistics are float32 at least.
    """
    wider = x.astype(wide(x.dtype))
    centred = wider - _channel_mean(wider)[None, None]
    variance = _channel_mean(centred**2)
    return (centred * (lax.rsqrt(variance + epsilon) * scale)[None, None] + bias[None, None]).astype(x.dtype)


class BatchNorm(nn.Module):
    """`batch_norm` with its scale and bias, always in train mode."""

    zero_init: bool = False
    epsilon: float = 1e-5
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, C) -> (H, W, C)."""
        first = nn.initializers.zeros if self.zero_init else nn.initializers.ones
        dtype = self.compute.param_dtype(x)
        scale = self.param("scale", first, x.shape[-1:], dtype)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], dtype)
        return batch_norm(x, scale, bias, self.epsilon)


def max_pool(x: jax.Array) -> jax.Array:
    """2 x 2 maxima, an odd last row or column is dropped: (H, W, C) -> (H // 2, W // 2, C)."""
    h, w, c = x.shape
    return x[: h // 2 * 2, : w // 2 * 2].reshape(h // 2, 2, w // 2, 2, c).max((1, 3))


def center_crop(x: jax.Array, height: int, width: int) -> jax.Array:
    """The middle (height, width) of (H, W, C), offset rounded down."""
    top, left = (x.shape[0] - height) // 2, (x.shape[1] - width) // 2
    return x[top : top + height, left : left + width]
