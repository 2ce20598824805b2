"""The FKP flow as a distrax bijector chain; the only module that imports distrax.

distrax calls code -> data "forward", where the FKP paper calls data -> code so. A chain applies its last bijector
first: it lists the blocks in the order in which data pass them.
"""

import distrax
import jax
import jax.numpy as jnp

from blindsr_jax.networks import kernel_flow
from blindsr_jax.networks.kernel_flow import Flow, FlowParams, FlowStats


class BatchNorm(distrax.Bijector):
    """Inverse batch normalisation with given statistics, (D,) each (FKP release)."""

    def __init__(self, log_gamma: jax.Array, beta: jax.Array, mean: jax.Array, variance: jax.Array):
        super().__init__(event_ndims_in=1, is_constant_jacobian=True)
        self._vectors = log_gamma, beta, mean, variance + kernel_flow.EPSILON

    def _log_det(self, x: jax.Array) -> jax.Array:
        log_gamma, _, _, variance = self._vectors
        return jnp.broadcast_to(jnp.sum(log_gamma - 0.5 * jnp.log(variance)), x.shape[:-1])

    def forward_and_log_det(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Code side to data side: (..., D) -> (..., D), (...)."""
        log_gamma, beta, mean, variance = (jax.lax.broadcast_to_rank(y, x.ndim) for y in self._vectors)
        return (x - beta) * jnp.exp(-log_gamma) * jnp.sqrt(variance) + mean, -self._log_det(x)

    def inverse_and_log_det(self, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Data side to code side: (..., D) -> (..., D), (...)."""
        log_gamma, beta, mean, variance = (jax.lax.broadcast_to_rank(x, y.ndim) for x in self._vectors)
        return jnp.exp(log_gamma) * (y - mean) / jnp.sqrt(variance) + beta, self._log_det(y)


def coupling(params: FlowParams, mask: jax.Array) -> distrax.Bijector:
    """The masked affine coupling of one block, code side to data side; `params` without the leading axis."""

    def inner(conditions):
        log_scale, shift = conditions
        return distrax.ScalarAffine(shift=shift, log_scale=log_scale)

    return distrax.MaskedCoupling(mask, lambda x: kernel_flow.conditioner(params, x), inner)


def _block(tree, index: int):
    return jax.tree.map(lambda x: x[index], tree)


def chain(flow: Flow) -> distrax.Bijector:
    """Code (..., D) to flow space (..., D), with running statistics."""
    parts = []
    for i, mask in enumerate(kernel_flow.masks(*flow.stats.mean.shape)):
        params, stats = _block(flow.params, i), _block(flow.stats, i)
        parts += [coupling(params, jnp.asarray(mask)), BatchNorm(params.log_gamma, params.beta, *stats)]
    return distrax.Chain(parts)


def distribution(flow: Flow) -> distrax.Transformed:
    """The density over flow space: a standard normal code through `chain`."""
    zeros = jnp.zeros_like(flow.stats.mean[0])
    base = distrax.MultivariateNormalDiag(zeros, jnp.ones_like(zeros))
    return distrax.Transformed(base, chain(flow))


def train_log_prob(params: FlowParams, v: jax.Array) -> tuple[jax.Array, FlowStats]:
    """Log density of a batch under its own statistics, as training sees it.

    Args:
      params: weights.
      v: (n, D), n at least 2.

    Returns:
      (n,), and the batch's means and unbiased variances, (B, D) each.
    """
    total, found = jnp.zeros_like(v[:, 0]), []
    for i, mask in enumerate(kernel_flow.masks(*params.beta.shape)):
        part = _block(params, i)
        v, log_det = coupling(part, jnp.asarray(mask)).inverse_and_log_det(v)
        stats = FlowStats(jnp.mean(v, 0), jnp.var(v, 0, ddof=1))
        v, norm_log_det = BatchNorm(part.log_gamma, part.beta, *stats).inverse_and_log_det(v)
        total = total + log_det + norm_log_det
        found.append(stats)
    base = distrax.MultivariateNormalDiag(jnp.zeros_like(v), jnp.ones_like(v))
    return base.log_prob(v) + total, jax.tree.map(lambda *rows: jnp.stack(rows), *found)
