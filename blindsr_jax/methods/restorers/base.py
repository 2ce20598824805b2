"""What restorers share."""

from typing import Any

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.problem import Problem


def require_kernel(name: str, kernel: Any, problem: Problem) -> jax.Array:
    """The kernel of a restorer, in the precision of the problem.

    Args:
      name: of the restorer, for the message.
      kernel: (k, k), or (rows, columns, k, k) of equal parts; None where nobody has given one.
      problem: one LR image.

    Raises:
      ValueError: there is none.
    """
    if kernel is None:
        raise ValueError(f"the restorer {name!r} needs a kernel: pass --kernel=FILE, or an estimator before it")
    return jnp.asarray(kernel, problem.lr.dtype)
