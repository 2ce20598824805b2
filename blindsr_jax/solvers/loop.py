"""The loop: one scan over two exchangeable models, in jitted calls that end in time for a signal."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from blindsr_jax.imaging.problem import Problem, Result, Status
from blindsr_jax.methods.interfaces import Solver, State, weights_args
from blindsr_jax.solvers.pace import Pace

EXPLOSION = 10.0  # of a quantity, in its first value
RETRY = 2**32 - 1
IMAGES = PartitionSpec("images")  # the leading axis of a stack of problems, split over devices


class Progress(NamedTuple):
    """A solve between two chunks: with the same key, problem and solver, all that is needed to go on."""

    attempt: int  # 0, or 1 on the second try
    step: int  # steps done
    state: State
    trace: dict[str, np.ndarray]  # (step,) a quantity; with a batch (step, n)


def second_key(key: jax.Array) -> jax.Array:
    """The key of the second try; no step has that number."""
    return jax.random.fold_in(key, RETRY)


class Attempt(NamedTuple):
    """One try of one problem, to be begun or gone on with."""

    key: jax.Array  # of the image, whichever try it is
    problem: Problem
    kernel: jax.Array | None = None  # (k, k), see `solve`
    number: int = 0  # 0, or 1 for the second try
    progress: Progress | None = None  # where to go on

    @property
    def place(self) -> tuple[Any, ...]:
        """What the attempts of a group have in common: shape and spec, number, step."""
        step = 0 if self.progress is None else self.progress.step
        return self.problem.lr.shape, self.problem.spec, self.number, step

    def method(self, solver: Solver) -> tuple[jax.Array, Solver]:
        """Key and solver of this try: the second one has a key of its own, and the solver's `retry`."""
        if self.number == 0:
            return self.key, solver
        if solver.retry is None:
            raise ValueError("the solver has no second try, expected the first one")
        return second_key(self.key), solver.retry

    def following(self, result: Result, solver: Solver) -> "Attempt | None":
        """The next try of the image, where its numbers are lost and there is another."""
        if result.status is not Status.DIVERGED or self.number > 0 or solver.retry is None:
            return None
        return self._replace(number=self.number + 1, progress=None)


def _split(function: Callable, mesh: Mesh | None, in_specs: Any, out_specs: Any) -> Callable:
    """Runs a function of a stack on each device's share of it; nothing passes between devices.

    Left to the compiler, a stack of networks would be gathered on all devices for each of its grouped convolutions.
    """
    if mesh is None:
        return function
    # The check does not know custom gradients.
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


@partial(jax.jit, static_argnames=("solver", "batched", "mesh"))
def start(
    key: jax.Array,
    problem: Problem,
    kernel: jax.Array | None,
    weights: Any = None,
    *,
    solver: Solver,
    batched: bool = False,
    mesh: Mesh | None = None,
) -> State:
    """The state before the first step; see `run_chunk` for `weights`, `batched` and `mesh`."""

    def init(key, problem, kernel, weights):
        return solver.init(key, problem, kernel, *weights_args(weights))

    if not batched:
        return init(key, problem, kernel, weights)
    inits = jax.vmap(init, in_axes=(0, 0, 0, None))
    return _split(inits, mesh, (IMAGES, IMAGES, IMAGES, PartitionSpec()), IMAGES)(key, problem, kernel, weights)


@partial(jax.jit, static_argnames=("solver", "length", "batched", "mesh"), donate_argnames="state")
def run_chunk(
    key: jax.Array,
    state: State,
    problem: Problem,
    first: jax.Array,
    weights: Any = None,
    count: jax.Array | None = None,
    *,
    solver: Solver,
    length: int,
    batched: bool = False,
    mesh: Mesh | None = None,
) -> tuple[State, dict[str, jax.Array]]:
    """Runs steps first ... first + count - 1 as one scan over `length` places, of which the later ones do nothing.

    So one program, with the same bits, serves any number of steps.

    Args:
      key: of one problem, or with `batched` of a stack of them.
      state: of the same.
      problem: of the same.
      first: () int32, number of the first step.
      weights: `solver.arrays`.
      count: () int32, steps, from 0 to `length`, which is the default.
      solver: the method.
      length: the most steps.
      batched: vectorise over the stack.
      mesh: with `batched`, devices to split the stack over; one axis, 'images', whose size divides that of the stack.

    Returns:
      The state (the old one is donated) and the trace, (length,) or (length, batch) a quantity; zeros from row
      `count` on.
    """

    def step(key, state, problem, i, weights):
        return solver.step(key, state, problem, i, *weights_args(weights))

    if batched:
        step = jax.vmap(step, in_axes=(0, 0, 0, None, None))
    step = jax.jit(step)  # traced once, for its shapes and for the loop

    def steps(key, state, problem, first, count, weights):
        row = jax.eval_shape(step, key, state, problem, first, weights)[1]

        def body(state, j):
            def rest():
                return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), row)

            # The same for all images of a batch: one branch runs.
            return jax.lax.cond(j < count, lambda: step(key, state, problem, first + j, weights), rest)

        return jax.lax.scan(body, state, jnp.arange(length, dtype=jnp.int32))

    count = jnp.int32(length) if count is None else count
    everywhere = (PartitionSpec(),) * 3
    ins, outs = (IMAGES, IMAGES, IMAGES, *everywhere), (IMAGES, PartitionSpec(None, *IMAGES))
    return _split(steps, mesh, ins, outs)(key, state, problem, first, count, weights)


def shapes(key: jax.Array, problem: Problem, kernel: jax.Array | None, solver: Solver) -> tuple[State, dict[str, Any]]:
    """Shapes and dtypes of a solver's state and of the trace of one step; nothing is run."""
    last = weights_args(solver.arrays)
    state = jax.eval_shape(solver.init, key, problem, kernel, *last)
    return state, jax.eval_shape(solver.step, key, state, problem, jnp.int32(0), *last)[1]


def chunk_length(num_steps: int, wanted: int) -> int:
    """The largest divisor of `num_steps` that is not above `wanted`: steps of a chunk.

    After each chunk it is asked whether numbers are lost; a call of the program never goes beyond one.
    """
    return max(n for n in range(1, min(num_steps, max(wanted, 1)) + 1) if num_steps % n == 0)


def lost(trace: dict[str, np.ndarray], length: int) -> np.ndarray:
    """Whether the last chunk of a trace, which ends with it, shows numbers that no further step can mend.

    That is a number that is not finite, or a quantity that stays ten times above its first value, and above ten, for
    the whole chunk: images are in [0, 1], so a loss of one is already as bad as any image can be.

    Args:
      trace: (steps, ...) a quantity, of one solve or of a batch; nothing before the first chunk.
      length: steps of the last chunk.

    Returns:
      bool (...).
    """
    bad = [np.zeros(values.shape[1:], bool) for values in trace.values()] or [np.zeros((), bool)]
    for values in trace.values():
        last = np.abs(values[-length:])
        bad.append(~np.isfinite(last).all(0))
        bad.append(last.min(0) > EXPLOSION * np.maximum(np.abs(values[0]), 1))
    return np.logical_or.reduce(bad)


def ever_lost(trace: dict[str, np.ndarray], length: int) -> np.ndarray:
    """Whether any chunk of a trace that has ended shows lost numbers, see `lost`."""
    one = next(iter(trace.values()), np.zeros(0))
    ends = range(length, len(one) + 1, length)
    found = (lost({name: values[:end] for name, values in trace.items()}, length) for end in ends)
    return np.logical_or.reduce([np.zeros(one.shape[1:], bool), *found])


def begin(
    key: jax.Array, problem: Problem, solver: Solver, kernel: jax.Array | None, *, attempt: int = 0, **stack: Any
) -> Progress:
    """Where a try starts; `stack` is `batched` and `mesh` of `run_chunk`."""
    return Progress(attempt, 0, start(key, problem, kernel, solver.arrays, solver=solver, **stack), {})


def advance(
    key: jax.Array,
    problem: Problem,
    solver: Solver,
    progress: Progress,
    *,
    num_steps: int,
    chunk_steps: int,
    on_chunk: Callable[[int, dict[str, np.ndarray]], None] | None = None,
    save: Callable[[Progress], None] | None = None,
    pace: Pace | None = None,
    before_call: Callable[[int, float | None], None] | None = None,
    **stack: Any,
) -> tuple[Progress, np.ndarray]:
    """Runs the steps of one try, of one image or of a batch, to its end or until the numbers of all images are lost.

    The arguments are those of `solve`; `key` and `solver` are those of `Attempt.method`, and `stack` is `batched`
    and `mesh` of `run_chunk`.

    Args:
      pace: how many steps a call of the program runs, by what earlier calls have shown; default a new one.
      before_call: called before each call of the program as `before_call(steps, seconds)`, which is how long they will
        take as far as is known, else None; an error of it ends the solve.

    Returns:
      The progress, and whether the numbers are lost: bool (), or (n,) for a batch.
    """
    pace, length = pace or Pace(), chunk_length(num_steps, chunk_steps)
    bad = ever_lost(progress.trace, length)
    while progress.step < num_steps and not bad.all():
        first = progress.step
        stage = sum(turn <= first for turn in solver.turns)
        ends = [first + length - first % length, *(turn for turn in solver.turns if turn > first)]
        count = pace.steps(stage, min(ends) - first)
        if before_call is not None:
            before_call(count, pace.seconds(stage, count))
        clock = time.perf_counter()
        places = jnp.int32(first), solver.arrays, jnp.int32(count)
        state, new = run_chunk(key, progress.state, problem, *places, solver=solver, length=length, **stack)
        new = {name: values[:count] for name, values in jax.device_get(new).items()}
        pace.note(stage, count, time.perf_counter() - clock)
        trace = {name: np.concatenate([progress.trace.get(name, new[name][:0]), new[name]]) for name in new}
        progress = Progress(progress.attempt, first + count, state, trace)
        if progress.step % length == 0:
            bad = bad | lost(trace, length)
        if on_chunk is not None:
            on_chunk(progress.step, new)
        if save is not None and progress.step < num_steps:
            save(progress)
    return progress, bad


def to_result(problem: Problem, progress: Progress, bad: bool, solver: Solver) -> Result:
    """Cuts the image out of the canvas, and says how the solve went and what is known of the kernel."""
    shape = problem.lr.shape
    image, image_std = problem.spec.crop(progress.state.image, shape), progress.state.image_std
    uncertainty = None if image_std is None else problem.spec.crop(image_std[..., None], shape)[..., 0]
    if bad or not bool(jnp.isfinite(image).all()):
        status = Status.DIVERGED
    else:
        status = Status.RECOVERED if progress.attempt else Status.OK
    state, message, belief = progress.state, "", None
    if status.has_image:
        message = solver.message(state)
        belief = None if solver.believe is None else solver.believe(problem, state.kernel)
        if belief is not None and not bool(jnp.isfinite(belief.width).all()):
            belief = None
    return Result(image, state.kernel, progress.trace, status, state, uncertainty, message, state.kernel_map, belief)


def run_attempt(attempt: Attempt, solver: Solver, **options: Any) -> tuple[Progress, np.ndarray]:
    """Runs one try of one image to its end or until its numbers are lost; `options` and results are of `advance`."""
    key, method = attempt.method(solver)
    progress = attempt.progress
    if progress is None:
        progress = begin(key, attempt.problem, method, attempt.kernel, attempt=attempt.number)
    return advance(key, attempt.problem, method, progress, **options)


def solve(
    key: jax.Array,
    problem: Problem,
    solver: Solver,
    *,
    num_steps: int | None = None,
    chunk_steps: int = 50,
    kernel: jax.Array | None = None,
    on_chunk: Callable[[int, dict[str, np.ndarray]], None] | None = None,
    save: Callable[[Progress], None] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Solves one problem. If its numbers are lost, it is tried once more with `solver.retry` and another key.

    Args:
      key: typed PRNG key; the result depends on it, the problem and the solver, and on nothing else.
      problem: one LR image (h, w, c) and its spec.
      solver: from `joint` or `methods.build.build_solver`.
      num_steps: updates of the image model; default the solver's own number, which goes first where it depends on the
        shape of the image.
      chunk_steps: how many steps run at most between two calls of `on_chunk`; fewer where they take above a second.
      kernel: (k, k) for the kernel model to keep (non-blind) or to start from.
      on_chunk: called on the host as `on_chunk(steps_done, trace_of_these_steps)`; a second try counts from 0 again.
      save: called between two of these calls with a `Progress`, whose state lives until it returns; an error of it ends
        the solve.
      progress: where to go on; bit for bit what an unbroken solve gives on a CPU.

    Returns:
      The result; status 'ok', 'recovered' by the second try, or 'diverged', where the image is not to be used.
    """
    num_steps = solver.steps(num_steps, lr_shape=problem.lr.shape)
    options = {"num_steps": num_steps, "chunk_steps": chunk_steps, "on_chunk": on_chunk, "save": save}
    attempt: Attempt | None = Attempt(key, problem, kernel, 0 if progress is None else progress.attempt, progress)
    while attempt is not None:
        last, bad = run_attempt(attempt, solver, **options)
        result = to_result(problem, last, bool(bad), solver)
        attempt = attempt.following(result, solver)
    return result
