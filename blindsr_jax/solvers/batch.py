"""Several problems of one shape at once: on all devices of this process, or one after another where that is faster."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding

from blindsr_jax.imaging.problem import Problem, Result
from blindsr_jax.methods.interfaces import Solver, State
from blindsr_jax.solvers.groups import GroupQueue
from blindsr_jax.solvers.loop import IMAGES, Attempt, Progress, advance, begin, run_attempt, to_result
from blindsr_jax.solvers.pace import Pace


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


def _estimates(state: State) -> State:
    """A state without what its two models need to go on."""
    return state._replace(image_state=None, kernel_state=None)


def _restack(progresses: Sequence[Progress], mesh: Mesh | None) -> Progress:
    """The inverse of `unstack`."""
    attempt, step, _, first = progresses[0]
    trace = {name: np.stack([progress.trace[name] for progress in progresses], 1) for name in first}
    return Progress(attempt, step, _stack([progress.state for progress in progresses], mesh), trace)


def solve_group(
    attempts: Sequence[Attempt],
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
      attempts: of one `place`.
      solver: from `joint` or `methods.build.build_solver`.
      num_steps: updates of the image model.
      chunk_steps: how many steps run at most between two calls of `on_chunk`, see `solve`.
      width: a smaller group is filled up to that many images by repeating the last one, and in any case to a multiple
        of the number of devices.
      on_chunk: called on the host as `on_chunk(steps_done, trace_of_these_steps)`, (steps,) or (steps, n) a quantity.
      save: called between two of these calls with a `Progress` for `unstack`, whose state lives until it returns.
      pace, before_call: see `solve.advance`.
      keep_state: whether the results hold the last states; else None.

    Returns:
      One result an image; one that is 'diverged' may have another try.
    """
    n = len(attempts)
    run = {"num_steps": num_steps, "chunk_steps": chunk_steps, "on_chunk": on_chunk, "save": save}
    run |= {"pace": pace, "before_call": before_call}
    if max(n, width) == 1:
        last, bad = run_attempt(attempts[0], solver, **run)
    else:
        mesh = device_mesh()
        width = max(n, width) if mesh is None else -(-max(n, width) // mesh.size) * mesh.size
        full = [*attempts, *[attempts[-1]] * (width - n)]
        _, problems, kernels, numbers, progresses = zip(*full, strict=True)
        keys, methods = zip(*(attempt.method(solver) for attempt in full), strict=True)
        key, problem = _stack(keys, mesh), _stack(problems, mesh)
        stack = {"batched": True, "mesh": mesh}
        if progresses[0] is None:
            progress = begin(key, problem, methods[0], _stack(kernels, mesh), attempt=numbers[0], **stack)
        else:
            progress = _restack(progresses, mesh)
        last, bad = advance(key, problem, methods[0], progress, **run, **stack)
    if not keep_state and solver.explain is None:  # before all of it goes to the host
        last = last._replace(state=_estimates(last.state))
    results = [
        to_result(attempt.problem, progress, bool(bad), solver)
        for attempt, progress, bad in zip(attempts, unstack(last, n), np.atleast_1d(bad)[:n], strict=True)
    ]
    return results if keep_state else [result._replace(state=None) for result in results]


class _Item(NamedTuple):
    """One problem of a stack."""

    attempt: Attempt
    index: int


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
    group: int | None = None,
) -> list[Result]:
    """Solves a stack of problems; each result is that of `solve` with its own key, up to rounding.

    An image whose numbers are lost does not touch the others; it is tried once more. Where the device's
    memory does not hold a group, it is halved and tried again.

    Args:
      keys: (n,) typed PRNG keys, one per image.
      problems: a problem whose `lr` is a stack (n, h, w, c).
      solver: from `joint` or `methods.build.build_solver`.
      num_steps: updates of the image model.
      chunk_steps: how many steps run at most between two calls of `on_chunk`, see `solve`.
      kernels: (n, k, k) or None, see `solve`.
      on_chunk: called on the host as `on_chunk(steps_done, trace_of_these_steps)`, see `solve_group`.
      vectorize: solve groups of images; the default is to do so except on a CPU, where a network per image is faster
        alone.
      group: images at once to begin with, where groups are solved; default all.

    Returns:
      One result an image.

    Raises:
      JaxRuntimeError: not even one image fits.
    """
    if vectorize is None:
        vectorize = jax.default_backend() != "cpu"
    run = {"num_steps": num_steps, "chunk_steps": chunk_steps, "on_chunk": on_chunk, "keep_state": True}
    results: list[Any] = [None] * len(keys)

    def solve_items(items):
        return list(zip(items, solve_group([item.attempt for item in items], solver, **run), strict=True))

    def finish(item, result):
        results[item.index] = result

    size = (group or len(keys)) if vectorize else 1
    queue: GroupQueue[_Item] = GroupQueue(solver, size=lambda attempt: size, solve=solve_items, finish=finish)
    for i in range(len(keys)):
        queue.put(_Item(Attempt(*jax.tree.map(lambda x, i=i: x[i], (keys, problems, kernels))), i))
    queue.drain()
    return results
