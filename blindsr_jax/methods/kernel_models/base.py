"""What kernel models share: a round start, and the step of a model that descends the data loss."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import data_loss
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels.gaussian import data_variance_range, gaussian_kernel
from blindsr_jax.methods.interfaces import KernelInfo

STARTS = ("uniform", "round")


def round_kernel(spec: Spec, dtype: jax.typing.DTypeLike) -> jax.Array:
    """A round Gaussian (k, k) at the spec's centre, as wide as FKP's data on average: a start without a prior.

    The uniform kernel has its centre in the middle of the window, which is another place unless the scale is 1.
    """
    variance = sum(data_variance_range(spec.scale)) / 2
    return gaussian_kernel(
        jnp.asarray([variance, variance], dtype), jnp.zeros((), dtype), kernel_size=spec.kernel_size, center=spec.center
    )


def check_start(start: str, known: tuple[str, ...] = STARTS) -> None:
    """Raises a ValueError if a model has no such start."""
    if start not in known:
        raise ValueError(f"config.kernel.start is {start!r}, expected one of {', '.join(known)}")


class DescentState(NamedTuple):
    """State of a half that descends the data loss."""

    params: Any
    opt: optax.OptState


def descent(
    spec: Spec,
    render: Callable[[Any], jax.Array],
    optimizer: optax.GradientTransformationExtraArgs,
    *,
    freeze_steps: int = 0,
) -> Callable:
    """The `step` of a half with nothing but parameters and the data loss.

    The image is a constant to it, so its gradient is the kernel's part of a joint backward pass.

    Args:
      spec: the problem's static part.
      render: parameters -> kernel (k, k).
      optimizer: what moves the parameters; its `update` also gets the step's key.
      freeze_steps: steps of the solve before they move.
    """

    def step(key, state, image, problem, context):
        def loss_of(params):
            kernel = render(params)
            prediction = degrade(image, kernel, scale=spec.scale, boundary=spec.boundary)
            return data_loss(prediction, problem.seen(prediction), context.use_ssim), kernel

        (loss, kernel), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        updates, opt = optimizer.update(grads, state.opt, state.params, key=key)
        new_state = DescentState(optax.apply_updates(state.params, updates), opt)
        if freeze_steps:
            rests = context.step < freeze_steps
            new_state = jax.tree.map(lambda old, new: jnp.where(rests, old, new), state, new_state)
        return new_state, kernel, KernelInfo(loss)

    return step
