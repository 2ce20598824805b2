"""The losses of KernelGAN (Bell-Kligler et al. 2019) and the gradient penalty of KernelGAN-FKP."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.resize import imresize
from blindsr_jax.kernels import geometry

_STEEPNESS = 30.0  # of the boundary's penalty
_MARGIN = 2  # width of the boundary, in pixels
_POWER = 0.2  # of the sparsity
_SPARSE_EPSILON = 1e-16  # under the power: its slope is infinite at 0


def sum_loss(kernel: jax.Array) -> jax.Array:
    """|1 - sum|."""
    return jnp.abs(1 - kernel.sum())


def boundary_mask(size: int) -> np.ndarray:
    """What an entry at the boundary costs, (size, size): 30 times one minus a Gaussian as wide as the kernel."""
    z = np.arange(size) - (size - 1) / 2
    bell = np.exp(-0.5 * (z / size) ** 2)
    mask = np.outer(bell, bell)
    mask = _STEEPNESS * (1 - mask / mask.max())
    mask[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = 0
    return mask


def boundary_loss(kernel: jax.Array) -> jax.Array:
    """Mean size of the entries in the two outer rings of a kernel (k, k), those in the corners counting most."""
    return jnp.mean(jnp.abs(kernel * jnp.asarray(boundary_mask(kernel.shape[0]), kernel.dtype)))


def center_loss(kernel: jax.Array, center: float) -> jax.Array:
    """Mean squared distance of the centre of mass of a kernel (k, k) from (center, center)."""
    return jnp.mean((geometry.center_of_mass(kernel) - center) ** 2)


def sparsity_loss(kernel: jax.Array) -> jax.Array:
    """Mean of |K|^0.2: few large entries cost less than many small ones."""
    return jnp.mean(jnp.maximum(jnp.abs(kernel), _SPARSE_EPSILON) ** _POWER)


def halve(image: jax.Array, shape: tuple[int, int], *, legacy: bool = False) -> jax.Array:
    """The middle of the bicubic image of half the size.

    Args:
      image: (H, W, C), sides even.
      shape: height and width of the part that is wanted.
      legacy: the sum of all colours in each, as the release has it by mistake.

    Returns:
      (*shape, C).
    """
    if legacy:
        image = jnp.broadcast_to(image.sum(-1, keepdims=True), image.shape)
    small = imresize(image, 0.5)
    top, left = ((n - m) // 2 for n, m in zip(small.shape, shape, strict=False))
    return small[top : top + shape[0], left : left + shape[1]]


def bicubic_loss(small: jax.Array, image: jax.Array, *, legacy: bool = False) -> jax.Array:
    """Mean squared difference of a generator's output (h, w, C) and the bicubic half of its input; see `halve`."""
    return jnp.mean((small - halve(image, small.shape[:2], legacy=legacy)) ** 2)


def gan_loss(judged: jax.Array, real: bool) -> jax.Array:
    """Mean distance of a discriminator's map from 1, or from 0 where the image is not real."""
    return jnp.mean(jnp.abs(judged - (1 if real else 0)))


def gradient_penalty(judge: Callable[[jax.Array], jax.Array], images: jax.Array, *, axis: int | None = -1) -> jax.Array:
    """Mean of (|gradient| - 1)^2 of a critic (Gulrajani et al. 2017).

    Args:
      judge: images (N, H, W, C) -> numbers, twice differentiable.
      images: (N, H, W, C), between real ones and others.
      axis: -1 takes the norm of the gradient over the colours of each pixel, as KernelGAN-FKP's release does; None
        over each image, as the paper does.
    """
    gradient = jax.grad(lambda x: judge(x).sum())(images)
    squares = jnp.sum(gradient**2, tuple(range(1, images.ndim)) if axis is None else axis)
    # The root has no slope at 0.
    norm = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
    return jnp.mean((norm - 1) ** 2)
