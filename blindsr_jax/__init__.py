"""Blind image super-resolution in JAX: the blur kernel and the sharp image from one low-resolution image.

Names are loaded when they are first asked for, and JAX with them: what a launch needs to refuse a command, to wait for
a lock or to answer a signal takes no seconds of imports.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blindsr_jax.imaging.problem import Problem, Result, Spec
    from blindsr_jax.methods.interfaces import Solver
    from blindsr_jax.methods.joint import joint
    from blindsr_jax.solvers.api import solve_image, solve_images
    from blindsr_jax.solvers.batch import solve_batch
    from blindsr_jax.solvers.loop import solve

__version__ = "0.1.0"
__all__ = ["Problem", "Result", "Solver", "Spec", "joint", "solve", "solve_batch", "solve_image", "solve_images"]
_PLACES = {
    "Problem": "imaging.problem",
    "Result": "imaging.problem",
    "Spec": "imaging.problem",
    "Solver": "methods.interfaces",
    "joint": "methods.joint",
    "solve": "solvers.loop",
    "solve_batch": "solvers.batch",
    "solve_image": "solvers.api",
    "solve_images": "solvers.api",
}


def __getattr__(name: str) -> Any:
    """Loads a name of `__all__`; raises AttributeError for any other."""
    if name not in _PLACES:
        raise AttributeError(f"module 'blindsr_jax' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"blindsr_jax.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """What `import *` and completion see."""
    return sorted([*globals(), *_PLACES])
