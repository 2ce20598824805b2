"""Several problems of one shape at once: on all devices of this process, or one after another where that is faster."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding

from blindsr_jax.imaging.problem import Problem, Result, Status
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.solvers.loop import IMAGES, Progress, advance, begin, to_result, tries
from blindsr_jax.solvers.pace import Pace


class Trial(NamedTuple):
    """One try of one problem, to be begun or gone on with."""

    key: jax.Array  # of the image, whichever try it is
    problem: Problem
    kernel: jax.Array | None = None  # (k, k), see `solve`
    attempt: int = 0  # 0, or 1 on the second try
    progress: Progress | None = None  # where to go on

    @property
    def place(self) -> tuple[Any, ...]:
        """What the trials of a group have in common: shape and spec, attempt, step."""
        step = 0 if self.progress is None else self.progress.step
        return self.problem.lr.shape, self.problem.spec, self.attempt, step

    def again(self) -> "Trial":
        """The next try."""
        return self._replace(attempt=self.attempt + 1, progress=None)


def device_mesh() -> Mesh | None:
    """The devices of this process along one axis, 'images'; None if there is only one."""
    devices = jax.local_devices()
    if len(devices) == 1:
        return None
    return jax.make_mesh((len(devices),), tuple(IMAGES), axis_types=(AxisType.Auto,), devices=devices)


def _stack(trees: Sequence[Any], mesh: Mesh | None) -> Any:
    """Trees of arrays as one with a leading axis, which a mesh splits; its size then divides the number of trees."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
    return stacked if mesh is None else jax.device_put(stacked, NamedSharding(mesh, IMAGES))


def unstack(progress: Progress, n: int) -> list[Progress]:
    """The progress of each of the first n images of a stack, on the host; one that is none comes back as it is."""
    if progress.state.image.ndim == 3:
        return [progress]
    attempt, step, state, trace = progress
    state = jax.device_get(state)
    return [
        Progress(attempt, step, jax.tree.map(lambda x, i=i: x[i], state), {name: x[:, i] for name, x in trace.items()})
        for i in range(n)
    ]


def _restack(progresses: Sequence[Progress], mesh: Mesh | None) -> Progress:
    """The inverse of `unstack`."""
    attempt, step, _, first = progresses[0]
    trace = {name: np.stack([progress.trace[name] for progress in progresses], 1) for name in first}
    return Progress(attempt, step, _stack([progress.state for progress in progresses], mesh), trace)


def solve_group(
    trials: Sequence[Trial],
    solver: Solver,
    *,
    num_steps: int,
    chunk_steps: int,
    width: int = 1,
    on_chunk: Callable[[int, dict[str, np.ndarray]], None] | None = None,
    save: Callable[[Progress], None] | None = None,
    pace: Pace | None = None,
    before_call: Callable[[int, float | None], None] | None = None,
    keep_state: bool = False,
) -> list[Result]:
    """Runs one try of each image of a group to its end.

    A group of one runs the program of `solve`; a larger one is vectorised, and split over the devices of this process
    if there are several. An image whose numbers are lost stays in the stack without touching the others; once all are
    lost, the group ends.

    Args:
      trials: images of one `place`.
      solver: from `joint` or `methods.build_solver`; the second try takes its `retry`.
      num_steps: updates of the image half.
      chunk_steps: how many steps run at most between two calls of `on_chunk`, see `solve`.
      width: a smaller group is filled up to that many images by repeating the last one, and in any case to a multiple
        of the number of devices.
      on_chunk: called on the host as `on_chunk(steps_done, trace_of_these_steps)`, (steps,) or (steps, n) a quantity.
      save: called between two of these calls with a `Progress` for `unstack`, whose state lives until it returns.
      pace, before_call: see `solve.advance`.
      keep_state: whether the results hold the last states.

    Returns:
      One result an image; one that is 'diverged' may have another try.
    """
    attempt, n = trials[0].attempt, len(trials)
    run = {"num_steps": num_steps, "chunk_steps": chunk_steps, "on_chunk": on_chunk, "save": save}
    run |= {"pace": pace, "before_call": before_call}
    if max(n, width) == 1:
        key, problem, kernel, _, progress = trials[0]
        key, method = tries(key, solver)[attempt]
        if progress is None:
            progress = begin(key, problem, method, kernel, attempt=attempt)
        last, bad = advance(key, problem, method, progress, **run)
    else:
        mesh = device_mesh()
        width = max(n, width) if mesh is None else -(-max(n, width) // mesh.size) * mesh.size
        full = [*trials, *[trials[-1]] * (width - n)]
        keys, problems, kernels, _, progresses = zip(*full, strict=True)
        keys, methods = zip(*(tries(key, solver)[attempt] for key in keys), strict=True)
        key, problem = _stack(keys, mesh), _stack(problems, mesh)
        stack = {"batched": True, "mesh": mesh}
        if progresses[0] is None:
            progress = begin(key, problem, methods[0], _stack(kernels, mesh), attempt=attempt, **stack)
        else:
            progress = _restack(progresses, mesh)
        last, bad = advance(key, problem, methods[0], progress, **run, **stack)
    if not keep_state:
        last = last._replace(state=last.state._replace(image_state=None, kernel_state=None))
    one = zip(trials, unstack(last, n), np.atleast_1d(bad)[:n], strict=True)
    return [to_result(trial.problem, progress, bool(bad)) for trial, progress, bad in one]


def has_another_try(trial: Trial, result: Result, solver: Solver) -> bool:
    """Whether an image is to be tried once more."""
    return result.status is Status.DIVERGED and trial.attempt == 0 and solver.retry is not None


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

    An image whose numbers are lost does not touch the others; it is tried once more after them.

    Args:
      keys: (n,) typed PRNG keys, one an image.
      problems: a problem whose `lr` is a stack (n, h, w, c).
      solver: from `joint` or `methods.build_solver`.
      num_steps: updates of the image half.
      chunk_steps: how many steps run at most between two calls of `on_chunk`, see `solve`.
      kernels: (n, k, k) or None, see `solve`.
      on_chunk: called on the host as `on_chunk(steps_done, trace_of_these_steps)`, see `solve_group`.
      vectorize: run all as one group; the default is to do so except on a CPU, where a network per image is faster
        alone.

    Returns:
      One result an image.
    """
    if vectorize is None:
        vectorize = jax.default_backend() != "cpu"
    run = {"num_steps": num_steps, "chunk_steps": chunk_steps, "on_chunk": on_chunk, "keep_state": True}
    trials = [Trial(*jax.tree.map(lambda x, i=i: x[i], (keys, problems, kernels))) for i in range(len(keys))]
    results: list[Any] = [None] * len(trials)
    left = list(range(len(trials)))
    while left:
        for group in [left] if vectorize else [[i] for i in left]:
            for i, result in zip(group, solve_group([trials[i] for i in group], solver, **run), strict=True):
                results[i] = result
        left = [i for i in left if has_another_try(trials[i], results[i], solver)]
        for i in left:
            trials[i] = trials[i].again()
    return results


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the host, has no memory left."""
    if isinstance(error, MemoryError):
        return True
    # A CPU's client says "INTERNAL: ... Out of memory allocating", an accelerator's "RESOURCE_EXHAUSTED".
    words = str(error).lower()
    return isinstance(error, jax.errors.JaxRuntimeError) and ("resource_exhausted" in words or "out of memory" in words)


def solve_groups(
    keys: jax.Array, problems: Problem, solver: Solver, *, group: int | None = None, kernels=None, **options
) -> list[Result]:
    """`solve_batch` in groups; where the device's memory does not hold a group, it is halved and tried again.

    Args:
      keys: of `solve_batch`.
      problems: of `solve_batch`.
      solver: of `solve_batch`.
      group: images at once to begin with; default all.
      kernels: of `solve_batch`.
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
