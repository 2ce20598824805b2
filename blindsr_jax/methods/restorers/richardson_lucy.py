"""Richardson-Lucy deconvolution (Richardson 1972, Lucy 1974) of the cubic enlargement, by scikit-image."""

from typing import Annotated

import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.methods.restorers import by_library


def build(spec: Spec, *, iterations: Annotated[int, rules.whole(1, 10_000)] = 30) -> Solver:
    """The restorer; its one step makes all iterations.

    Args:
      spec: the problem's static part.
      iterations: more of them sharpen, and amplify noise.

    Raises:
      ValueError: scikit-image is not installed.
    """
    restoration = by_library.restoration()

    def deconvolve(image: np.ndarray, psf: np.ndarray) -> np.ndarray:
        return restoration.richardson_lucy(image, psf, num_iter=iterations)

    return by_library.make(spec, "richardson_lucy", deconvolve)
