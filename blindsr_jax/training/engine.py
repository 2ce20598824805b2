"""Gradient descent on a loss over random samples: an epoch is one compiled scan, on all devices of this process."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec

from blindsr_jax.inference.optimizers import promoting
from blindsr_jax.solvers.loop import IMAGES

SCHEDULES = ("cosine", "constant", "clock")
_FALLS_FROM = 0.4  # of the training: where the rate of 'clock' begins to fall


class Task(NamedTuple):
    """What is trained: pure functions.

    init: (key) -> parameters.
    loss: (parameters, keys (n,), data) -> (loss (), {name: ()}), means over n samples; each sample is drawn from its
      own key, and `data` is a pytree of arrays on the device (images, say).
    """

    init: Callable
    loss: Callable


class Settings(NamedTuple):
    """How to train; hashable."""

    num_epochs: int
    steps_per_epoch: int
    batch_size: int
    learning_rate: float
    schedule: str = "cosine"  # of SCHEDULES: to zero at the end, constant, or as `set_rate` is told of the time
    warmup_steps: int = 200  # over which the rate rises from zero
    averaging: float = 0.999  # decay of the running mean of the parameters, which is what is kept in the end
    clip: float = 1.0  # norm of a gradient above which it is scaled down
    weight_decay: float = 0.0  # as AdamW does it

    @property
    def num_steps(self) -> int:
        """All steps."""
        return self.num_epochs * self.steps_per_epoch


class TrainState(NamedTuple):
    """All that training needs to go on."""

    params: Any
    average: Any  # running mean of `params`
    opt: Any
    step: jax.Array  # () int32


def optimizer(settings: Settings) -> optax.GradientTransformation:
    """AdamW with clipped gradients, a rate that rises in the first steps and, for 'cosine', falls to zero.

    For 'clock' the rate is part of the state, see `set_rate`.

    Raises:
      ValueError: an unknown schedule.
    """
    if settings.schedule not in SCHEDULES:
        raise ValueError(f"config.schedule is {settings.schedule!r}, expected one of {', '.join(SCHEDULES)}")
    if settings.schedule == "clock":
        return optax.inject_hyperparams(partial(_descent, settings))(learning_rate=settings.learning_rate)
    warmup = min(settings.warmup_steps, settings.num_steps // 2)
    rest = settings.num_steps - warmup
    falls = settings.schedule == "cosine"
    tail = optax.cosine_decay_schedule if falls else lambda rate, _: optax.constant_schedule(rate)
    rise = optax.linear_schedule(settings.learning_rate / (warmup + 1), settings.learning_rate, max(warmup, 1))
    rate = optax.join_schedules([rise, tail(settings.learning_rate, rest)], [warmup])
    return _descent(settings, rate)


def _descent(settings: Settings, learning_rate: Any) -> optax.GradientTransformation:
    adam = promoting(optax.adamw(learning_rate, weight_decay=settings.weight_decay))
    return optax.chain(optax.clip_by_global_norm(settings.clip), adam)


def set_rate(state: TrainState, settings: Settings, share: float) -> TrainState:
    """Sets the rate of 'clock' for the next epoch: it rises with the steps, stays, and falls to zero at the end.

    Args:
      state: of a training with this schedule.
      settings: how to train.
      share: of the time that is over, from 0 to 1.
    """
    rises = min((int(state.step) + settings.steps_per_epoch) / (settings.warmup_steps + 1), 1.0)
    falls = min((1 - share) / (1 - _FALLS_FROM), 1.0)
    rate = state.opt.hyperparams["learning_rate"]
    rates = {**state.opt.hyperparams, "learning_rate": jnp.full_like(rate, settings.learning_rate * rises * falls)}
    return state._replace(opt=state.opt._replace(hyperparams=rates))


def init(key: jax.Array, task: Task, settings: Settings) -> TrainState:
    """The state before the first step."""
    params = task.init(key)
    # A copy: the state is donated, and no buffer may be donated twice.
    return TrainState(
        params, jax.tree.map(jnp.copy, params), optimizer(settings).init(params), jnp.zeros((), jnp.int32)
    )


def _gradients(task: Task, mesh: Mesh | None) -> Callable:
    """(params, keys, data) -> ((loss, metrics), gradients), with the samples split over the devices of a mesh."""

    def local(params, keys, data):
        found = jax.value_and_grad(task.loss, has_aux=True)(params, keys, data)
        return found if mesh is None else jax.lax.pmean(found, tuple(IMAGES))

    if mesh is None:
        return local
    everywhere = PartitionSpec()
    specs = (everywhere, IMAGES, everywhere)
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=everywhere, check_vma=False)


@partial(jax.jit, static_argnames=("task", "settings", "mesh"), donate_argnames="state")
def run_epoch(
    key: jax.Array, state: TrainState, data: Any, *, task: Task, settings: Settings, mesh: Mesh | None = None
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One epoch.

    Args:
      key: of the training; a sample depends on it, on the number of the step and on its place in the batch.
      state: is donated.
      data: what `task.loss` takes.
      task: what is trained.
      settings: how to train.
      mesh: devices to split each batch over, one axis, 'images', whose size divides that of the batch.

    Returns:
      The state and the mean over the steps of 'loss' and of what else the loss tells.
    """
    move, gradients = optimizer(settings), _gradients(task, mesh)

    def step(state, _):
        keys = jax.random.split(jax.random.fold_in(key, state.step), settings.batch_size)
        (loss, metrics), grads = gradients(state.params, keys, data)
        updates, opt = move.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        # Early means would be of little but the start.
        done = state.step.astype(float)
        keep = jnp.minimum(settings.averaging, (1.0 + done) / (10.0 + done))
        average = jax.tree.map(
            lambda old, new: keep.astype(old.dtype) * old + (1 - keep).astype(new.dtype) * new, state.average, params
        )
        return TrainState(params, average, opt, state.step + 1), {"loss": loss, **metrics}

    state, found = jax.lax.scan(step, state, None, settings.steps_per_epoch)
    return state, jax.tree.map(jnp.mean, found)
