"""What a restorer is told beside the noise where the family of a kernel says that its shape is seldom found exactly."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from blindsr_jax.inference.shape_search import Found

# In 1/255, per scale: what served best on images made for it (docs/photographs.md).
DOUBT = {"trajectory": (6.0, 3.0, 3.0, 3.0), "line": (1.5, 1.0, 1.0, 1.0)}


def doubts_of(families: Sequence[str], scale: int) -> tuple[float, ...]:
    """The doubt of each family at a scale, in 1/255."""
    return tuple(DOUBT[family][min(scale, 4) - 1] if family in DOUBT else 0.0 for family in families)


def expected(probabilities: jax.Array, doubts: Sequence[float]) -> jax.Array:
    """The mean doubt () of families with probabilities (F,), in 1/255."""
    return jnp.sum(probabilities * jnp.asarray(doubts, probabilities.dtype))


def probability(names: Sequence[str], families: Sequence[str], probabilities: jax.Array) -> jax.Array:
    """The probability () of some families together, from that of each (F,); a name that is not known has none."""
    return jnp.sum(jnp.where(jnp.asarray([family in names for family in families]), probabilities, 0))


def after_search(found: Found, families: Sequence[str], probabilities: jax.Array) -> jax.Array:
    """The probabilities (F,) of families once the spectrum has been searched for shapes: what it shows is certain."""
    for name, is_found in (("disc", found.is_disc), ("line", found.is_line)):
        if name in families:
            certain = jnp.asarray([family == name for family in families], probabilities.dtype)
            probabilities = jnp.where(is_found, certain, probabilities)
    return probabilities


def told(noise_std: jax.Array, doubt: jax.Array) -> jax.Array:
    """The noise (), on the [0, 1] scale, that stands for an image's own and a doubt () in 1/255."""
    return jnp.hypot(noise_std, (doubt / 255).astype(noise_std.dtype))
