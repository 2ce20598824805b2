"""The data term as a quadratic in the kernel, so that any number of kernels is scored by one matrix product.

For a fixed image the LR prediction is linear in the kernel: X^T k, where row (a, b) of X holds the pixels that tap
(a, b) reads. Around a reference kernel k0 with residual r0 = X^T k0 - y and d = k - k0,

    |X^T k - y|^2 = |r0|^2 + 2 (X r0)^T d + d^T G d,   G = X X^T.

This form keeps its digits in float32 where the textbook k^T G k - 2 b^T k + c cancels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem

_BLOCK_BYTES = 64 * 2**20


class Quadratic(NamedTuple):
    """Sum of squared LR residuals around a reference kernel. Terms of several images with one kernel add up."""

    reference: jax.Array  # (k, k), k0
    constant: jax.Array  # (), |r0|^2
    linear: jax.Array  # (k * k,), X r0
    gram: jax.Array  # (k * k, k * k), G
    count: jax.Array  # (), number of LR entries that tell of the scene


def _tap_rows(padded: jax.Array, rows: int, width: int, spec) -> jax.Array:
    """All taps of some LR rows: padded (s (rows - 1) + k, W, C) -> (k * k, rows * width * C)."""
    taps = jnp.arange(spec.kernel_size)[:, None]
    row, column = (taps + spec.scale * jnp.arange(n)[None] for n in (rows, width))
    # One gather: as k * k slices this would take seconds to compile.
    return padded[row[:, None, :, None], column[None, :, None, :]].reshape(spec.kernel_size**2, -1)


def quadratic(image: jax.Array, kernel: jax.Array, problem: Problem) -> Quadratic:
    """Expands the data term of one image around `kernel`.

    Works through blocks of LR rows, so X never takes more than 64 MB.

    Args:
      image: (H, W, C) image or canvas.
      kernel: (k, k) reference, best the current estimate.
      problem: the LR image and its spec.
    """
    spec, (h, w, c) = problem.spec, problem.lr.shape
    s, k = spec.scale, spec.kernel_size
    prediction = degrade(image, kernel, scale=s, boundary=spec.boundary)
    residual = prediction - problem.seen(prediction)
    if spec.boundary == "circular":
        p = (k - 1) // 2
        image = jnp.pad(image, ((p, p), (p, p), (0, 0)), mode="wrap")
    rows = max(1, min(h, _BLOCK_BYTES // (image.dtype.itemsize * k * k * w * c)))
    blocks = -(-h // rows)
    # Rows beyond the image read zeros and meet zero residuals: they add nothing.
    missing = blocks * rows - h
    image = jnp.pad(image[: s * (h - 1) + k], ((0, s * missing), (0, 0), (0, 0)))
    lr_residual = jnp.pad(residual, ((0, missing), (0, 0), (0, 0)))
    counts = jnp.ones((h, w, c), bool) if problem.mask is None else problem.mask
    valid = jnp.pad(counts, ((0, missing), (0, 0), (0, 0)))

    def add_block(carry, start):
        part = jax.lax.dynamic_slice_in_dim(image, s * start, s * (rows - 1) + k, 0)
        x = _tap_rows(part, rows, w, spec)
        if missing or problem.mask is not None:
            x = x * jax.lax.dynamic_slice_in_dim(valid, start, rows, 0).reshape(1, -1).astype(x.dtype)
        r = jax.lax.dynamic_slice_in_dim(lr_residual, start, rows, 0).reshape(-1)
        gram = jnp.matmul(x, x.T, precision="highest")
        return (carry[0] + jnp.matmul(x, r, precision="highest"), carry[1] + gram), None

    zeros = jnp.zeros((k * k,), image.dtype), jnp.zeros((k * k, k * k), image.dtype)
    (linear, gram), _ = jax.lax.scan(add_block, zeros, rows * jnp.arange(blocks))
    count = problem.count.astype(image.dtype)
    return Quadratic(kernel, jnp.sum(residual**2), linear, (gram + gram.T) / 2, count)


def errors(term: Quadratic, kernels: jax.Array) -> jax.Array:
    """Mean squared LR residual of each kernel.

    Args:
      term: the expanded data term.
      kernels: (L, k, k).

    Returns:
      (L,), not negative; 0 where no LR entry tells of the scene.
    """
    d = (kernels - term.reference[None]).reshape(kernels.shape[0], -1)
    curvature = jnp.sum(jnp.matmul(d, term.gram, precision="highest") * d, -1)
    slope = jnp.matmul(d, term.linear, precision="highest")
    return jnp.maximum(term.constant + 2 * slope + curvature, 0) / jnp.maximum(term.count, 1)
