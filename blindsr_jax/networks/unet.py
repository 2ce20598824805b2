"""The UNet of guided diffusion (Dhariwal & Nichol 2021), for released weights and for small priors of our own.

Submodules are named as the parts of the released state dicts are: a parameter's path joined by dots is its key there.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from blindsr_jax.imaging.conv import conv2d
from blindsr_jax.networks.layers import affine, uniform_fan_in, wide

PRECISIONS = ("float32", "bfloat16")
_GROUPS = 32
_EPSILON = 1e-5
_LONGEST_PERIOD = 10000


class UNetConfig(NamedTuple):
    """Sizes of a UNet; the released one is `RELEASED`."""

    in_channels: int = 3
    out_channels: int = 3  # 6 with a learned variance: noise, then variance
    model_channels: int = 64
    channel_mult: tuple[int, ...] = (1, 2, 2)  # one entry a level, each level has half the resolution
    num_res_blocks: int = 1  # a level
    attention_rates: tuple[int, ...] = ()  # rates of down-sampling whose levels have attention, as then has the middle
    head_channels: int = 64  # a level with fewer channels has one head
    num_classes: int | None = None
    patch: int = 1  # p x p pixels become channels before the first convolution; 1 in the releases
    normalize: bool = True  # group normalisation in residual blocks; small restorers train faster without
    precision: str = "float32"  # of the activations and weights as used; parameters are always float32
    checkpoint: bool = False  # the backward pass computes each residual block again instead of keeping it


RELEASED = UNetConfig(3, 6, 256, (1, 1, 2, 2, 4, 4), 2, (8, 16, 32), 64, 1000)


def multiple(config: UNetConfig) -> int:
    """What height and width of the input must be multiples of."""
    return config.patch * 2 ** (len(config.channel_mult) - 1)


def _resized(x: jax.Array, resample: str | None) -> jax.Array:
    """(N, H, W, C) to half (means of 2 x 2) or double (nearest) its size."""
    n, h, w, c = x.shape
    if resample == "down":
        return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))
    if resample == "up":
        return jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)
    return x


def space_to_depth(x: jax.Array, patch: int) -> jax.Array:
    """(N, H, W, C) -> (N, H / p, W / p, p p C)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // patch, patch, w // patch, patch, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // patch, w // patch, patch * patch * c)


def depth_to_space(x: jax.Array, patch: int) -> jax.Array:
    """The inverse of `space_to_depth`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, patch, patch, c // patch**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * patch, w * patch, c // patch**2)


def time_embedding(t: jax.Array, dim: int) -> jax.Array:
    """Sinusoids of the time, cosines first (Dhariwal & Nichol 2021).

    Args:
      t: (N,) floating-point numbers, 0 to 999, which may be fractional.
      dim: number of sinusoids; an odd one adds a column of zeros.

    Returns:
      (N, dim).
    """
    half = dim // 2
    exponents = np.float32(-math.log(_LONGEST_PERIOD)) * np.arange(half, dtype=np.float32) / np.float32(half)
    angles = t[:, None] * jnp.asarray(np.exp(exponents), t.dtype)[None]
    return jnp.pad(jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], 1), ((0, 0), (0, dim % 2)))


class Linear(nn.Module):
    """Affine map of the last axis with torch's initialisation, or zeros."""

    features: int
    zero: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., Ci) -> (..., features), of the dtype of `x`."""
        init = nn.initializers.zeros if self.zero else uniform_fan_in(x.shape[-1])
        w = self.param("kernel", init, (x.shape[-1], self.features), wide(x.dtype)).astype(x.dtype)
        b = self.param("bias", init, (self.features,), wide(x.dtype)).astype(x.dtype)
        return affine(x, w, b)


class Conv(nn.Module):
    """Square convolution with zeros around the image, torch's initialisation or zeros; size 1 is a matrix product."""

    features: int
    size: int = 3
    zero: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, Ci) -> (N, H, W, features), of the dtype of `x`."""
        pad = self.size // 2
        init = nn.initializers.zeros if self.zero else uniform_fan_in(x.shape[-1] * self.size**2)
        shape = (self.size, self.size, x.shape[-1], self.features)
        w = self.param("kernel", init, shape, wide(x.dtype)).astype(x.dtype)
        b = self.param("bias", init, (self.features,), wide(x.dtype)).astype(x.dtype)
        if self.size == 1:
            return affine(x, w[0, 0], b)
        return conv2d(jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0))), w) + b[None, None, None]


class GroupNorm(nn.Module):
    """Normalisation of an image by the statistics of 32 groups of channels, or as many as divide the channels.

    Where it is not `active` only its scale and bias remain.
    """

    active: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, C) -> the same, float32 at least."""
        n, h, w, c = x.shape
        dtype = wide(x.dtype)
        scale = self.param("scale", nn.initializers.ones, (c,), dtype)[None, None, None]
        bias = self.param("bias", nn.initializers.zeros, (c,), dtype)[None, None, None]
        if not self.active:
            return x.astype(dtype) * scale + bias
        groups = max(g for g in range(1, _GROUPS + 1) if c % g == 0)
        x = x.astype(dtype).reshape(n, h, w, groups, c // groups)

        def mean(x):  # an axis at a time: one long float32 sum would lose digits
            return x.mean(1, keepdims=True).mean(2, keepdims=True).mean(4, keepdims=True)

        x = x - mean(x)
        x = x * lax.rsqrt(mean(x**2) + _EPSILON)
        return x.reshape(n, h, w, c) * scale + bias


class ResBlock(nn.Module):
    """Two convolutions; the time scales and shifts between them. Resampled before the first one, on both branches."""

    features: int
    resample: str | None = None  # 'down' or 'up'
    normalize: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, emb: jax.Array) -> jax.Array:
        """(N, H, W, Ci) and (N, E) -> (N, H', W', features)."""
        h = nn.silu(GroupNorm(self.normalize, name="in_layers.0")(x)).astype(x.dtype)
        h, x = _resized(h, self.resample), _resized(x, self.resample)
        h = Conv(self.features, name="in_layers.2")(h)
        moments = Linear(2 * self.features, name="emb_layers.1")(nn.silu(emb))
        scale, shift = jnp.split(moments[:, None, None], 2, -1)
        h = nn.silu(GroupNorm(self.normalize, name="out_layers.0")(h) * (1 + scale) + shift).astype(x.dtype)
        h = Conv(self.features, zero=True, name="out_layers.3")(h)
        if x.shape[-1] != self.features:
            x = Conv(self.features, 1, name="skip_connection")(x)
        return x + h


def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Scaled dot-product attention: three times (N, L, heads, d) -> (N, L, heads, d); softmax in float32 at least."""
    scale = q.shape[-1] ** -0.25  # on either factor, so that products of half precision stay small
    logits = jnp.einsum("nqhd,nkhd->nhqk", q * scale, k * scale, precision="highest")
    weights = nn.softmax(logits.astype(wide(logits.dtype))).astype(v.dtype)
    return jnp.einsum("nhqk,nkhd->nqhd", weights, v, precision="highest")


def num_heads(channels: int, head_channels: int) -> int:
    """Heads of an attention layer; raises ValueError if the channels do not divide evenly."""
    if channels % min(channels, head_channels):
        raise ValueError(f"{channels} channels are no multiple of head_channels = {head_channels}")
    return channels // min(channels, head_channels)


class Attention(nn.Module):
    """Self-attention over all positions, added to its input. Channels lie head by head: (q, k, v), (q, k, v), ..."""

    head_channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, C) -> (N, H, W, C)."""
        n, h, w, c = x.shape
        heads = num_heads(c, self.head_channels)
        qkv = Linear(3 * c, name="qkv")(GroupNorm(name="norm")(x).astype(x.dtype))
        qkv = qkv.reshape(n, h * w, heads, 3, c // heads)
        y = attend(*(qkv[..., i, :] for i in range(3)))
        return x + Linear(c, zero=True, name="proj_out")(y.reshape(n, h, w, c))


def _layers(config: UNetConfig):
    """The two kinds of block, as the config has them."""
    block = nn.remat(ResBlock) if config.checkpoint else ResBlock
    return functools.partial(block, normalize=config.normalize), Attention


def embed_time(t: jax.Array, dtype: jnp.dtype, config: UNetConfig) -> jax.Array:
    """Two layers on the sinusoids of the time; call it in a module. (N,) -> (N, 4 model_channels)."""
    emb = time_embedding(t.astype(wide(dtype)), config.model_channels)
    emb = Linear(4 * config.model_channels, name="time_embed.0")(emb)
    return Linear(4 * config.model_channels, name="time_embed.2")(nn.silu(emb))


def encode(x: jax.Array, emb: jax.Array, config: UNetConfig) -> list[jax.Array]:
    """The descending half with the middle; call it in a module.

    Args:
      x: (N, H, W, Ci).
      emb: (N, 4 model_channels).
      config: of the network.

    Returns:
      The outputs of all input blocks, and then that of the middle.
    """
    res, attention = _layers(config)
    outputs = [Conv(config.channel_mult[0] * config.model_channels, name="input_blocks.0.0")(x)]
    for level, mult in enumerate(config.channel_mult):
        last = level == len(config.channel_mult) - 1
        for i in range(config.num_res_blocks + (not last)):
            resample = "down" if i == config.num_res_blocks else None
            block = f"input_blocks.{len(outputs)}"
            h = res(mult * config.model_channels, resample, name=f"{block}.0")(outputs[-1], emb)
            if resample is None and 2**level in config.attention_rates:
                h = attention(config.head_channels, name=f"{block}.1")(h)
            outputs.append(h)
    channels = outputs[-1].shape[-1]
    h = res(channels, name="middle_block.0")(outputs[-1], emb)
    if config.attention_rates:  # without any, the network is fully convolutional
        h = attention(config.head_channels, name="middle_block.1")(h)
    return [*outputs, res(channels, name="middle_block.2")(h, emb)]


def _decode(h: jax.Array, skips: list[jax.Array], emb: jax.Array, config: UNetConfig) -> jax.Array:
    """The ascending half: it takes the skips from the last to the first."""
    res, attention = _layers(config)
    number = 0
    for level, mult in reversed(list(enumerate(config.channel_mult))):
        channels = mult * config.model_channels
        for i in range(config.num_res_blocks + 1):
            parts = (f"output_blocks.{number}.{part}" for part in range(3))
            h = res(channels, name=next(parts))(jnp.concatenate([h, skips.pop()], -1), emb)
            if 2**level in config.attention_rates:
                h = attention(config.head_channels, name=next(parts))(h)
            if level and i == config.num_res_blocks:
                h = res(channels, "up", name=next(parts))(h, emb)
            number += 1
    return h


class UNet(nn.Module):
    """Predicts the noise in images. New networks predict zero: the last layers start there."""

    config: UNetConfig

    @nn.compact
    def __call__(self, x: jax.Array, t: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        """Images, times and classes to noise (and variance).

        Args:
          x: (N, H, W, in_channels) in [-1, 1] and noisy; H and W multiples of `multiple(config)`.
          t: (N,) time of the whole chain, 0 to 999, may be fractional.
          labels: (N,) int, or None to add no class.

        Returns:
          (N, H, W, out_channels), float32 at least.

        Raises:
          ValueError: a size that does not divide, or labels for a network without classes.
        """
        c = self.config
        check_input(x, c)
        emb = embed_time(t, x.dtype, c)
        if c.num_classes is not None:
            table = self.param("label_emb", nn.initializers.normal(1.0), (c.num_classes, emb.shape[-1]), emb.dtype)
            emb = emb if labels is None else emb + table[labels]
        elif labels is not None:
            raise ValueError("labels were given to a network without classes")
        dtype = jnp.bfloat16 if c.precision == "bfloat16" else x.dtype
        *skips, h = encode(space_to_depth(x, c.patch).astype(dtype), emb, c)
        h = _decode(h, skips, emb, c)
        h = nn.silu(GroupNorm(c.normalize, name="out.0")(h))
        return depth_to_space(Conv(c.out_channels * c.patch**2, zero=True, name="out.2")(h), c.patch)


def check_input(x: jax.Array, config: UNetConfig) -> None:
    """Raises ValueError where an input (N, H, W, C) does not fit a network, or its precision is unknown."""
    side = multiple(config)
    if x.shape[1] % side or x.shape[2] % side:
        raise ValueError(f"the image is {x.shape[1]} x {x.shape[2]}, multiples of {side} were expected")
    if x.shape[3] != config.in_channels:
        raise ValueError(f"the image has {x.shape[3]} channels, {config.in_channels} were expected")
    if config.precision not in PRECISIONS:
        raise ValueError(f"the precision is {config.precision!r}, expected one of {', '.join(PRECISIONS)}")
