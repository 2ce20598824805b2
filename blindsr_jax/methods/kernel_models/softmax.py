"""Free logits: every entry of the kernel is unknown, a softmax keeps it a kernel (DIP-Softmax, Liang et al. 2021)."""

from typing import Annotated

import jax
import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.inference import langevin
from blindsr_jax.methods.interfaces import KernelModel
from blindsr_jax.methods.kernel_models.base import STARTS, DescentState, check_start, descent, round_kernel

_SMALLEST = 1e-6  # entry of a start kernel, so that its logit is finite


def build(
    spec: Spec,
    *,
    learning_rate: Annotated[float, rules.RATE] = 0.5,
    freeze_steps: Annotated[int, rules.STEPS_FROM_0] = 76,
    start: Annotated[str, rules.choice(*STARTS)] = "uniform",
    langevin_temperature: langevin.Temperature = 0.0,
    cooling_steps: langevin.CoolingSteps = None,
) -> KernelModel:
    """Starts from the uniform kernel, or from a given one; the defaults are those of the FKP release.

    Nothing keeps the kernel in its place: it may drift, and the image with it.

    Args:
      spec: the problem's static part.
      learning_rate: of Adam on the logits.
      freeze_steps: steps of the solve before the kernel moves.
      start: 'uniform', or 'round', a round Gaussian where the spec has its centre.
      langevin_temperature: of the noise that makes a sampler of the descent, in units of the loss; 0 adds none. See
        `langevin.noisy_adam`.
      cooling_steps: steps over which it falls to 0; None keeps it.

    Raises:
      ValueError: an unknown start.
    """
    check_start(start)
    optimizer = langevin.noisy_adam(learning_rate, temperature=langevin_temperature, cooling_steps=cooling_steps)

    def render(logits):
        return jax.nn.softmax(logits, axis=(0, 1))

    def init(key, problem, kernel):
        del key
        dtype = problem.lr.dtype
        if kernel is None and start == "round":
            kernel = round_kernel(spec, dtype)
        if kernel is None:
            logits = jnp.ones((spec.kernel_size,) * 2, dtype)
        else:
            logits = jnp.log(jnp.maximum(jnp.asarray(kernel, dtype), _SMALLEST))
        return DescentState(logits, optimizer.init(logits))

    return KernelModel(init, descent(spec, render, optimizer, freeze_steps=freeze_steps))
