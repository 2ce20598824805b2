"""Kernels of a family, drawn once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.kernels.family import KernelFamily, sample_kernels


class Pool(NamedTuple):
    """Kernels of all members of a mixture, in the shares of their weights."""

    kernels: jax.Array  # (n, k, k)
    categories: jax.Array  # (n,) int32, which member; 0 for a single family


def draw_pool(key: jax.Array, family: KernelFamily, num: int) -> Pool:
    """Draws about `num` kernels, at least one of each member that has a weight."""
    members, weights = family.members or (family,), family.weights or (1.0,)
    shares = [max(round(num * weight), 1) if weight else 0 for weight in weights]
    keys = jax.random.split(key, len(members))
    parts = [sample_kernels(k, m, n, batch_size=2048) for k, m, n in zip(keys, members, shares, strict=True) if n]
    categories = [jnp.full(n, i, jnp.int32) for i, n in enumerate(shares)]
    return Pool(jnp.concatenate(parts), jnp.concatenate(categories))
