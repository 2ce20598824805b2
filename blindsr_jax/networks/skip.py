"""The DIP image network: an encoder-decoder with skip connections and non-local blocks.

Ulyanov et al. 2018 (Deep Image Prior), with the non-local blocks of the DIP-FKP and DIP-DKP releases.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from blindsr_jax.imaging.resize import upsample
from blindsr_jax.networks.layers import BatchNorm, Compute, Conv, center_crop, max_pool


class ConvBlock(nn.Module):
    """Convolution, batch norm, leaky ReLU."""

    features: int
    size: int = 3
    stride: int = 1
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, Ci) -> (ceil(H / stride), ceil(W / stride), features)."""
        x = Conv(self.features, self.size, self.stride, self.compute, name="conv")(x)
        return nn.leaky_relu(BatchNorm(compute=self.compute, name="norm")(x), 0.2)


class NonLocal(nn.Module):
    """Dot-product non-local block (Wang et al. 2018) without softmax; the identity at initialisation.

    Without a softmax, (theta phi^T) g = theta (phi^T g): the same numbers from a C/2 x C/2 matrix instead of a map of
    all pairs of positions.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, C) -> (H, W, C)."""
        half, conv = x.shape[-1] // 2, partial(Conv, size=1, compute=self.compute)
        theta = conv(half, name="theta")(x)
        phi = max_pool(conv(half, name="phi")(x)).reshape(-1, half)
        g = max_pool(conv(half, name="g")(x)).reshape(-1, half)
        product = partial(jnp.matmul, precision=self.compute.products)
        mixed = product(theta, product(phi.T, g) / phi.shape[0])
        norm = BatchNorm(zero_init=True, compute=self.compute, name="norm")
        return x + norm(conv(x.shape[-1], name="out")(mixed))


class SkipNet(nn.Module):
    """Noise (H, W, Ci) -> image (H, W, outputs) in (0, 1). Any size whose deepest map keeps at least 2 x 2 pixels."""

    channels: int = 128
    skip_channels: int = 16
    levels: int = 5
    outputs: int = 3
    first_nonlocal: int = 2  # levels from this one on have a non-local block
    compute: Compute = Compute()
    checkpoint: bool = False  # keep only what lies between levels for the gradient, and compute the rest again

    def down(self, x: jax.Array, level: int) -> jax.Array:
        """One level of the encoder: (H, W, C) -> (ceil(H / 2), ceil(W / 2), channels)."""
        block = partial(ConvBlock, self.channels, compute=self.compute)
        x = block(3, 2, name=f"down{level}")(x)
        if level >= self.first_nonlocal:
            x = NonLocal(self.compute, name=f"nonlocal{level}")(x)
        return block(name=f"encode{level}")(x)

    def up(self, x: jax.Array, skip: jax.Array, level: int) -> jax.Array:
        """One level of the decoder: the deeper map, twice as large, beside what skips it."""
        block = partial(ConvBlock, compute=self.compute)
        skip = block(self.skip_channels, 1, name=f"skip{level}")(skip)
        x = upsample(x)
        height, width = min(skip.shape[0], x.shape[0]), min(skip.shape[1], x.shape[1])
        x = jnp.concatenate([center_crop(skip, height, width), center_crop(x, height, width)], -1)
        x = BatchNorm(compute=self.compute, name=f"merge{level}")(x)
        return block(self.channels, 1, name=f"mix{level}")(block(self.channels, name=f"decode{level}")(x))

    @nn.compact
    def __call__(self, noise: jax.Array) -> jax.Array:
        """Runs the encoder down, then the decoder up, cropping where odd sizes do not fit."""
        keep = nn.remat if self.checkpoint else lambda method, **_: method
        maps = [self.compute.cast(noise)]
        for i in range(self.levels):
            maps.append(keep(SkipNet.down, static_argnums=(2,))(self, maps[-1], i))
        x = maps[-1]
        for i in reversed(range(self.levels)):
            x = keep(SkipNet.up, static_argnums=(3,))(self, x, maps[i], i)
        image = Conv(self.outputs, 1, compute=self.compute, name="image")(x)
        return nn.sigmoid(image.astype(noise.dtype))


def smallest_side(levels: int) -> int:
    """The smallest image side for which the deepest map is 2 pixels wide and its reflection padding exists."""
    return 2**levels + 1
