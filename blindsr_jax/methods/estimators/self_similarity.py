"""The kernel under which the LR image, once more made smaller, has its own spectrum (inference.self_similarity)."""

from typing import Annotated

import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import self_similarity
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.methods.estimators import base
from blindsr_jax.methods.interfaces import Solver, State, silent_trace


def build(
    spec: Spec,
    *,
    family: KernelFamily,
    num_samples: Annotated[int, rules.DRAWS] = 1024,
    temperature: Annotated[float, rules.above(0, 1e6)] = self_similarity.TEMPERATURE,
) -> Solver:
    """The estimator; its one step does all the work: no network, no training.

    Args:
      spec: the problem's static part; any scale above 1.
      family: where random kernels come from, `config.prior`.
      num_samples: of them.
      temperature: of their weights, see `self_similarity.weigh`.

    Raises:
      ValueError: scale 1, or a value out of range.
    """
    if spec.scale == 1:
        raise ValueError("the estimator 'self_similarity' knows scales from 2 on, got scale 1")
    if num_samples < 1 or not temperature > 0:
        raise ValueError(
            f"the estimator 'self_similarity' has num_samples {num_samples} and temperature {temperature}, expected "
            "numbers above 0"
        )
    candidates = base.candidates(family, spec, num=num_samples)

    def init(key, problem: Problem, kernel=None):
        del key, kernel
        dtype, k = problem.lr.dtype, spec.kernel_size
        return State((), (), jnp.zeros(problem.canvas_shape, dtype), jnp.zeros((k, k), dtype))

    def step(key, state, problem: Problem, i):
        del key, i
        kernel, _ = self_similarity.mean_kernels(problem.lr, candidates, temperature=temperature)
        return state._replace(kernel=geometry.normalize(kernel)), silent_trace(problem.lr.dtype)

    return Solver(init, step, base.smallest_canvas(spec, base.SMALLEST_SIDE), num_steps=1)
