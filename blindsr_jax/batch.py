"""Several problems of one shape at once: vectorised where that pays, one after another where it does not."""

from collections.abc import Callable

import jax
import numpy as np

from blindsr_jax.problem import Problem, Result
from blindsr_jax.solve import Solver, iterate, solve, to_result


def solve_batch(
    keys: jax.Array,
    problems: Problem,
    solver: Solver,
    *,
    num_steps: int,
    chunk_steps: int = 50,
    kernels: jax.Array | None = None,
    on_chunk: Callable[[int, dict[str, np.ndarray]], None] | None = None,
    vectorize: bool | None = None,
) -> list[Result]:
    """Solves a stack of problems; each result is that of `solve` with its own key, up to rounding.

    Args:
      keys: (n,) typed PRNG keys, one an image.
      problems: a problem whose `lr` is a stack (n, h, w, c).
      solver: from `joint` or `methods.build_solver`.
      num_steps: updates of the image half.
      chunk_steps: about how many steps run between two calls of `on_chunk`.
      kernels: (n, k, k) or None, see `solve`.
      on_chunk: called on the host as `on_chunk(steps_done, trace_of_the_chunk)`.
      vectorize: run all under one vmap; the default is to do so except on a CPU, where a network per image is faster
        alone.

    Returns:
      One result an image.
    """
    options = {"num_steps": num_steps, "chunk_steps": chunk_steps, "on_chunk": on_chunk}
    one = [jax.tree.map(lambda x, i=i: x[i], problems) for i in range(len(keys))]
    if not (jax.default_backend() != "cpu" if vectorize is None else vectorize):
        given = [None] * len(keys) if kernels is None else kernels
        return [solve(*args, solver, kernel=k, **options) for *args, k in zip(keys, one, given, strict=True)]
    state, trace = iterate(keys, problems, solver, kernel=kernels, batched=True, **options)
    return [
        to_result(problem, jax.tree.map(lambda x, i=i: x[i], state), {name: t[:, i] for name, t in trace.items()})
        for i, problem in enumerate(one)
    ]
