"""Random kernel sampling (RKS): how well random kernels explain the LR image, and what that says of the true one.

DKP, Yang et al. 2024, eq. 5 to 8. The released weights and a posterior with a temperature stand side by side.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem


class Target(NamedTuple):
    """What a set of weighted kernels amounts to: one kernel and the strength of its pull."""

    kernel: jax.Array  # (k, k), the weighted mean
    weight: jax.Array  # (), the sum of the weights


def candidate_errors(image: jax.Array, kernels: jax.Array, problem: Problem) -> jax.Array:
    """Mean squared LR residual of each candidate, by blurring the image with each.

    Args:
      image: (H, W, C) image or canvas.
      kernels: (L, k, k).
      problem: the LR image and its spec.

    Returns:
      (L,), over the LR entries that tell of the scene; 0 where none does.
    """
    spec, count = problem.spec, jnp.maximum(problem.count, 1)

    def error(kernel):
        prediction = degrade(image, kernel, scale=spec.scale, boundary=spec.boundary)
        return jnp.sum((prediction - problem.seen(prediction)) ** 2) / count

    # One after another: under vmap each candidate would be a group of one grouped convolution.
    return jax.lax.map(error, kernels)


def release_weights(errors: jax.Array) -> jax.Array:
    """Focal-shaped, unnormalised weights of the DKP release: the best candidate weighs 6.9, bad ones nothing.

    Args:
      errors: (L,) mean squared LR residuals.

    Returns:
      (L,).
    """
    excess = errors - jnp.min(errors)
    share = excess / (1e-5 + jnp.sum(excess))
    return -((1 - share) ** 2) * jnp.log(share + 1e-3)


def posterior_weights(
    errors: jax.Array,
    *,
    temperature: float,
    strength: float,
    error_floor: jax.Array | float = 1e-4,
    log_prior: jax.Array | float = 0.0,
) -> jax.Array:
    """Softmax of -errors / T + log_prior; the weights sum to `strength`.

    T is in units of the smallest error. But a network fits the LR image under any kernel in the end, to errors that say
    nothing of the kernel any more, so the unit does not go below a floor.

    Args:
      errors: (L,) mean squared LR residuals.
      temperature: in units of the smallest error or the floor, whichever is larger.
      strength: sum of the weights.
      error_floor: mean squared residual of an image that still has its own error; 1e-4 is 2.5 of 255 levels.
      log_prior: (L,), what else is known of the kernels.

    Returns:
      (L,).
    """
    best = jnp.min(errors)
    unit = temperature * jnp.maximum(best, error_floor)
    return strength * jax.nn.softmax((best - errors) / unit + log_prior)


def combine(weights: jax.Array, kernels: jax.Array) -> Target:
    """Weighted mean kernel and total weight.

    sum_l w_l |K_l - K|^2 and W |K_mean - K|^2 differ by a constant, so the target has the gradient of the whole sum.

    Args:
      weights: (L,).
      kernels: (L, k, k).
    """
    total = jnp.sum(weights)
    return Target(jnp.einsum("l,lij->ij", weights, kernels, precision="highest") / total, total)
