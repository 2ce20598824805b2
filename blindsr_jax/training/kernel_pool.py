"""Kernels drawn once for a training, from which each example takes one: drawing one for itself would take longer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily, sample_kernels

_SIZE = 4096  # where a config does not say
_POOL_KEY = 2**31 + 1  # no number of a step


class Pool(NamedTuple):
    """Kernels of all members of a mixture, in the shares of their weights."""

    kernels: jax.Array  # (n, k, k)
    categories: jax.Array  # (n,) int32, which member; 0 for a single family


def draw(key: jax.Array, family: KernelFamily, num: int) -> Pool:
    """Draws about `num` kernels, at least one of each member that has a weight."""
    members, weights = family.members or (family,), family.weights or (1.0,)
    shares = [max(round(num * weight), 1) if weight else 0 for weight in weights]
    keys = jax.random.split(key, len(members))
    parts = [sample_kernels(k, m, n, batch_size=2048) for k, m, n in zip(keys, members, shares, strict=True) if n]
    categories = [jnp.full(n, i, jnp.int32) for i, n in enumerate(shares)]
    return Pool(jnp.concatenate(parts), jnp.concatenate(categories))


def draw_two(config: Mapping[str, Any], family: KernelFamily) -> tuple[Pool, Pool]:
    """One pool of a config's `kernel_pool` kernels to train on, and another one to validate on."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config["seed"]), _POOL_KEY))
    return tuple(draw(key, family, config.get("kernel_pool", _SIZE)) for key in keys)


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
