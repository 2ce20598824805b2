"""The DIP image network: an encoder-decoder with skip connections and non-local blocks.

Ulyanov et al. 2018 (Deep Image Prior), with the non-local blocks of the DIP-FKP and DIP-DKP releases.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from blindsr_jax.networks.layers import BatchNorm, Conv, center_crop, max_pool, upsample


def _activate(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2)


class ConvBlock(nn.Module):
    """Convolution, batch norm, leaky ReLU."""

    features: int
    size: int = 3
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, Ci) -> (ceil(H / stride), ceil(W / stride), features)."""
        return _activate(BatchNorm(name="norm")(Conv(self.features, self.size, self.stride, name="conv")(x)))


class NonLocal(nn.Module):
    """Dot-product non-local block (Wang et al. 2018) without softmax; the identity at initialisation.

    Without a softmax, (theta phi^T) g = theta (phi^T g): the same numbers from a C/2 x C/2 matrix instead of a map of
    all pairs of positions.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, C) -> (H, W, C)."""
        half = x.shape[-1] // 2
        theta = Conv(half, 1, name="theta")(x)
        phi = max_pool(Conv(half, 1, name="phi")(x)).reshape(-1, half)
        g = max_pool(Conv(half, 1, name="g")(x)).reshape(-1, half)
        mixed = theta @ (phi.T @ g / phi.shape[0])
        return x + BatchNorm(zero_init=True, name="norm")(Conv(x.shape[-1], 1, name="out")(mixed))


class SkipNet(nn.Module):
    """Noise (H, W, Ci) -> image (H, W, outputs) in (0, 1). Any size whose deepest map keeps at least 2 x 2 pixels."""

    channels: int = 128
    skip_channels: int = 16
    levels: int = 5
    outputs: int = 3
    first_nonlocal: int = 2  # levels from this one on have a non-local block

    @nn.compact
    def __call__(self, noise: jax.Array) -> jax.Array:
        """Runs the encoder down, then the decoder up, cropping where odd sizes do not fit."""
        maps = [noise]
        for i in range(self.levels):
            x = ConvBlock(self.channels, 3, 2, name=f"down{i}")(maps[-1])
            if i >= self.first_nonlocal:
                x = NonLocal(name=f"nonlocal{i}")(x)
            maps.append(ConvBlock(self.channels, name=f"encode{i}")(x))
        x = maps[-1]
        for i in reversed(range(self.levels)):
            skip = ConvBlock(self.skip_channels, 1, name=f"skip{i}")(maps[i])
            x = upsample(x)
            height, width = min(skip.shape[0], x.shape[0]), min(skip.shape[1], x.shape[1])
            x = jnp.concatenate([center_crop(skip, height, width), center_crop(x, height, width)], -1)
            x = ConvBlock(self.channels, name=f"decode{i}")(BatchNorm(name=f"merge{i}")(x))
            x = ConvBlock(self.channels, 1, name=f"mix{i}")(x)
        return nn.sigmoid(Conv(self.outputs, 1, name="image")(x))


def smallest_side(levels: int) -> int:
    """The smallest image side for which the deepest map is 2 pixels wide and its reflection padding exists."""
    return 2**levels + 1
