"""Langevin updates as optax transforms: noise with a temperature, and the network-based form of DKP."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

FORMS = ("sequential", "summed")


class LangevinNoiseState(NamedTuple):
    """State of `add_langevin_noise`."""

    count: jax.Array  # () int32
    key: jax.Array  # () typed PRNG key


def add_langevin_noise(
    key: jax.Array, *, step_size: float, temperature: optax.ScalarOrSchedule
) -> optax.GradientTransformation:
    """Adds N(0, 2 step_size T) to each update: stochastic gradient Langevin dynamics (Welling and Teh 2011).

    Chain it after the learning rate, e.g. `optax.chain(optax.sgd(step_size), add_langevin_noise(...))`; the stationary
    density of a loss E is then exp(-E / T) for small steps.

    Args:
      key: typed PRNG key.
      step_size: the learning rate that stands before it in the chain.
      temperature: T, a number or a schedule of the update count.
    """

    def init(params):
        del params
        return LangevinNoiseState(jnp.zeros((), jnp.int32), key)

    def update(updates, state, params=None):
        del params
        now = temperature(state.count) if callable(temperature) else temperature
        next_key, noise_key = jax.random.split(state.key)
        leaves, tree = jax.tree.flatten(updates)
        keys = jax.random.split(noise_key, len(leaves))

        def add(leaf_key, u):
            std = jnp.sqrt(jnp.asarray(2 * step_size * now, u.dtype))
            return u + std * jax.random.normal(leaf_key, u.shape, u.dtype)

        noisy = tree.unflatten([add(k, u) for k, u in zip(keys, leaves, strict=True)])
        return noisy, LangevinNoiseState(optax.safe_increment(state.count), next_key)

    return optax.GradientTransformation(init, update)


def network_langevin(
    inner: optax.GradientTransformation,
    *,
    form: str = "sequential",
    data_weight: float = 1.0,
    prior_weight: float = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Network-based Langevin dynamics (DKP, Yang et al. 2024, eq. 12 and 13).

    A data gradient and the gradient towards random kernels move the parameters of a kernel network together. The random
    kernels are the noise: its scale is set by how many of them are drawn.

    `update(data_grads, state, params, prior_grads=...)`; either gradient may be None.

    Args:
      inner: the optimiser; one state serves both gradients.
      form: 'summed' passes the weighted sum through `inner` once (eq. 12). 'sequential' applies `inner` twice, first to
        the prior gradient, then to the data gradient, threading its state: what the release does. Take the data
        gradient at the parameters after the prior step by calling `update` once for each.
      data_weight: factor of the data gradient.
      prior_weight: factor of the prior gradient.
    """
    if form not in FORMS:
        raise ValueError(f"form is {form!r}, expected one of {', '.join(FORMS)}")

    def update(data_grads, state, params=None, *, prior_grads=None, **extra):
        scaled = [
            jax.tree.map(lambda g, w=weight: w * g, grads)
            for grads, weight in ((prior_grads, prior_weight), (data_grads, data_weight))
            if grads is not None
        ]
        if form == "summed":
            scaled = [jax.tree.map(lambda *parts: sum(parts), *scaled)]
        total = None
        for grads in scaled:
            step, state = inner.update(grads, state, params, **extra)
            total = step if total is None else jax.tree.map(jnp.add, total, step)
        return total, state

    inner = optax.with_extra_args_support(inner)
    return optax.GradientTransformationExtraArgs(inner.init, update)
