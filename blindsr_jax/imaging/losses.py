"""Losses on images: SSIM as a loss, mean squared error, and the hyper-Laplacian gradient term."""

import jax
import jax.numpy as jnp
import numpy as np

_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def _filter_axis(x: jax.Array, axis: int) -> jax.Array:
    """The window along one axis of (N, H, W): a sum of shifted copies, which compiles to one pass over the data."""
    taps = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    pad, n = [(0, 0)] * 3, x.shape[axis]
    pad[axis] = (_WINDOW // 2, _WINDOW // 2)
    x = jnp.pad(x, pad)
    shifted = [jax.lax.slice_in_dim(x, i, i + n, axis=axis) for i in range(_WINDOW)]
    return sum(jnp.asarray(tap, x.dtype) * copy for tap, copy in zip(taps / taps.sum(), shifted, strict=True))


@jax.custom_vjp
def _gaussian_filter(x: jax.Array) -> jax.Array:
    """(N, H, W) -> (N, H, W): separable 11-tap window, sigma 1.5, zero padding. It is its own transpose."""
    return _filter_axis(_filter_axis(x, 1), 2)


_gaussian_filter.defvjp(lambda x: (_gaussian_filter(x), None), lambda _, dy: (_gaussian_filter(dy),))


def ssim(a: jax.Array, b: jax.Array) -> jax.Array:
    """Mean structural similarity as a training loss uses it (Wang et al. 2004, with a zero-padded window).

    The evaluation SSIM is another one: see `metrics.ssim_y`.

    Args:
      a: (H, W, C), range 1.
      b: (H, W, C).

    Returns:
      (), at most 1.
    """
    a, b = jnp.moveaxis(a, -1, 0), jnp.moveaxis(b, -1, 0)
    maps = _gaussian_filter(jnp.concatenate([a, b, a * a, b * b, a * b]))
    mean_a, mean_b, aa, bb, ab = jnp.split(maps, 5)
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    contrast = (2 * (ab - product) + _C2) / (aa + bb - squares + _C2)
    return jnp.mean((2 * product + _C1) / (squares + _C1) * contrast)


def mse(a: jax.Array, b: jax.Array) -> jax.Array:
    """Mean squared error over all entries."""
    return jnp.mean((a - b) ** 2)


def data_loss(prediction: jax.Array, lr: jax.Array, use_ssim: jax.Array) -> jax.Array:
    """1 - SSIM while `use_ssim` (a traced bool), mean squared error afterwards.

    Both are computed: they cost little beside a network, and one program serves both phases of a solve.
    """
    return jnp.where(use_ssim, 1 - ssim(prediction, lr), mse(prediction, lr))


def hyper_laplacian(image: jax.Array, *, exponent: float = 0.67, epsilon: float = 1e-8) -> jax.Array:
    """Sum of |difference|^exponent over four neighbours: natural images have sparse gradients.

    The differences are to the upper, upper-left, left and lower-left neighbour, with reflected borders (the image term
    of BSRDM, Yue et al. 2022, as DIP-DKP uses it).

    Args:
      image: (H, W, C).
      exponent: the power.
      epsilon: added to the absolute value.

    Returns:
      ().
    """
    h, w, _ = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    neighbours = [padded[i : i + h, j : j + w] for i, j in ((0, 1), (0, 0), (1, 0), (2, 0))]
    differences = [image - other for other in neighbours]
    # d * sign(d) and not abs(d): its gradient at zero is zero, and the power is steep there.
    return sum(jnp.sum((d * jnp.sign(d) + epsilon) ** exponent) for d in differences)
