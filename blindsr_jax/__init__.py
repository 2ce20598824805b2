"""Blind image super-resolution in JAX: the blur kernel and the sharp image from one low-resolution image."""

from typing import Any

from blindsr_jax.imaging.problem import Problem, Result, Spec
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.methods.joint import joint
from blindsr_jax.solvers.batch import solve_batch
from blindsr_jax.solvers.loop import solve

__version__ = "0.1.0"
__all__ = ["Problem", "Result", "Solver", "Spec", "joint", "solve", "solve_batch", "solve_image", "solve_images"]


def __getattr__(name: str) -> Any:
    """`solve_image` and `solve_images`, which read configs, are loaded when they are first asked for."""
    if name in ("solve_image", "solve_images"):
        from blindsr_jax.solvers import api

        return getattr(api, name)
    raise AttributeError(f"module 'blindsr_jax' has no attribute {name!r}")
