"""KENet: the blur kernel in one pass of a network that was trained on many images and kernels (networks.kenet)."""

import os
from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.imaging.tiling import cut
from blindsr_jax.inference.windows import best
from blindsr_jax.kernels import geometry, placement
from blindsr_jax.methods.interfaces import Solver, State, Weights, silent_trace
from blindsr_jax.networks.kenet import SMALLEST_SIDE
from blindsr_jax.networks.layers import PRECISIONS, Compute
from blindsr_jax.weights import kenet as trained

# What a restorer is told beside the noise, in 1/255, where the shape of such kernels is seldom found exactly,
# per scale: what served best on images made for it (docs/photographs.md).
DOUBT = {"trajectory": (6.0, 3.0, 3.0, 3.0), "line": (1.5, 1.0, 1.0, 1.0)}


def _told_noise(doubts: tuple[float, ...], state: State, problem: Problem) -> jax.Array:
    """The noise of a problem, and what the probabilities of the families add to it."""
    doubt = jnp.sum(state.kernel_state * jnp.asarray(doubts, state.kernel_state.dtype)) / 255
    return jnp.hypot(problem.noise_std, doubt).astype(problem.lr.dtype)


def build(
    spec: Spec,
    *,
    weights: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
    window: Annotated[int | None, rules.optional(rules.whole(SMALLEST_SIDE, 4096))] = None,
    num_windows: Annotated[int | None, rules.optional(rules.whole(1, 4096))] = None,
    precision: Annotated[str, rules.choice(*PRECISIONS)] = "float32",
) -> Solver:
    """The estimator; its one step does all the work, further steps repeat it.

    A gray image is shown to the network as three equal colours. `State.kernel_state` of the result is the probability
    (F,) of each family that the network knows; `weights.kenet.load(weights, scale).families` are their names.

    Args:
      spec: the problem's static part; the kernel comes in its size and with its centre.
      weights: a .npz file of launch/train_kenet.py; None for the shipped network of the scale, 'wide' for the one that
        was trained with noise, JPEG and all kernel families (scales 1 to 4).
      window: side of LR windows whose kernels are averaged; None shows the network the whole image at once.
      num_windows: how many of them, those that show most; None for all that cover the image.
      precision: of the activations, one of `networks.layers.PRECISIONS`.

    Raises:
      ValueError: there is no network for the scale, or an option is out of range.
    """
    if window is not None and window < SMALLEST_SIDE:
        raise ValueError(f"window is {window}, expected None or a whole number of at least {SMALLEST_SIDE}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
    model = trained.load(weights, spec.scale)
    network = model.network(Compute(precision=precision))

    def estimate(lr: jax.Array, params) -> tuple[jax.Array, jax.Array]:
        if lr.shape[-1] == 1:
            lr = jnp.broadcast_to(lr, (*lr.shape[:-1], 3))
        if window is None:
            shown = lr[None]
        else:
            shown = cut(lr, window) if num_windows is None else best(lr, window, num_windows)
        prediction = network.apply(params, shown)
        probabilities = jnp.mean(jax.nn.softmax(prediction.category_logits), 0)
        kernel = placement.convert(
            jnp.mean(prediction.kernel, 0), spec.scale, "release", spec.kernel_center, spec.kernel_size
        )
        return geometry.normalize(kernel).astype(lr.dtype), probabilities.astype(lr.dtype)

    def init(key, problem: Problem, kernel=None, weights=None):
        del key, kernel, weights
        dtype, k, known = problem.lr.dtype, spec.kernel_size, len(model.families)
        canvas = jnp.zeros(problem.canvas_shape, dtype)
        return State((), jnp.full((known,), 1 / known, dtype), canvas, jnp.zeros((k, k), dtype))

    def step(key, state, problem: Problem, i, weights):
        del key, i
        kernel, probabilities = estimate(problem.lr, weights)
        return state._replace(kernel_state=probabilities, kernel=kernel), silent_trace(problem.lr.dtype)

    smallest = SMALLEST_SIDE * spec.scale + spec.canvas_shape((0, 0, 1))[0]  # min_lr_side takes the margin off again
    doubts = tuple(DOUBT[family][min(spec.scale, 4) - 1] if family in DOUBT else 0.0 for family in model.families)
    return Solver(
        init,
        step,
        smallest,
        weights=Weights(jax.tree.map(jnp.asarray, model.params)),
        num_steps=1,
        restorer_noise=partial(_told_noise, doubts),
    )
