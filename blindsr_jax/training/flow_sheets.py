"""What a person looks at to judge a flow: kernels in rows and columns, for `io.kernel_sheet`."""

import jax
import jax.numpy as jnp

from blindsr_jax.inference.sphere import project
from blindsr_jax.networks import kernel_flow
from blindsr_jax.networks.kernel_flow import Flow

ROWS, COLUMNS = 8, 8
_STEPS = 16  # from one code to the next


def _kernels(flow: Flow, codes: jax.Array) -> jax.Array:
    """Codes (..., D), moved to the sphere of radius k - 1 where solvers look, to kernels (..., k, k)."""
    codes = project(codes, kernel_flow.kernel_size(flow) - 1.0)
    return kernel_flow.to_kernel(kernel_flow.decode(flow, codes)[0], flow.normalization)


def samples(key: jax.Array, flow: Flow, real: jax.Array) -> jax.Array:
    """Left half: kernels of random codes; right half: training kernels.

    Args:
      key: typed PRNG key.
      flow: the flow.
      real: (ROWS * COLUMNS, k, k).

    Returns:
      (ROWS, 2 * COLUMNS, k, k).
    """
    codes = jax.random.normal(key, (ROWS, COLUMNS, flow.stats.mean.shape[-1]), real.dtype)
    return jnp.concatenate([_kernels(flow, codes), real.reshape(ROWS, COLUMNS, *real.shape[1:])], 1)


def interpolations(key: jax.Array, flow: Flow) -> jax.Array:
    """Kernels along the arc between two random codes, one pair a row: (ROWS, 16, k, k)."""
    ends = jax.random.normal(key, (2, ROWS, 1, flow.stats.mean.shape[-1]), flow.stats.mean.dtype)
    turn = jnp.linspace(0, jnp.pi / 2, _STEPS, dtype=ends.dtype)[None, :, None]
    # Random codes are nearly orthogonal, so this is nearly the great circle.
    return _kernels(flow, ends[0] * jnp.cos(turn) + ends[1] * jnp.sin(turn))
