"""Problems made from the pixels of an image, with what its solver wants to know of them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import corruption_level, validity
from blindsr_jax.methods.interfaces import Solver


def make_problem(
    pixels: np.ndarray | jax.Array, spec: Spec, solver: Solver, *, jpeg_steps: Sequence[int] | None = None
) -> Problem:
    """The problem of an LR image; the noise, and what tells nothing, are measured where the solver uses them.

    Args:
      pixels: (h, w, c) in [0, 1].
      spec: the problem's static part.
      solver: that is to solve it.
      jpeg_steps: of the JPEG file that the pixels come from, see `io.Image`.
    """
    noise_std = mask = None
    if solver.uses_mask:
        found = validity.measure(np.asarray(pixels))
        pixels, mask = validity.mend(np.asarray(pixels), found.stuck), jnp.asarray(found.mask)
    if solver.uses_noise:
        noise_std = jnp.float32(corruption_level.measure(np.asarray(pixels), jpeg_steps=jpeg_steps).noise_std)
    return Problem(jnp.asarray(pixels), spec, noise_std, mask)
