"""The kernel of an image that is known: least squares of its gradients, under the moments of a posterior over kernels.

For a sharp image x, an LR image y and its differences D between neighbours, along rows and along columns,

    E(k) = |D (S (x * k) - y)|^2 / n + r^2 / m (k - k_mean)^T C^-1 (k - k_mean),   k >= 0, sum k = 1,

where S takes every s-th sample, n is the number of values, r^2 the first term of the kernel before, and k_mean and C
are mean and covariance of the posterior. So the image counts as m independent values with an error of variance r^2,
which is noise and what the image lacks; m is a share of n / s^2. Differences, as in Cho and Lee (2009): the brightness
of large areas tells of no kernel.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.data_quadratic import Quadratic, quadratic
from blindsr_jax.imaging.problem import Problem

FLOOR = 1e-3  # standard deviation of an entry of a kernel that is left where all draws agree
INDEPENDENT = 0.15  # m is so much of n / s^2, of gray images
_ITERATIONS = 300  # of the projected gradient


class Moments(NamedTuple):
    """A normal distribution of kernels."""

    mean: jax.Array  # (k, k)
    precision: jax.Array  # (k * k, k * k), the inverse of the covariance


def moments(kernels: jax.Array, weights: jax.Array, floor: float = FLOOR) -> Moments:
    """Mean and precision of kernels (n, k, k) with weights (n,), sum 1."""
    flat = kernels.reshape(len(kernels), -1)
    mean = jnp.matmul(weights, flat, precision="highest")
    apart = flat - mean[None]
    covariance = jnp.matmul(apart.T, apart * weights[:, None], precision="highest")
    precision = jnp.linalg.inv(covariance + floor**2 * jnp.eye(len(mean), dtype=flat.dtype))
    return Moments(mean.reshape(kernels.shape[1:]), (precision + precision.T) / 2)


def _difference(x: jax.Array, axis: int, step: int) -> jax.Array:
    before, after = (jax.lax.slice_in_dim(x, *ends, axis=axis) for ends in ((0, -step), (step, None)))
    return before & after if x.dtype == bool else after - before


def gradient_quadratic(image: jax.Array, kernel: jax.Array, problem: Problem) -> Quadratic:
    """As `data_quadratic.quadratic`, of the differences of neighbours along both axes.

    Args:
      image: (H, W, c) canvas.
      kernel: (k, k), where the term is expanded.
      problem: with the boundary 'valid', sides of two at least.
    """

    def along(axis):
        mask = None if problem.mask is None else _difference(problem.mask, axis, 1)
        part = dataclasses.replace(problem, lr=_difference(problem.lr, axis, 1), mask=mask)
        return quadratic(_difference(image, axis, problem.spec.scale), kernel, part)

    rows, columns = along(0), along(1)
    return jax.tree.map(jnp.add, rows, columns)._replace(reference=kernel)


def to_simplex(values: jax.Array) -> jax.Array:
    """The nearest vector (n,) that is not negative and has the sum 1 (Duchi et al. 2008)."""
    falling = jnp.sort(values)[::-1]
    count = jnp.arange(1, len(values) + 1, dtype=values.dtype)
    level = (jnp.cumsum(falling) - 1) / count
    return jnp.maximum(values - level[jnp.sum(falling > level) - 1], 0)


def most_likely(term: Quadratic, prior: Moments, independent: jax.Array | float) -> jax.Array:
    """The kernel (k, k), not negative and of sum 1, of the least E, by accelerated projected gradients.

    Args:
      term: of `gradient_quadratic`, around the kernel before; those of several images add up.
      prior: of the kernel.
      independent: m, of all values together.
    """
    count = jnp.maximum(term.count, 1)
    misfit = term.constant / count
    start, mean = term.reference.reshape(-1), prior.mean.reshape(-1)
    held = misfit / jnp.maximum(independent, 1) * prior.precision
    curvature = term.gram / count + held
    slope = term.linear / count - jnp.matmul(held, mean - start, precision="highest")  # at the start
    rate = 1 / jnp.maximum(jnp.linalg.eigvalsh(curvature)[-1], jnp.finfo(start.dtype).tiny)

    def descend(carry, _):
        at, ahead, t = carry
        gradient = slope + jnp.matmul(curvature, ahead - start, precision="highest")
        new, later = to_simplex(ahead - rate * gradient), (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        return (new, new + (t - 1) / later * (new - at), later), None

    first = to_simplex(start)
    (found, _, _), _ = jax.lax.scan(descend, (first, first, jnp.ones((), start.dtype)), None, length=_ITERATIONS)
    return found.reshape(term.reference.shape)
