"""Maximum-likelihood training of a flow (FKP, Liang et al. 2021): an epoch is one compiled scan over fresh kernels."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.inference.optimizers import promoting
from blindsr_jax.networks import kernel_flow
from blindsr_jax.networks.kernel_flow import Flow, FlowParams, FlowStats
from blindsr_jax.training import flow_bijectors
from blindsr_jax.training.flow_data import Data

_MOMENTUM = 0.9  # share of the old running statistics that a step keeps
_VALIDATION_KEY = 2024  # of the dequantisation noise: the same for every flow that is validated
_BATCH = 1024  # kernels validated at once


class Settings(NamedTuple):
    """How to train; hashable. The defaults are those of the release."""

    num_epochs: int = 100
    kernels_per_epoch: int = 50_000
    batch_size: int = 100
    learning_rate: float = 1e-4
    weight_decay: float = 1e-6  # added to the gradient of all parameters, as an L2 term
    decay: float = 0.5
    decay_at: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # shares of the training after which the rate decays

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches of an epoch."""
        return self.kernels_per_epoch // self.batch_size


class TrainState(NamedTuple):
    """All that training needs to go on, and the best flow so far by validation."""

    params: FlowParams
    stats: FlowStats
    opt: Any
    best_params: FlowParams
    best_stats: FlowStats
    best: jax.Array  # (), mean validation log density


def optimizer(settings: Settings) -> optax.GradientTransformation:
    """Adam with an L2 term in its gradient, as PyTorch's weight_decay, and a rate that is halved several times."""
    total = settings.num_epochs * settings.steps_per_epoch
    drops = {round(share * total): settings.decay for share in settings.decay_at}
    rate = optax.piecewise_constant_schedule(settings.learning_rate, drops)
    return optax.chain(optax.add_decayed_weights(settings.weight_decay), promoting(optax.adam(rate)))


def init(key: jax.Array, settings: Settings, *, size: int, hidden: int, num_blocks: int) -> TrainState:
    """The state before the first epoch.

    Args:
      key: typed PRNG key.
      settings: how to train.
      size: D, entries of a kernel.
      hidden: units of the hidden layers.
      num_blocks: B.
    """
    params, stats = kernel_flow.init(key, size, hidden, num_blocks=num_blocks)
    low = jnp.asarray(-jnp.inf, params.beta.dtype)
    # Copies: the state is donated, and no buffer may be donated twice.
    copy = partial(jax.tree.map, jnp.copy)
    params, stats = copy(params), copy(stats)
    return TrainState(params, stats, optimizer(settings).init(params), copy(params), copy(stats), low)


@partial(jax.jit, static_argnames=("data", "settings"), donate_argnames="state")
def run_epoch(
    key: jax.Array, state: TrainState, normalization: jax.Array, *, data: Data, settings: Settings
) -> tuple[TrainState, jax.Array]:
    """One epoch on kernels that are drawn for it.

    Args:
      key: of this epoch.
      state: is donated.
      normalization: (), see `model.to_flow_space`.
      data: where kernels come from.
      settings: how to train.

    Returns:
      The state (not yet validated) and the mean negative log density, ().
    """
    draw_key, noise_key = jax.random.split(key)
    move, steps = optimizer(settings), settings.steps_per_epoch
    kernels = data.draw(draw_key, steps * settings.batch_size)
    batches = kernels.reshape(steps, settings.batch_size, *kernels.shape[1:])

    def step(carry, batch):
        params, stats, opt = carry
        number, kernels = batch
        noise = jax.random.uniform(jax.random.fold_in(noise_key, number), kernels.shape, kernels.dtype)
        v = kernel_flow.to_flow_space(kernels, normalization, noise)

        def loss_of(p):
            found, batch_stats = flow_bijectors.train_log_prob(p, v)
            return -jnp.mean(found), batch_stats

        (loss, batch_stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, opt = move.update(grads, opt, params)
        stats = jax.tree.map(lambda old, new: _MOMENTUM * old + (1 - _MOMENTUM) * new, stats, batch_stats)
        return (optax.apply_updates(params, updates), stats, opt), loss

    carry = (state.params, state.stats, state.opt)
    (params, stats, opt), losses = jax.lax.scan(step, carry, (jnp.arange(steps), batches))
    return state._replace(params=params, stats=stats, opt=opt), jnp.mean(losses)


@jax.jit
def validate(flow: Flow, kernels: jax.Array) -> jax.Array:
    """Mean log density, (), of kernels (m, k, k) with the running statistics and fixed dequantisation noise."""
    noise = jax.random.uniform(jax.random.key(_VALIDATION_KEY), kernels.shape, kernels.dtype)
    v = kernel_flow.to_flow_space(kernels, flow.normalization, noise)
    return jnp.mean(jax.lax.map(flow_bijectors.distribution(flow).log_prob, v, batch_size=_BATCH))


def keep_best(state: TrainState, value: jax.Array) -> TrainState:
    """The state with its flow as the best one, if `value`, its validation log density, is the largest so far."""
    if not value > state.best:
        return state
    return state._replace(
        best_params=jax.tree.map(jnp.copy, state.params), best_stats=jax.tree.map(jnp.copy, state.stats), best=value
    )
