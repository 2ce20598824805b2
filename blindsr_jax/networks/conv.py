"""The one convolution everybody uses. It imports nothing of this package.

Inside `lax.scan` the automatic gradient of a convolution is about 30 times slower on XLA:CPU than outside (the odd
layouts of a gradient fall to a naive loop there). So both gradients are written here as operations that are fast
everywhere: a forward convolution for the input, one matrix product a tap for the weights.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _convolve(x, w, stride, padding="VALID", dilation=1):
    return lax.conv_general_dilated(
        x, w, (stride, stride), padding, lhs_dilation=(dilation, dilation), dimension_numbers=_LAYOUT
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv2d(x: jax.Array, w: jax.Array, stride: int = 1) -> jax.Array:
    """VALID cross-correlation, fast under grad inside a scan.

    First derivatives only; a second derivative needs `lax.conv_general_dilated`.

    Args:
      x: (N, H, W, Ci).
      w: (kh, kw, Ci, Co).
      stride: the same on both axes.

    Returns:
      (N, (H - kh) // stride + 1, (W - kw) // stride + 1, Co).
    """
    return _convolve(x, w, stride)


def _forward(x, w, stride):
    return _convolve(x, w, stride), (x, w)


def _backward(stride, residuals, dy):
    x, w = residuals
    kh, kw, ci, co = w.shape
    n, h, wd, _ = x.shape
    rows, cols = ((m - 1) * stride + 1 for m in dy.shape[1:3])
    flipped = jnp.swapaxes(w[::-1, ::-1], 2, 3)
    dx = _convolve(dy, flipped, 1, ((kh - 1, h - rows), (kw - 1, wd - cols)), stride)
    if kh == kw == 1:
        dw = x[:, :rows:stride, :cols:stride].reshape(-1, ci).T @ dy.reshape(-1, co)
        return dx, dw.reshape(w.shape)
    # Channels as the batch and dy as one large kernel: 32 channels on 160 x 160 take 5.9 ms on one core, against
    # 12.2 ms for a matrix product a tap; at 128 channels the two are equal.
    dw = lax.conv_general_dilated(
        x[:, : kh - 1 + rows, : kw - 1 + cols].transpose(3, 1, 2, 0),
        dy.transpose(1, 2, 0, 3),
        (1, 1),
        "VALID",
        rhs_dilation=(stride, stride),
        dimension_numbers=_LAYOUT,
    )
    return dx, dw.transpose(1, 2, 0, 3)


conv2d.defvjp(_forward, _backward)
