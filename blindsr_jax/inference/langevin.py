"""Langevin updates as optax transforms: noise with a temperature, and the network-based form of DKP."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.config import rules
from blindsr_jax.inference.optimizers import promoting

FORMS = ("sequential", "summed")


# Options of a part that can be sampled, and their rules.
Temperature = Annotated[float, rules.number(0, 1e6)]
CoolingSteps = Annotated[int | None, rules.optional(rules.STEPS)]


class LangevinNoiseState(NamedTuple):
    """State of `add_langevin_noise`."""

    count: jax.Array  # () int32, updates with noise so far


def add_langevin_noise(
    *, step_size: float, temperature: optax.ScalarOrSchedule
) -> optax.GradientTransformationExtraArgs:
    """Adds N(0, 2 step_size T) to each update: stochastic gradient Langevin dynamics (Welling and Teh 2011).

    Chain it after the learning rate, e.g. `optax.chain(optax.sgd(step_size), add_langevin_noise(...))`; the stationary
    density of a loss E is then exp(-E / T) for small steps. `update(..., key=KEY)` takes a typed PRNG key, another one
    for each update; without one, no noise is added.

    Args:
      step_size: the learning rate that stands before it in the chain.
      temperature: T, a number or a schedule of the count of updates with noise.
    """

    def init(params):
        del params
        return LangevinNoiseState(jnp.zeros((), jnp.int32))

    def update(updates, state, params=None, *, key=None, **extra):
        del params, extra
        if key is None:
            return updates, state
        now = temperature(state.count) if callable(temperature) else temperature
        leaves, tree = jax.tree.flatten(updates)
        keys = jax.random.split(key, len(leaves))

        def add(leaf_key, u):
            std = jnp.sqrt(jnp.asarray(2 * step_size * now, u.dtype))
            return u + std * jax.random.normal(leaf_key, u.shape, u.dtype)

        noisy = tree.unflatten([add(k, u) for k, u in zip(keys, leaves, strict=True)])
        return noisy, LangevinNoiseState(optax.safe_increment(state.count))

    return optax.GradientTransformationExtraArgs(init, update)


def noisy_adam(
    learning_rate: float, *, temperature: float = 0.0, cooling_steps: int | None = None
) -> optax.GradientTransformationExtraArgs:
    """Adam whose updates get Langevin noise, so that it samples around a minimum (for DIP: Cheng et al. 2019).

    `update(..., key=KEY)`, see `add_langevin_noise`.

    Args:
      learning_rate: of Adam, and the step size of the noise.
      temperature: in units of the loss; 0 is Adam alone.
      cooling_steps: the temperature falls linearly to 0 over so many updates; None keeps it.
    """
    adam = promoting(optax.adam(learning_rate))
    if not temperature:
        return adam
    schedule = temperature if cooling_steps is None else optax.linear_schedule(temperature, 0.0, cooling_steps)
    return optax.chain(adam, add_langevin_noise(step_size=learning_rate, temperature=schedule))


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
