"""A joint solver out of an image model and a kernel model: each step moves both."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from blindsr_jax.methods.interfaces import (
    ImageModel,
    KernelModel,
    Solver,
    State,
    StepContext,
    Stop,
    Weights,
    pair_weights,
    silent_trace,
    split_weights,
    weights_args,
)


def _move_kernel(kernel_model: KernelModel, kernel_steps: int, key, state, canvas, problem, context, weights):
    """The steps of a kernel model for one step of the image model, and what the last of them gives."""
    if kernel_steps == 1:
        return kernel_model.step(key, state, canvas, problem, context, *weights)

    def body(state, j):
        own = StepContext(context.step * kernel_steps + j, context.use_ssim)
        state, *found = kernel_model.step(jax.random.fold_in(key, j), state, canvas, problem, own, *weights)
        return state, found

    state, found = jax.lax.scan(body, state, jnp.arange(kernel_steps, dtype=jnp.int32))
    return state, *jax.tree.map(lambda x: x[-1], found)


@custom_vmap
def _someone_moves(is_reached: jax.Array) -> jax.Array:
    """Whether any of the images that vmap puts side by side has not reached its noise; one answer for all of them."""
    return ~is_reached


@_someone_moves.def_vmap
def _someone_of_many(axis_size, in_batched, is_reached):
    del axis_size, in_batched
    return jnp.any(_someone_moves(is_reached)), False


def _stopping(move: Callable, noise_share: float) -> Callable:
    """A step that leaves a state as it is once its residual has reached the noise; see `joint`."""

    def step(key, state, problem, i, weights=None):
        is_reached = state.stop.is_reached

        def go_on():
            new, trace = move(key, state, problem, i, weights)
            stop = Stop(trace["residual"] <= noise_share * jnp.square(problem.known_noise), trace)
            # Beside one that moves, an image that has stopped takes the step and drops it.
            found = new._replace(stop=stop), trace
            return jax.tree.map(lambda old, new: jnp.where(is_reached, old, new), (state, state.stop.trace), found)

        return jax.lax.cond(_someone_moves(is_reached), go_on, lambda: (state, state.stop.trace))

    return step


def _weights(image_model: ImageModel, kernel_model: KernelModel) -> Weights | None:
    """The weights of both, those of an image model as they are where the kernel model has none."""
    if kernel_model.weights is None:
        return image_model.weights
    return pair_weights(image_model.weights, kernel_model.weights)


def _of_each(kernel_model: KernelModel, weights: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The last arguments of the functions of image model and kernel model, out of the weights of both."""
    return (weights_args(weights), ()) if kernel_model.weights is None else split_weights(weights)


def joint(
    image_model: ImageModel,
    kernel_model: KernelModel,
    *,
    ssim_steps: int,
    averaging: float = 0.0,
    kernel_steps: int = 1,
    num_steps: int | None = None,
    noise_share: float = 0.0,
    uses_mask: bool = False,
    retry: Solver | None = None,
) -> Solver:
    """Composes an image model and a kernel model.

    A step: the image model predicts an image; the kernel model looks at it, moves, and names a kernel; the image model
    moves under that kernel. So a prior step of the kernel model needs no prediction of its own.

    Args:
      image_model: the image model.
      kernel_model: the kernel model.
      ssim_steps: the data loss is 1 - SSIM in that many first steps, mean squared error afterwards.
      averaging: decay of the running mean of images and kernels that is returned; 0 returns the last ones.
      kernel_steps: steps of the kernel model, which counts its own, for each step of the image model.
      num_steps: of a whole solve, for callers that name none; an image model that is made for some has these.
      noise_share: an image stays as it is once its mean squared LR residual is at most so many times the variance of
        the noise (the discrepancy principle; Morozov 1966): what a deep image prior would fit from there on is noise.
        It looks at `Problem.noise_std`; 0 never stops.
      uses_mask: whether `Problem.mask` is to be measured.
      retry: the same method with smaller steps, for the second try of an image whose numbers are lost.
    """

    def init(key, problem, kernel=None, weights=None):
        image_key, kernel_key = jax.random.split(key)
        k, dtype = problem.spec.kernel_size, problem.lr.dtype
        return State(
            image_model.init(image_key, problem),
            kernel_model.init(kernel_key, problem, kernel, *_of_each(kernel_model, weights)[1]),
            jnp.zeros(problem.canvas_shape, dtype),
            jnp.zeros((k, k), dtype),
            jnp.zeros(problem.canvas_shape[:2], dtype) if image_model.has_std else None,
            stop=Stop(jnp.array(False), silent_trace(dtype, kernel_model.reports)) if noise_share else None,
        )

    def move(key, state, problem, i, weights=None):
        context = StepContext(i, i < ssim_steps)
        image_key, kernel_key = jax.random.split(jax.random.fold_in(key, i))
        ours, theirs = _of_each(kernel_model, weights)
        canvas, residuals = image_model.predict(state.image_state, problem, *ours)
        kernel_state, kernel, kernel_info = _move_kernel(
            kernel_model, kernel_steps, kernel_key, state.kernel_state, canvas, problem, context, theirs
        )
        image_state, info = image_model.update(
            image_key, state.image_state, canvas, residuals, kernel, problem, context
        )
        if info.image is not None:
            canvas = info.image
        if averaging:
            keep = jnp.where(i == 0, 0, averaging).astype(canvas.dtype)
            canvas, kernel = (
                keep * old + (1 - keep) * new for old, new in ((state.image, canvas), (state.kernel, kernel))
            )
        trace = {"loss": info.loss, "residual": info.residual, "kernel_loss": kernel_info.loss}
        trace |= kernel_info.more or {}
        return State(image_state, kernel_state, canvas, kernel, info.image_std), trace

    is_fixed = image_model.num_steps is not None
    num_steps = image_model.num_steps if is_fixed else num_steps
    return Solver(
        init,
        _stopping(move, noise_share) if noise_share else move,
        image_model.smallest_side,
        retry,
        _weights(image_model, kernel_model),
        num_steps,
        is_fixed,
        uses_noise=noise_share > 0 or image_model.uses_noise,
        uses_mask=uses_mask,
    )
