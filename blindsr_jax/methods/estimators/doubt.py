"""What a restorer is told beside the noise where the family of a kernel says that its shape is seldom found exactly."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

# In 1/255, per scale: what served best on images made for it (docs/photographs.md).
DOUBT = {"trajectory": (6.0, 3.0, 3.0, 3.0), "line": (1.5, 1.0, 1.0, 1.0)}


def doubts_of(families: Sequence[str], scale: int) -> tuple[float, ...]:
    """The doubt of each family at a scale, in 1/255."""
    return tuple(DOUBT[family][min(scale, 4) - 1] if family in DOUBT else 0.0 for family in families)


def expected(probabilities: jax.Array, doubts: Sequence[float]) -> jax.Array:
    """The mean doubt () of families with probabilities (F,), in 1/255."""
    return jnp.sum(probabilities * jnp.asarray(doubts, probabilities.dtype))


def told(noise_std: jax.Array, doubt: jax.Array) -> jax.Array:
    """The noise (), on the [0, 1] scale, that stands for an image's own and a doubt () in 1/255."""
    return jnp.hypot(noise_std, (doubt / 255).astype(noise_std.dtype))
