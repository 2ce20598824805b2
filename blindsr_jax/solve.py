"""The loop: one scan over two exchangeable halves, in jitted chunks."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.image_models.base import ImageModel
from blindsr_jax.kernel_models.base import KernelModel, Tick
from blindsr_jax.problem import Problem, Result


class State(NamedTuple):
    """What the next step needs, and the estimate so far."""

    image: Any  # state of the image half
    kernel: Any  # state of the kernel half
    canvas: jax.Array  # (H, W, c), the image or canvas of the last step (or a running mean)
    estimate: jax.Array  # (k, k), the kernel of the last step (or a running mean)


class Solver(NamedTuple):
    """A method: `init(key, problem, kernel) -> State` and `step(key, state, problem, i) -> (State, trace)`.

    Make it once and use it for many images: programs are compiled once a solver and shape.
    """

    init: Callable
    step: Callable
    smallest_side: int  # of a canvas


def joint(image_model: ImageModel, kernel_model: KernelModel, *, ssim_steps: int, averaging: float = 0.0) -> Solver:
    """Composes two halves.

    A step: the image half predicts an image; the kernel half looks at it, moves, and names a kernel; the image half
    moves under that kernel. So a prior step of the kernel half needs no prediction of its own.

    Args:
      image_model: the image half.
      kernel_model: the kernel half.
      ssim_steps: the data loss is 1 - SSIM in that many first steps, mean squared error afterwards.
      averaging: decay of the running mean of images and kernels that is returned; 0 returns the last ones.
    """

    def init(key, problem, kernel=None):
        image_key, kernel_key = jax.random.split(key)
        k, dtype = problem.spec.kernel_size, problem.lr.dtype
        return State(
            image_model.init(image_key, problem),
            kernel_model.init(kernel_key, problem, kernel),
            jnp.zeros(problem.canvas_shape, dtype),
            jnp.zeros((k, k), dtype),
        )

    def step(key, state, problem, i):
        tick = Tick(i, i < ssim_steps)
        image_key, kernel_key = jax.random.split(jax.random.fold_in(key, i))
        canvas, memo = image_model.predict(state.image, problem)
        kernel_state, kernel, kernel_info = kernel_model.step(kernel_key, state.kernel, canvas, problem, tick)
        image_state, info = image_model.update(image_key, state.image, canvas, memo, kernel, problem, tick)
        if averaging:
            keep = jnp.where(i == 0, 0, averaging).astype(canvas.dtype)
            canvas, kernel = (
                keep * old + (1 - keep) * new for old, new in ((state.canvas, canvas), (state.estimate, kernel))
            )
        trace = {"loss": info.loss, "residual": info.residual, "kernel_loss": kernel_info.loss}
        return State(image_state, kernel_state, canvas, kernel), trace

    return Solver(init, step, image_model.smallest_side)


@partial(jax.jit, static_argnames=("solver", "batched"))
def start(
    key: jax.Array, problem: Problem, kernel: jax.Array | None, *, solver: Solver, batched: bool = False
) -> State:
    """The state before the first step; with `batched`, of a stack of problems."""
    return (jax.vmap(solver.init) if batched else solver.init)(key, problem, kernel)


@partial(jax.jit, static_argnames=("solver", "length", "batched"), donate_argnames="state")
def run_chunk(
    key: jax.Array, state: State, problem: Problem, first: int, *, solver: Solver, length: int, batched: bool = False
) -> tuple[State, dict[str, jax.Array]]:
    """Runs steps first ... first + length - 1 as one scan; with `batched`, of a stack of problems.

    Returns:
      The state (the old one is donated) and the trace, (length,) or (length, batch) a quantity.
    """
    step = jax.vmap(solver.step, in_axes=(0, 0, 0, None)) if batched else solver.step

    def body(carry, i):
        return step(key, carry, problem, i)

    return jax.lax.scan(body, state, first + jnp.arange(length, dtype=jnp.int32))


def chunk_length(num_steps: int, wanted: int) -> int:
    """The largest divisor of `num_steps` that is not above `wanted`: all chunks are one compiled program."""
    return max(n for n in range(1, min(num_steps, max(wanted, 1)) + 1) if num_steps % n == 0)


def iterate(
    key: jax.Array,
    problem: Problem,
    solver: Solver,
    *,
    num_steps: int,
    chunk_steps: int,
    kernel: jax.Array | None,
    batched: bool,
    on_chunk: Callable[[int, dict[str, np.ndarray]], None] | None,
) -> tuple[State, dict[str, np.ndarray]]:
    """All chunks of one solve or of one batch; returns the last state and the whole trace."""
    state = start(key, problem, kernel, solver=solver, batched=batched)
    length = chunk_length(num_steps, chunk_steps)
    traces = []
    for first in range(0, num_steps, length):
        state, trace = run_chunk(key, state, problem, jnp.int32(first), solver=solver, length=length, batched=batched)
        traces.append(jax.device_get(trace))
        if on_chunk is not None:
            on_chunk(first + length, traces[-1])
    return state, {name: np.concatenate([t[name] for t in traces]) for name in traces[0]}


def to_result(problem: Problem, state: State, trace: dict[str, np.ndarray]) -> Result:
    """Cuts the image out of the canvas and says whether the numbers stayed finite."""
    image = problem.spec.crop(state.canvas, problem.lr.shape)
    finite = all(np.isfinite(values).all() for values in trace.values()) and bool(jnp.isfinite(image).all())
    return Result(image, state.estimate, trace, "ok" if finite else "diverged", state)


def solve(
    key: jax.Array,
    problem: Problem,
    solver: Solver,
    *,
    num_steps: int,
    chunk_steps: int = 50,
    kernel: jax.Array | None = None,
    on_chunk: Callable[[int, dict[str, np.ndarray]], None] | None = None,
) -> Result:
    """Solves one problem.

    Args:
      key: typed PRNG key; the result depends on it, the problem and the solver, and on nothing else.
      problem: one LR image (h, w, c) and its spec.
      solver: from `joint` or `methods.build_solver`.
      num_steps: updates of the image half.
      chunk_steps: about how many steps run between two calls of `on_chunk`.
      kernel: (k, k) for the kernel half to keep (non-blind) or to start from.
      on_chunk: called on the host as `on_chunk(steps_done, trace_of_the_chunk)`.

    Returns:
      The result; status 'diverged' if a number stopped being finite.
    """
    state, trace = iterate(
        key,
        problem,
        solver,
        num_steps=num_steps,
        chunk_steps=chunk_steps,
        kernel=kernel,
        batched=False,
        on_chunk=on_chunk,
    )
    return to_result(problem, state, trace)
