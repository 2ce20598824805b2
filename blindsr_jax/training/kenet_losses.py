"""Losses between kernels: L1, and the adaptive attention loss of KENet (sec. 12.2 of the paper's notation: L_att)."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

THRESHOLDS = (0.01, 0.1)  # lambda_1, lambda_2: shares of the true kernel's peak
RATES = (0.01, 0.1, 1.0)  # rho_0 everywhere, rho_1 and rho_2 above the thresholds
LOSSES = ("l1", "attention")


def l1(estimate: jax.Array, truth: jax.Array) -> jax.Array:
    """Sum of absolute differences over all entries: (..., k, k) twice -> (...)."""
    return jnp.sum(jnp.abs(estimate - truth), (-2, -1))


def attention(
    estimate: jax.Array,
    truth: jax.Array,
    *,
    rates: Sequence[float] = RATES,
    thresholds: Sequence[float] = THRESHOLDS,
) -> jax.Array:
    """The adaptive attention loss: an L1 loss that counts the large entries of the true kernel for more.

    The sum over n of rates[n] times the L1 loss where truth > thresholds[n - 1] * max(truth), and everywhere for
    rates[0].

    Args:
      estimate: (..., k, k).
      truth: (..., k, k).
      rates: one more than thresholds.
      thresholds: shares of the largest entry.

    Returns:
      (...).
    """
    peak = jnp.max(truth, (-2, -1), keepdims=True)
    weight = rates[0] + sum(
        rate * (truth > threshold * peak).astype(float) for rate, threshold in zip(rates[1:], thresholds, strict=True)
    )
    return jnp.sum(jnp.asarray(weight, truth.dtype) * jnp.abs(estimate - truth), (-2, -1))


def cross_entropy(logits: jax.Array, category: jax.Array) -> jax.Array:
    """Minus the log probability of the true category: logits (..., F), category (...) of whole numbers -> (...)."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), category[..., None], -1)[..., 0]


def kernel_loss(name: str) -> Callable[..., jax.Array]:
    """The loss of a name in LOSSES.

    Raises:
      ValueError: there is none of that name.
    """
    if name not in LOSSES:
        raise ValueError(f"loss is {name!r}, expected one of {', '.join(LOSSES)}")
    return {"l1": l1, "attention": attention}[name]
