"""Several problems of one shape at once: vectorised where that pays, one after another where it does not."""

from collections.abc import Callable

import jax
import numpy as np

from blindsr_jax.problem import Problem, Result
from blindsr_jax.solve import Progress, Solver, advance, begin, second_key, solve, to_result


def _one(tree, i: int):
    return jax.tree.map(lambda x: x[i], tree)


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

    An image whose numbers are lost does not touch the others; it is tried once more, alone, after them.

    Args:
      keys: (n,) typed PRNG keys, one an image.
      problems: a problem whose `lr` is a stack (n, h, w, c).
      solver: from `joint` or `methods.build_solver`.
      num_steps: updates of the image half.
      chunk_steps: about how many steps run between two calls of `on_chunk`.
      kernels: (n, k, k) or None, see `solve`.
      on_chunk: called on the host as `on_chunk(steps_done, trace_of_the_chunk)`, not for second tries of a vmap.
      vectorize: run all under one vmap; the default is to do so except on a CPU, where a network per image is faster
        alone.

    Returns:
      One result an image.
    """
    steps = {"num_steps": num_steps, "chunk_steps": chunk_steps}
    one = [_one(problems, i) for i in range(len(keys))]
    given = [None] * len(keys) if kernels is None else kernels
    if not (jax.default_backend() != "cpu" if vectorize is None else vectorize):
        return [
            solve(*args, solver, kernel=kernel, on_chunk=on_chunk, **steps)
            for *args, kernel in zip(keys, one, given, strict=True)
        ]
    first = begin(keys, problems, solver, kernels, batched=True)
    last, bad = advance(keys, problems, solver, first, batched=True, on_chunk=on_chunk, **steps)
    results = []
    for i, problem in enumerate(one):
        if bad[i] and solver.retry is not None:
            key, again = second_key(keys[i]), solver.retry
            progress = begin(key, problem, again, given[i], attempt=1)
            progress, is_bad = advance(key, problem, again, progress, **steps)
        else:
            trace = {name: values[:, i] for name, values in last.trace.items()}
            progress, is_bad = Progress(0, last.step, _one(last.state, i), trace), bad[i]
        results.append(to_result(problem, progress, bool(is_bad)))
    return results


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device has no memory left."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def solve_groups(
    keys: jax.Array, problems: Problem, solver: Solver, *, group: int | None = None, kernels=None, **options
) -> list[Result]:
    """`solve_batch` in groups; where the device's memory does not hold a group, it is halved and tried again.

    Args:
      keys, problems, solver, kernels: as for `solve_batch`.
      group: images at once to begin with; default all.
      **options: of `solve_batch`.

    Raises:
      JaxRuntimeError: not even one image fits.
    """
    size, results = group or len(keys), []
    while len(results) < len(keys):
        part = slice(len(results), len(results) + size)
        stack = jax.tree.map(lambda x, part=part: x[part], (problems, kernels))
        try:
            results += solve_batch(keys[part], stack[0], solver, kernels=stack[1], **options)
        except jax.errors.JaxRuntimeError as error:
            count = len(keys[part])
            if not is_out_of_memory(error) or count == 1:
                raise
            size = count // 2
    return results
