"""The mean kernel under the learned posterior of `inference.evidence`; it needs no estimate of the image."""

import os
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference.shape_search import can_search, search
from blindsr_jax.methods import learned
from blindsr_jax.methods.estimators import doubt
from blindsr_jax.methods.interfaces import Solver, State, Weights, silent_trace
from blindsr_jax.networks.evidence import SMALLEST_SIDE


def build(
    spec: Spec,
    *,
    weights: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
    num_windows: Annotated[int, rules.whole(1, 4096)] = learned.NUM_WINDOWS,
    num_draws: Annotated[int, rules.DRAWS] = learned.NUM_DRAWS,
    shapes: bool = False,
) -> Solver:
    """The estimator; its one step does all the work, further steps repeat it. How sure it is: `config.trust`.

    `State.kernel_state` of the result are the probabilities of the families of `weights.evidence`; a restorer is told
    some noise where they say that the shape is not sure, see `doubt`.

    Args:
      spec: the problem's static part; the kernel comes in its size and with its centre.
      weights: a .npz file of launch/train_evidence.py; None for the shipped network of the scale.
      num_windows: LR windows that are looked at, those that show most.
      num_draws: kernels of the network's prior that the posterior is over.
      shapes: whether a disc or a straight line that explains the power spectrum of the image better takes the place of
        the mean, see `inference.shape_search`.

    Raises:
      ValueError: there is no network for the scale, or an option is out of range.
    """
    settings, arrays = learned.load(spec, weights=weights, num_windows=num_windows, num_draws=num_draws)
    smallest = SMALLEST_SIDE * spec.scale + spec.canvas_shape((0, 0, 1))[0]
    return Solver(
        partial(_init, settings),
        partial(_step, settings, shapes),
        smallest,
        weights=Weights(arrays),
        num_steps=1,
        common=partial(learned.common_kernel, learned.Learned(settings, arrays)),
        restorer_noise=partial(restorer_noise, doubt.doubts_of(settings.families, spec.scale)),
    )


def restorer_noise(doubts: tuple[float, ...], state: State, problem: Problem) -> jax.Array:
    """The noise () of a problem, and what the probabilities of the families, with a doubt each, add to it."""
    return doubt.told(problem.noise_std, doubt.expected(state.kernel_state, doubts)).astype(problem.lr.dtype)


def _init(settings: learned.Settings, key: Any, problem: Problem, kernel: Any = None, weights: Any = None) -> State:
    del key, kernel, weights
    dtype, k = problem.lr.dtype, settings.spec.kernel_size
    known = len(settings.families)
    return State(
        (), jnp.full((known,), 1 / known, dtype), jnp.zeros(problem.canvas_shape, dtype), jnp.zeros((k, k), dtype)
    )


def _step(
    settings: learned.Settings, shapes: bool, key: Any, state: State, problem: Problem, i: Any, weights: Any
) -> tuple[State, dict[str, jax.Array]]:
    del key, i
    found = learned.ask(settings, weights, learned.windows_of(settings, problem))
    return concluded(settings, shapes, state, problem, learned.normal_kernel(settings, found), found.families)


def concluded(
    settings: learned.Settings,
    shapes: bool,
    state: State,
    problem: Problem,
    kernel: jax.Array,
    families: jax.Array,
) -> tuple[State, dict[str, jax.Array]]:
    """What a step returns for a kernel (k, k) and probabilities of families (F,), after the search for shapes."""
    families = families.astype(problem.lr.dtype)
    if shapes and can_search(settings.spec, problem.lr.shape):
        kernel, families = _shaped(settings, problem.in_colours(), kernel, families)
    return state._replace(kernel_state=families, kernel=kernel), silent_trace(problem.lr.dtype)


def _shaped(
    settings: learned.Settings, problem: Problem, kernel: jax.Array, families: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The disc or line in place of the mean, where the spectrum is for it; and then the families."""
    found = search(problem.lr, kernel, settings.spec, problem.mask)
    return found.kernel, doubt.after_search(found, settings.families, families)
