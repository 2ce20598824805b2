"""Cubic enlargement where the kernel's convention puts the image: what a restorer has to beat, at no cost."""

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.imaging.resize import imresize
from blindsr_jax.methods.interfaces import Solver, State
from blindsr_jax.methods.restorers import base


def offset(spec: Spec) -> int:
    """Where, from the first pixel that a kernel reads for LR pixel 0, the area of that LR pixel begins."""
    return round(spec.center - (spec.scale - 1) / 2)


def enlarge(lr: jax.Array, spec: Spec, *, border: int = 0) -> jax.Array:
    """Cubic enlargement (Keys 1981) onto the grid of the unknown image, wherever the spec puts that.

    Beyond its borders the LR image goes on wrapped ('circular') or mirrored ('valid').

    Args:
      lr: (h, w, c).
      spec: the problem's static part.
      border: pixels more on every side.

    Returns:
      The canvas (H + 2 border, W + 2 border, c); for 'valid' it reaches beyond the image.
    """
    s = spec.scale
    shape = spec.canvas_shape(lr.shape)
    circular = spec.boundary == "circular"
    first = offset(spec) - (spec.kernel_size - 1) // 2 * circular  # canvas coordinate where LR pixel 0 begins
    margin = (spec.kernel_size + border) // s + 3
    start = s * margin - first - border
    wide = jnp.pad(lr, ((margin, margin), (margin, margin), (0, 0)), mode="wrap" if circular else "symmetric")
    return imresize(wide, s)[start : start + shape[0] + 2 * border, start : start + shape[1] + 2 * border]


def build(spec: Spec) -> Solver:
    """The restorer; it looks at no kernel, its one step tells only how well the kernel explains the LR image.

    Args:
      spec: the problem's static part.
    """

    def init(key, problem: Problem, kernel=None):
        del key
        canvas = jnp.clip(enlarge(problem.lr, spec), 0, 1)
        return State((), (), canvas, base.require_kernel("cubic", kernel, problem))

    def step(key, state: State, problem: Problem, i):
        del key, i
        seen = degrade(state.image, state.kernel, scale=spec.scale, boundary=spec.boundary)
        residual = mse(seen, problem.lr)
        return state, {"loss": residual, "residual": residual, "kernel_loss": jnp.zeros_like(residual)}

    return Solver(init, step, 1, num_steps=1)
