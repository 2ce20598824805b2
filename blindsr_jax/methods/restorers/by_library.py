"""Restorers of scikit-image: a deconvolution of the cubic enlargement, on the host.

The enlargement of an LR image is, but for what sampling has lost, the sharp image under the kernel with its centre in
the middle. So the kernel's centre moves there by the shift that the convention of the problem knows, and as libraries
convolve where this package correlates, the kernel is turned by 180 degrees.
"""

import importlib
import math
from collections.abc import Callable
from functools import partial
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.kernels import geometry
from blindsr_jax.methods.interfaces import Solver, State
from blindsr_jax.methods.restorers import base
from blindsr_jax.methods.restorers.cubic import enlarge

# jax copies larger arguments of a callback in its own threads, of which there is one per core: with a single core the
# callback, which keeps that one, would wait for its arguments for ever.
_PIECE = 2**13  # numbers, 64 KiB at most

Deconvolve = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (H, W) and a point spread function (m, m) -> (H, W)


def restoration() -> ModuleType:
    """scikit-image's module `restoration`.

    Raises:
      ValueError: it is not installed; it belongs to the extra `baselines`.
    """
    try:
        return importlib.import_module("skimage.restoration")
    except ImportError as error:
        raise ValueError(
            "the restorers 'wiener' and 'richardson_lucy' are those of scikit-image, which is not installed, expected "
            "`pip install 'blindsr_jax[baselines]'`"
        ) from error


def point_spread(kernel: jax.Array, spec: Spec) -> jax.Array:
    """The kernel (k, k) as a point spread function about its middle pixel: (m, m), not negative, sum 1, m odd."""
    offset = (spec.kernel_size - 1) / 2 - spec.center
    room = geometry.resize(kernel, spec.kernel_size + 2 * math.ceil(abs(offset)))
    return geometry.normalize(geometry.flip(geometry.shift(room, jnp.asarray(offset, kernel.dtype))), clip=True)


def border(spec: Spec) -> int:
    """Pixels that an image is continued by on each side, where what lies beyond the border is guessed at."""
    return 2 * spec.kernel_size


def make(spec: Spec, name: str, deconvolve: Deconvolve) -> Solver:
    """A restorer whose one step deconvolves each colour of the enlargement by itself, clipped to [0, 1].

    Beyond its borders the image goes on wrapped ('circular') or mirrored ('valid') by twice the kernel's size.

    Args:
      spec: the problem's static part.
      name: of the restorer, for messages.
      deconvolve: of the library; NumPy arrays of values in [0, 1].
    """
    margin = border(spec)

    def on_host(dtype, shape, psf, *pieces):
        image = np.concatenate([np.asarray(piece, dtype) for piece in pieces]).reshape(shape)
        planes = np.moveaxis(image, -1, 0)
        found = np.stack([deconvolve(plane, np.asarray(psf, dtype)) for plane in planes], -1)
        return np.clip(found[margin:-margin, margin:-margin], 0, 1).astype(dtype)

    def init(key, problem: Problem, kernel=None):
        del key
        kernel = base.require_kernel(name, kernel, problem)
        return State((), (), jnp.zeros(problem.canvas_shape, kernel.dtype), kernel)

    def step(key, state: State, problem: Problem, i):
        del key, i
        lr = problem.lr
        wide = jnp.clip(enlarge(lr, spec, border=margin), 0, 1)
        pieces = jnp.split(wide.ravel(), list(range(_PIECE, wide.size, _PIECE)))
        result = jax.ShapeDtypeStruct(problem.canvas_shape, lr.dtype)
        call = partial(on_host, lr.dtype, wide.shape)
        image = jax.pure_callback(call, result, point_spread(state.kernel, spec), *pieces, vmap_method="sequential")
        residual = mse(degrade(image, state.kernel, scale=spec.scale, boundary=spec.boundary), lr)
        trace = {"loss": residual, "residual": residual, "kernel_loss": jnp.zeros_like(residual)}
        return state._replace(image=image), trace

    return Solver(init, step, 1, num_steps=1)
