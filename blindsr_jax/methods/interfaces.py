"""Interfaces of a method: image model, kernel model, solver, and what passes between them.

Who extends the package meets all of them here.

- An **image model** (`methods/image_models/NAME.py`) stands for the sharp image in a joint solver, a **kernel model**
  (`methods/kernel_models/NAME.py`) for the blur kernel. `methods.joint.joint` composes the two into a solver.
- An **estimator** (`methods/estimators/NAME.py`) is a solver from an LR image to `State.kernel`; it ignores the kernel
  that `init` gets. One with an option `kernel_map` can give `State.kernel_map` too. A **restorer**
  (`methods/restorers/NAME.py`) is a solver from an LR image and a kernel, which its `init` gets, to `State.image`,
  whose start does not depend on the kernel; one with `TAKES_MAPS` takes a map of kernels as well.
  `methods.sequence.sequence` composes the two.

Each file defines `build(spec, *, OPTIONS)`, which returns the interface; a config names the file and its options. An
estimator or a restorer of several steps has an option `num_steps`; without it, one step does all the work.
Everything is written for one image. `solvers.batch` alone adds a leading axis, by vmap.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.problem import Belief, Problem, Spec

# What the trace of a step holds: () per key, of the dtype of the problem.
TRACE_KEYS = (
    "loss",  # what the image model or the network descends
    "residual",  # mean squared LR residual
    "kernel_loss",  # data loss of the kernel model
)


class Weights:
    """Trained arrays that the programs of a solver take as an argument; as constants they would be compiled in.

    Hashed by identity, so that a solver with weights can stay a static argument.
    """

    def __init__(self, tree: Any):
        """Holds a pytree of arrays."""
        self.tree = tree


def weights_args(weights: Any) -> tuple[Any, ...]:
    """Weights as the last argument of a solver's functions, or no argument for None."""
    return () if weights is None else (weights,)


def pair_weights(first: Weights | None, second: Weights | None) -> Weights | None:
    """The weights of two parts as one pair of trees, or None where neither has any."""
    pair = tuple(None if part is None else part.tree for part in (first, second))
    return None if pair == (None, None) else Weights(pair)


def split_weights(pair: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The last arguments of each of two parts, out of the tree of `pair_weights` or None."""
    first, second = (None, None) if pair is None else pair
    return weights_args(first), weights_args(second)


class StepContext(NamedTuple):
    """Where a solve stands. The same for every image of a batch."""

    step: jax.Array  # () int32, from 0
    use_ssim: jax.Array  # () bool: the data loss of this step is 1 - SSIM, else the mean squared error


class ImageInfo(NamedTuple):
    """What an image model reports about a step."""

    loss: jax.Array  # (), the loss that was descended
    residual: jax.Array  # (), mean squared LR residual
    image: jax.Array | None = None  # (H, W, C), the estimate of the step where it is not the predicted image
    image_std: jax.Array | None = None  # (H, W), its standard deviation, of a model with `has_std`


class ImageModel(NamedTuple):
    """Pure functions on a state (any pytree). A step is a prediction, then an update given the kernel.

    init: (key, problem) -> state.
    predict: (state, problem) -> (image, residuals). `image` (H, W, C) is the current image or canvas; the kernel model
      sees it before `update` is called. `residuals` is what a forward pass keeps for the backward pass (a pullback is
      fine): it is handed to `update` and lives within one step.
    update: (key, state, image, residuals, kernel, problem, context) -> (state, info).
    smallest_side: the smallest side of a canvas that the model takes, in HR pixels.
    weights: of a trained network; `predict` gets their tree as its last argument.
    has_std: whether `update` reports a standard deviation.
    num_steps: the one number of steps that the model is made for (a diffusion chain), or None for any.
    uses_noise: the model looks at `Problem.noise_std`, which may be None.
    """

    init: Callable
    predict: Callable
    update: Callable
    smallest_side: int
    weights: Weights | None = None
    has_std: bool = False
    num_steps: int | None = None
    uses_noise: bool = False


class KernelInfo(NamedTuple):
    """What a kernel model reports about a step."""

    loss: jax.Array  # (), data loss of the kernel that was used
    more: dict[str, jax.Array] | None = None  # () per name of `KernelModel.reports`


class KernelModel(NamedTuple):
    """A pair of pure functions on a state (any pytree).

    init: (key, problem, kernel) -> state; `kernel` (k, k) is a start, or None.
    step: (key, state, image, problem, context) -> (state, kernel, info). `image` (H, W, C) is the current image or
      canvas, a constant to this model; `kernel` (k, k) is the estimate that the image model uses in this step.
    weights: of a trained network; both functions get their tree as their last argument.
    reports: names of what its info has `more` of, which the trace takes over; values of at most ten.
    """

    init: Callable
    step: Callable
    weights: Weights | None = None
    reports: tuple[str, ...] = ()


class Stop(NamedTuple):
    """Whether an image has reached the noise of its LR image, and the trace of the step that did."""

    is_reached: jax.Array  # () bool
    trace: dict[str, jax.Array]


class State(NamedTuple):
    """What the next step of a solver needs, and its estimates so far.

    A joint solver fills both inner states. An estimator or a restorer keeps its own in `image_state` or `kernel_state`,
    and `sequence` the states of both in `kernel_state` and `image_state`, without their images.
    """

    image_state: Any  # of the image model
    kernel_state: Any  # of the kernel model
    image: jax.Array  # (H, W, c), the image or canvas of the last step, or a running mean
    kernel: jax.Array  # (k, k), the kernel of the last step, or a running mean
    image_std: jax.Array | None = None  # (H, W), standard deviation of the image where the method knows one
    kernel_map: jax.Array | None = None  # (rows, columns, k, k), kernels of parts of the image where they differ
    stop: Stop | None = None  # of a joint solver that stops at the noise


class Solver(NamedTuple):
    """A method: `init(key, problem, kernel) -> State` and `step(key, state, problem, i) -> (State, trace)`.

    `i` counts from 0; `trace` is a dict of TRACE_KEYS and of what a kernel model reports. A solver with `weights` gets
    their tree as the last argument of both. Make a solver once and use it for many images: programs are compiled once
    per solver and shape.

    smallest_side: the smallest side of a canvas that the solver takes, in HR pixels.
    retry: the solver of the second try of an image whose numbers are lost; None: there is none.
    weights: trained arrays.
    num_steps: steps of a whole solve, where the method knows them.
    has_fixed_steps: the method is made for exactly `num_steps` (a diffusion chain, a last step that makes the image).
    turns: first steps of later stages, whose steps take another time than those before.
    steps_of: the number of steps for an LR image of a shape, where it depends on that.
    uses_noise: the solver looks at `Problem.noise_std`; for others nobody need measure it.
    uses_mask: likewise `Problem.mask`.
    explain: what a person should know of a last state, a sentence or nothing; `message` calls it.
    believe: `(problem, kernel) -> Belief`, what is known of the kernel that was found; None: nothing.
    prepare: `() -> None`, makes ready what `believe` needs, in another thread while the first image is solved.
    common: of an estimator: `problems -> (k, k)`, the one kernel of several images, or None where there are none; for
      others, what their kernels have in common is taken.
    restorer_noise: of an estimator: `(state, problem) -> ()`, the noise that a restorer with its kernel should be told,
      which is more than the image has where the kernel is not sure.
    """

    init: Callable
    step: Callable
    smallest_side: int
    retry: "Solver | None" = None
    weights: Weights | None = None
    num_steps: int | None = None
    has_fixed_steps: bool = False
    turns: tuple[int, ...] = ()
    steps_of: Callable[[tuple[int, ...]], int] | None = None
    uses_noise: bool = False
    uses_mask: bool = False
    explain: Callable[[State], str] | None = None
    restorer_noise: Callable[[State, Problem], jax.Array] | None = None
    believe: Callable[[Problem, jax.Array], Belief] | None = None
    prepare: Callable[[], None] | None = None
    common: Callable[[Iterable[Problem]], jax.Array | None] | None = None

    @property
    def arrays(self) -> Any:
        """What `start` and `run_chunk` take as their argument `weights`."""
        return None if self.weights is None else self.weights.tree

    def message(self, state: State) -> str:
        """What a person should know of a last state, a sentence or nothing."""
        return "" if self.explain is None else self.explain(state)

    def steps(self, wanted: int | None = None, *, lr_shape: tuple[int, ...] | None = None) -> int:
        """The number of steps of a solve.

        Args:
          wanted: by the caller; None for the method's own.
          lr_shape: of the LR image, for a method whose number of steps depends on it; it goes before `wanted`.

        Raises:
          ValueError: neither is known, or the method is made for another number.
        """
        if self.steps_of is not None and lr_shape is not None:
            return self.steps_of(lr_shape)
        if wanted is None and self.num_steps is None:
            raise ValueError("the solver does not know its number of steps, expected num_steps")
        if self.has_fixed_steps and wanted not in (None, self.num_steps):
            raise ValueError(f"num_steps is {wanted}, expected {self.num_steps}, which the method is made for")
        return self.num_steps if wanted is None else wanted


def min_lr_side(spec: Spec, solver: Solver) -> int:
    """The smallest side of an LR image, in pixels, whose canvas holds the kernel and is large enough for the solver."""
    margin = spec.canvas_shape((0, 0, 1))[0]
    return -(-max(spec.kernel_size, solver.smallest_side - margin) // spec.scale)


def silent_trace(dtype: jnp.dtype, more: tuple[str, ...] = ()) -> dict[str, jax.Array]:
    """The trace of a step that descends nothing; `more` are names beside TRACE_KEYS."""
    return dict.fromkeys((*TRACE_KEYS, *more), jnp.zeros((), dtype))
