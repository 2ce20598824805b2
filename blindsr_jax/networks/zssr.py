"""The network of ZSSR (Shocher et al. 2018): what a cubic enlargement lacks, from a stack of 3 x 3 convolutions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.initializers import variance_scaling
from jax import lax

from blindsr_jax.imaging.conv import conv2d

_VARIANCE = 0.1  # of the first weights, times the inputs of a unit


class ZssrNet(nn.Module):
    """Convolutions 3 x 3 without biases, zero padding, ReLU between them; their output is added to the input."""

    channels: int = 64
    layers: int = 8
    conv: str = "auto"  # of conv.METHODS

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(H, W, C) -> (H, W, C); untrained, nearly the input."""
        init = variance_scaling(_VARIANCE, "fan_in", "normal")
        widths = [x.shape[-1]] + [self.channels] * (self.layers - 1) + [x.shape[-1]]
        y = x
        for i, shape in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            w = self.param(f"kernel{i}", init, (3, 3, *shape), x.dtype)
            y = nn.relu(y) if i else y
            y = conv2d(jnp.pad(y, ((1, 1), (1, 1), (0, 0)))[None], w, method=self.conv)[0]
        return x + y


def in_strips(function: Callable[[jax.Array], jax.Array], image: jax.Array, *, rows: int, halo: int) -> jax.Array:
    """A network on a large image, strip by strip; the same numbers, in the memory of one strip.

    Args:
      function: (H, W, C) -> (H, W, C), every output of which sees at most `halo` pixels on each side, for any H.
      image: (H, W, C).
      rows: of a strip.
      halo: rows of its neighbours that a strip computes with.

    Returns:
      (H, W, C).
    """
    height, taken = image.shape[0], rows + 2 * halo
    if height <= taken:
        return function(image)

    def strip(i, out):
        # The first and the last strip end where the image does, so that the zeros outside are the network's own.
        first = jnp.minimum(i * rows, height - rows)
        start = jnp.clip(first - halo, 0, height - taken)
        part = function(lax.dynamic_slice_in_dim(image, start, taken))
        return lax.dynamic_update_slice_in_dim(out, lax.dynamic_slice_in_dim(part, first - start, rows), first, 0)

    return lax.fori_loop(0, -(-height // rows), strip, jnp.zeros_like(image))
