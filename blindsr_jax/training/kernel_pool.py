"""The pools of a training, from which each example takes one: drawing one for itself would take longer."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.kernels.pool import Pool, draw_pool

_SIZE = 4096  # where a config does not say
_POOL_KEY = 2**31 + 1  # no number of a step


def draw_two(config: Mapping[str, Any], family: KernelFamily) -> tuple[Pool, Pool]:
    """One pool of a config's `kernel_pool` kernels to train on, and another one to validate on."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config["seed"]), _POOL_KEY))
    return tuple(draw_pool(key, family, config.get("kernel_pool", _SIZE)) for key in keys)


def pick(key: jax.Array, pool: Pool) -> tuple[jax.Array, jax.Array]:
    """One kernel (k, k) and its category ()."""
    index = jax.random.randint(key, (), 0, len(pool.categories))
    return pool.kernels[index], pool.categories[index]


def recenter(key: jax.Array, pool: Pool, spec: Spec, share: float) -> Pool:
    """Moves a share of the kernels, centred as `spec` says, to where the other convention has its centre."""
    other = geometry.CENTERS[1 - geometry.CENTERS.index(spec.kernel_center)]
    moves = jax.random.bernoulli(key, share, pool.categories.shape)
    moved = jax.vmap(lambda kernel: geometry.convert_center(kernel, spec.scale, spec.kernel_center, other))(
        pool.kernels
    )
    return pool._replace(kernels=jnp.where(moves[:, None, None], moved, pool.kernels))
