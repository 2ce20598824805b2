"""The interface of a kernel half."""

from collections.abc import Callable
from typing import NamedTuple

import jax


class Tick(NamedTuple):
    """Where a solve stands. The same for every image of a batch."""

    step: jax.Array  # () int32, from 0
    use_ssim: jax.Array  # () bool, the data loss of this step


class KernelInfo(NamedTuple):
    """What a kernel half tells about a step."""

    loss: jax.Array  # (), data loss of the kernel that was used


class KernelModel(NamedTuple):
    """A pair of pure functions on a state (any pytree).

    init: (key, problem, kernel) -> state; `kernel` (k, k) is a start, or None.
    step: (key, state, image, problem, tick) -> (state, kernel, info). `image` (H, W, C) is the current image or canvas,
      a constant to this half; `kernel` (k, k) is the estimate that the image half uses in this step.
    """

    init: Callable
    step: Callable
