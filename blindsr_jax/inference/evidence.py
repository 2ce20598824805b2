"""A posterior over the kernels of one LR image, from the learned evidence of `networks.evidence`.

The network gives log p(kernel | LR) - log p(kernel) but for a constant. Over draws of the prior, its softmax is the
posterior; moments, intervals and probabilities follow. All functions are pure, and weights are arguments.

    observation = observe(params, lr, network=network)
    evidence = log_evidence(params, observation, prior.kernels, network=network)
    found = posterior(evidence, prior, temperature=1.5)
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.problem import Spec
from blindsr_jax.imaging.tiling import cut
from blindsr_jax.kernels import geometry, placement
from blindsr_jax.networks.evidence import Evidence, score

LEVELS = (0.5, 0.8, 0.95)  # of the intervals
TOLERANCE = 0.25  # of the covariance error: what `confidence` asks for
GAIN = 0.1  # windows of an image say much the same: n of them count as n**GAIN
FRAME_GAIN = 0.5  # of images with one kernel
_WINDOWS_AT_ONCE = 16
_LEAST_NORM = 0.25  # px^2: relative to a smaller covariance no error would be small, nor could any be seen


class Observation(NamedTuple):
    """What an LR image says about its kernel. Those of images with the same kernel add up entry by entry."""

    embedding: jax.Array  # (features,)
    strength: jax.Array  # () how many windows it counts as


def observe(params: Any, lr: jax.Array, *, network: Evidence, window: int = 64, gain: float = GAIN) -> Observation:
    """Looks at an LR image once; after that each kernel costs a small network.

    Args:
      params: of the network.
      lr: (h, w, 1 or 3) in [0, 1], sides of at least 8.
      network: the module.
      window: side of the windows that a larger image is cut into, the largest that the network was trained on.
      gain: their embeddings count as n**gain of them, from 0 (their mean) to 1 (as if they were independent).

    Returns:
      The observation.
    """
    return look(params, cut(jnp.broadcast_to(lr, (*lr.shape[:-1], 3)), window), network=network, gain=gain)


def look(params: Any, windows: jax.Array, *, network: Evidence, gain: float = GAIN) -> Observation:
    """Looks at windows (n, a, b, 3) of one image, see `observe`."""

    def embed(part):
        return network.apply(params, part[None], method="observe")[0]

    embeddings = jax.lax.map(embed, windows, batch_size=min(len(windows), _WINDOWS_AT_ONCE))
    strength = len(windows) ** gain
    return Observation(strength * jnp.mean(embeddings, 0), jnp.asarray(strength, embeddings.dtype))


def together(seen: Observation, *, gain: float = FRAME_GAIN) -> Observation:
    """The observations of n images with one kernel, which have a leading axis, as one.

    Args:
      seen: of the images.
      gain: they count as n**gain of them, from 0 (their mean) to 1 (their evidence adds).
    """
    share = len(seen.strength) ** (gain - 1)
    return jax.tree.map(lambda x: share * jnp.sum(x, 0), seen)


def to_network(kernels: jax.Array, spec: Spec, size: int) -> jax.Array:
    """Kernels (n, k, k) of a problem in the window of a network: (n, size, size), centred as 'release' says, sums 1."""

    def move(kernel):
        return geometry.normalize(placement.convert(kernel, spec.scale, spec.kernel_center, "release", size))

    return jax.vmap(move)(kernels)


def log_evidence(params: Any, observation: Observation, kernels: jax.Array, *, network: Evidence) -> jax.Array:
    """log p(LR | kernel) of each kernel but for a constant of the image; differentiable in the kernels.

    Args:
      params: of the network.
      observation: of `observe`.
      kernels: (n, k, k) in the window of the network, see `to_network`.
      network: the module.

    Returns:
      (n,).
    """
    described = network.apply(params, kernels.astype(observation.embedding.dtype), method="describe")
    return score(observation.embedding, *described, observation.strength)


class Shapes(NamedTuple):
    """The second moments of kernels."""

    covariance: jax.Array  # (..., 2, 2) px^2, (row, column) order
    width: jax.Array  # (...) px, the root of half the trace
    direction: jax.Array  # (...) radians in [0, pi), of the longer axis, from the columns' axis towards the rows'


def shapes(kernels: jax.Array) -> Shapes:
    """The moments of kernels (n, k, k)."""
    covariance = jax.vmap(geometry.covariance)(kernels)
    rows, columns, mixed = covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]
    direction = jnp.arctan2(2 * mixed, columns - rows) / 2
    return Shapes(covariance, jnp.sqrt(jnp.maximum(rows + columns, 0) / 2), jnp.mod(direction, math.pi))


class Prior(NamedTuple):
    """Draws of the prior, the support of the posterior."""

    kernels: jax.Array  # (n, k, k)
    families: jax.Array  # (n,) whole numbers, which family each is of
    shapes: Shapes


def make_prior(kernels: jax.Array, families: jax.Array) -> Prior:
    """Draws (n, k, k) with their families (n,)."""
    return Prior(kernels, families, shapes(kernels))


class Interval(NamedTuple):
    """Where a quantity lies: with probability LEVELS[i] from low[i] to high[i]."""

    center: jax.Array  # ()
    low: jax.Array  # (3,)
    high: jax.Array  # (3,)


class Posterior(NamedTuple):
    """What is known of a kernel."""

    weights: jax.Array  # (n,) of the draws, sum 1
    kernel_mean: jax.Array  # (k, k)
    kernel_std: jax.Array  # (k, k)
    families: jax.Array  # (F,) probabilities
    width: Interval  # px, its centre is the median
    direction: Interval  # radians, its centre in [0, pi); high - low is pi where nothing is known


def weigh(evidence: jax.Array, temperature: jax.Array | float = 1.0) -> jax.Array:
    """Weights (n,), sum 1, of draws of the prior with log evidences (n,)."""
    return jax.nn.softmax(evidence / temperature)


def quantiles(values: jax.Array, weights: jax.Array, shares: Any) -> jax.Array:
    """Quantiles (m,) at `shares` (m,) in [0, 1] of values (n,) with weights (n,), linear between values."""
    order = jnp.argsort(values)
    values, weights = values[order], weights[order]
    below = jnp.cumsum(weights) - weights / 2
    return jnp.interp(jnp.asarray(shares, values.dtype), below, values)


def central_interval(values: jax.Array, weights: jax.Array) -> Interval:
    """Median and central intervals of values (n,) with weights (n,), sum 1."""
    tails = (1 - np.asarray(LEVELS)) / 2
    found = quantiles(values, weights, np.concatenate([[0.5], tails, 1 - tails]))
    return Interval(found[0], found[1 : 1 + len(LEVELS)], found[1 + len(LEVELS) :])


def axis_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """The angle between axes at angles a and b in radians, in [0, pi / 2]."""
    return jnp.abs(jnp.mod(a - b + math.pi / 2, math.pi) - math.pi / 2)


def axis_interval(angles: jax.Array, weights: jax.Array) -> Interval:
    """The mean axis, and arcs about it, of axes at angles (n,) in radians with weights (n,), sum 1."""
    mean = jnp.sum(weights * jnp.sin(2 * angles)), jnp.sum(weights * jnp.cos(2 * angles))
    center = jnp.mod(jnp.arctan2(*mean) / 2, math.pi)
    reach = quantiles(axis_distance(angles, center), weights, LEVELS)
    return Interval(center, center - reach, center + reach)


def posterior(
    evidence: jax.Array, prior: Prior, *, num_families: int, temperature: jax.Array | float = 1.0
) -> Posterior:
    """The posterior over draws of the prior.

    Args:
      evidence: (n,) of `log_evidence`.
      prior: n draws.
      num_families: F.
      temperature: above 1 it widens; see `launch/calibrate.py`.
    """
    weights = weigh(evidence, temperature)
    mean = jnp.tensordot(weights, prior.kernels, 1, precision="highest")
    variance = jnp.tensordot(weights, (prior.kernels - mean[None]) ** 2, 1, precision="highest")
    return Posterior(
        weights,
        mean,
        jnp.sqrt(variance),
        jax.ops.segment_sum(weights, prior.families, num_families),
        central_interval(prior.shapes.width, weights),
        axis_interval(prior.shapes.direction, weights),
    )


def covariance_errors(kernel: jax.Array, truths: jax.Array) -> jax.Array:
    """Relative errors (n,) of the covariance of a kernel (k, k) if the true ones were (n, 2, 2).

    As `metrics.kernel_cov_error`, but relative to 0.25 px^2 at least: nearly no blur has nearly no covariance.
    """
    error = jnp.linalg.norm(geometry.covariance(kernel)[None] - truths, axis=(-2, -1))
    return error / jnp.maximum(jnp.linalg.norm(truths, axis=(-2, -1)), _LEAST_NORM)


def probability(weights: jax.Array, is_true: jax.Array) -> jax.Array:
    """The probability () of what is true of some draws (n,), which have weights (n,), sum 1."""
    return jnp.sum(weights * is_true.astype(weights.dtype))


def confidence(kernel: jax.Array, weights: jax.Array, prior: Prior, *, tolerance: float = TOLERANCE) -> jax.Array:
    """The probability () that a kernel (k, k) is right: its covariance error is below `tolerance`.

    Args:
      kernel: any estimate, in the window of the prior.
      weights: (n,) of the posterior.
      prior: its n draws.
      tolerance: of the relative error.
    """
    return probability(weights, covariance_errors(kernel, prior.shapes.covariance) < tolerance)


def effective_size(weights: jax.Array) -> jax.Array:
    """How many draws () a posterior with weights (n,) rests on."""
    return 1 / jnp.sum(weights**2)
