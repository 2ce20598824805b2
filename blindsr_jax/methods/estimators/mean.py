"""The mean kernel of a family, whatever the image: what an estimator has to beat."""

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily, check_draws, sample_kernels
from blindsr_jax.methods.interfaces import Solver, State, silent_trace

_KEY = 2025


def build(spec: Spec, *, family: KernelFamily, num_samples: Annotated[int, rules.DRAWS] = 2048) -> Solver:
    """The estimator; its one step has nothing left to do.

    Args:
      spec: the problem's static part.
      family: of kernels, of the size and with the centre of the problem.
      num_samples: draws whose mean is the estimate.

    Raises:
      ValueError: fewer than one draw, or too many to be held.
    """
    if num_samples < 1:
        raise ValueError(f"the estimator mean has num_samples {num_samples}, expected at least 1")
    check_draws("num_samples", num_samples, spec.kernel_size)
    draws = sample_kernels(jax.random.key(_KEY), family, num_samples)
    mean = np.asarray(geometry.normalize(jnp.mean(draws, 0)))

    def init(key, problem: Problem, kernel=None):
        del key, kernel
        return State((), (), jnp.zeros(problem.canvas_shape, problem.lr.dtype), jnp.asarray(mean, problem.lr.dtype))

    def step(key, state, problem: Problem, i):
        del key, i
        return state, silent_trace(problem.lr.dtype)

    return Solver(init, step, 1, num_steps=1)
