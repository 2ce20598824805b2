"""The classifier of noisy images that guides a diffusion model: half of the UNet, then attention pooling.

(Dhariwal & Nichol 2021.) Submodules are named as in the released state dict, see `unet`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from blindsr_jax.networks.layers import wide
from blindsr_jax.networks.unet import (
    GroupNorm,
    Linear,
    UNetConfig,
    attend,
    check_input,
    embed_time,
    encode,
    num_heads,
)


class ClassifierConfig(NamedTuple):
    """Sizes of a classifier; as for `UNetConfig`, and the defaults are the released ones for 256 x 256."""

    in_channels: int = 3
    num_classes: int = 1000
    model_channels: int = 128
    channel_mult: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    num_res_blocks: int = 2
    attention_rates: tuple[int, ...] = (8, 16, 32)
    head_channels: int = 64
    image_size: int = 256  # height and width; the pooling knows each position
    precision: str = "float32"
    checkpoint: bool = False

    @property
    def encoder(self) -> UNetConfig:
        """The UNet of which this is a half."""
        return UNetConfig(
            in_channels=self.in_channels,
            model_channels=self.model_channels,
            channel_mult=self.channel_mult,
            num_res_blocks=self.num_res_blocks,
            attention_rates=self.attention_rates,
            head_channels=self.head_channels,
            precision=self.precision,
            checkpoint=self.checkpoint,
        )


class AttentionPool(nn.Module):
    """Attention of a map's mean to all positions. Channels: q of all heads, then k, then v."""

    features: int
    head_channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, C) -> (N, features)."""
        n, h, w, c = x.shape
        x = x.reshape(n, h * w, c)
        x = jnp.concatenate([x.mean(1, keepdims=True), x], 1)
        init = nn.initializers.normal(c**-0.5)
        x = x + self.param("positional_embedding", init, (c, h * w + 1), wide(x.dtype)).T.astype(x.dtype)[None]
        qkv = Linear(3 * c, name="qkv_proj")(x)
        heads = num_heads(c, self.head_channels)
        q, k, v = jnp.split(qkv.reshape(n, -1, 3 * heads, c // heads), 3, 2)
        y = attend(q[:, :1], k, v).reshape(n, c)  # only the mean's answer is read
        return Linear(self.features, name="c_proj")(y)


class Classifier(nn.Module):
    """Names the class of a noisy image."""

    config: ClassifierConfig

    @nn.compact
    def __call__(self, x: jax.Array, t: jax.Array) -> jax.Array:
        """Images and times to classes.

        Args:
          x: (N, image_size, image_size, in_channels) in [-1, 1] and noisy.
          t: (N,) time of the whole chain, 0 to 999, may be fractional.

        Returns:
          (N, num_classes) logits, float32 at least.

        Raises:
          ValueError: images of another size.
        """
        c = self.config
        check_input(x, c.encoder)
        if x.shape[1:3] != (c.image_size, c.image_size):
            size = c.image_size
            raise ValueError(f"the image is {x.shape[1]} x {x.shape[2]}, a classifier for {size} x {size} was given")
        emb = embed_time(t, x.dtype, c.encoder)
        dtype = jnp.bfloat16 if c.precision == "bfloat16" else x.dtype
        h = encode(x.astype(dtype), emb, c.encoder)[-1]
        h = nn.silu(GroupNorm(name="out.0")(h))
        return AttentionPool(c.num_classes, c.head_channels, name="out.2")(h)


def guidance(config: ClassifierConfig, params: Any, x: jax.Array, t: jax.Array, labels: jax.Array) -> jax.Array:
    """The gradient of log p(label | x) with respect to each image.

    Args:
      config: of the classifier.
      params: its parameters, as Flax has them.
      x: (N, S, S, C) in [-1, 1] and noisy.
      t: (N,) time of the whole chain.
      labels: (N,) int.

    Returns:
      Array of the shape of `x`.
    """

    def log_probability(x):
        logs = nn.log_softmax(Classifier(config).apply(params, x, t))
        return jnp.take_along_axis(logs, labels[:, None], 1).sum()

    return jax.grad(log_probability)(x)
