"""optax's optimisers in programs that forbid the implicit promotion of types."""

import jax
import optax


def promoting(inner: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """An optax transform whose own update may mix types, whatever `jax_numpy_dtype_promotion` says.

    optax's Adam raises a float to its whole number of steps, and some schedules compare the two.

    Args:
      inner: e.g. Adam; its state stays as it is.
    """
    inner = optax.with_extra_args_support(inner)

    def update(updates, state, params=None, **extra):
        with jax.numpy_dtype_promotion("standard"):
            return inner.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update)
