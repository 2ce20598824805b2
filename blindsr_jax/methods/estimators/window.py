"""A joint solver as an estimator: it solves the window of an image that tells most of its blur, and drops its image."""

import dataclasses

import jax.numpy as jnp

from blindsr_jax.imaging.problem import Problem
from blindsr_jax.inference.windows import best
from blindsr_jax.methods.interfaces import TRACE_KEYS, Solver, State


def on_window(solver: Solver, side: int) -> Solver:
    """A solver of the window (side, side) of an LR image that tells most of its blur, which is chosen once.

    `State.image_state` is the state of the inner solve, `State.kernel_state` the window.
    """

    def init(key, problem: Problem, kernel=None, *weights):
        window = best(problem.lr, side, 1)[0]
        inner = solver.init(key, dataclasses.replace(problem, lr=window), kernel, *weights)
        return State(inner, window, jnp.zeros(problem.canvas_shape, problem.lr.dtype), inner.kernel)

    def step(key, state, problem: Problem, i, *weights):
        part = dataclasses.replace(problem, lr=state.kernel_state)
        inner, trace = solver.step(key, state.image_state, part, i, *weights)
        return state._replace(image_state=inner, kernel=inner.kernel), {name: trace[name] for name in TRACE_KEYS}

    return solver._replace(init=init, step=step, retry=None)
