"""The interface of an image half."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class ImageInfo(NamedTuple):
    """What an image half tells about a step."""

    loss: jax.Array  # (), the loss that was descended
    residual: jax.Array  # (), mean squared LR residual
    image: jax.Array | None = None  # (H, W, C), the estimate of the step where it is not the predicted image
    spread: jax.Array | None = None  # (H, W), its standard deviation, of a model with `has_spread`


class ImageModel(NamedTuple):
    """Pure functions on a state (any pytree). A step is a prediction, then an update given the kernel.

    init: (key, problem) -> state.
    predict: (state, problem) -> (image, memo). `image` (H, W, C) is the current image or canvas; the kernel half sees
      it before `update` is called. `memo` is handed to `update` so that nothing is computed twice; it lives within one
      step (a pullback is fine).
    update: (key, state, image, memo, kernel, problem, tick) -> (state, info).
    smallest_side: the smallest side of a canvas that the model takes.
    weights: of a trained network; `predict` gets their tree as its last argument.
    has_spread: whether `update` tells the spread.
    """

    init: Callable
    predict: Callable
    update: Callable
    smallest_side: int
    weights: Any = None  # solve.Weights
    has_spread: bool = False
