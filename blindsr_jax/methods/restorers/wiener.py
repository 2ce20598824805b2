"""Wiener's filter (1949) of the cubic enlargement with a smooth image as the prior, by scikit-image."""

from typing import Annotated

import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.methods.restorers import by_library


def build(spec: Spec, *, balance: Annotated[float, rules.above(0, 1e6)] = 0.01) -> Solver:
    """The restorer.

    Args:
      spec: the problem's static part.
      balance: weight of the squared Laplacian of the image against the squared error; larger for more noise.

    Raises:
      ValueError: scikit-image is not installed.
    """
    restoration = by_library.restoration()

    def deconvolve(image: np.ndarray, psf: np.ndarray) -> np.ndarray:
        return restoration.wiener(image, psf, balance, clip=False)

    return by_library.make(spec, "wiener", deconvolve)
