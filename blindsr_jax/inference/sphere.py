"""Descent on a sphere: the typical set of a Gaussian code, as an optax wrapper (FKP, Liang et al. 2021)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

_EPSILON = 1e-9


class SphereState(NamedTuple):
    """State of `on_sphere`."""

    count: jax.Array  # () int32, calls so far
    inner: optax.OptState


def project(code: jax.Array, radius: float) -> jax.Array:
    """The point of the sphere |u| = radius in the direction of a code (..., D)."""
    return code * radius / jnp.sqrt(jnp.sum(code**2, -1, keepdims=True) + _EPSILON)


def on_sphere(
    inner: optax.GradientTransformation, radius: float, *, delay: int = 0
) -> optax.GradientTransformationExtraArgs:
    """Projects every array of the parameters to a sphere after each update of `inner`.

    The moments of `inner` are neither projected nor transported, and the gradient is not made tangent (release).

    Args:
      inner: e.g. Adam.
      radius: of the sphere; the release takes k - 1 for kernels (k, k).
      delay: so many first calls leave `inner` and its state alone: they project only.
    """
    inner = optax.with_extra_args_support(inner)

    def init(params):
        return SphereState(jnp.zeros((), jnp.int32), inner.init(params))

    def update(updates, state, params=None, **extra):
        if params is None:
            raise ValueError("on_sphere needs the parameters: update(updates, state, params)")
        moves, moved = inner.update(updates, state.inner, params, **extra)
        if delay:
            rests = state.count < delay
            moves = jax.tree.map(lambda u: jnp.where(rests, 0, u), moves)
            moved = jax.tree.map(lambda old, new: jnp.where(rests, old, new), state.inner, moved)
        steps = jax.tree.map(lambda p, u: project(p + u, radius) - p, params, moves)
        return steps, SphereState(optax.safe_increment(state.count), moved)

    return optax.GradientTransformationExtraArgs(init, update)
