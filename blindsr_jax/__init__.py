"""Blind image super-resolution in JAX: the blur kernel and the sharp image from one low-resolution image."""

from blindsr_jax.batch import solve_batch
from blindsr_jax.problem import Problem, Result, Spec
from blindsr_jax.solve import Solver, joint, solve

__version__ = "0.1.0"
__all__ = ["Problem", "Result", "Solver", "Spec", "joint", "solve", "solve_batch"]
