"""An explicit Gaussian: two variances and an angle, the simplest prior there is."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.inference import langevin
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.gaussian import data_variance_range, gaussian_kernel
from blindsr_jax.methods.interfaces import KernelModel
from blindsr_jax.methods.kernel_models.base import DescentState, descent

_ASPECT = 1.5  # of the start's variances: of a round kernel the angle has no gradient
_MIN_VARIANCE = 0.05  # px^2 of a start kernel's axes


class GaussianParams(NamedTuple):
    """The three unknowns."""

    log_variances: jax.Array  # (2,) of px^2
    angle: jax.Array  # () radians, see kernels.gaussian


def from_moments(kernel: jax.Array) -> GaussianParams:
    """The Gaussian with a kernel's covariance; (k, k) -> parameters of its dtype."""
    (rows, mixed), (_, columns) = geometry.covariance(kernel)
    half_trace, half_gap = (rows + columns) / 2, (columns - rows) / 2
    radius = jnp.sqrt(half_gap**2 + mixed**2)
    variances = jnp.maximum(jnp.stack([half_trace + radius, half_trace - radius]), _MIN_VARIANCE)
    return GaussianParams(jnp.log(variances), jnp.arctan2(mixed, half_gap) / 2)


def build(
    spec: Spec,
    *,
    learning_rate: Annotated[float, rules.RATE] = 0.02,
    freeze_steps: Annotated[int, rules.STEPS_FROM_0] = 0,
    langevin_temperature: langevin.Temperature = 0.0,
    cooling_steps: langevin.CoolingSteps = None,
) -> KernelModel:
    """A Gaussian with its centre fixed where the spec puts it.

    Starts in the middle of the range of the FKP data, or with the covariance of a given kernel.

    Args:
      spec: the problem's static part.
      learning_rate: of Adam on log variances (px^2) and angle (radians).
      freeze_steps: steps of the solve before the kernel moves.
      langevin_temperature: of the noise that makes a sampler of the descent, in units of the loss; 0 adds none. See
        `langevin.noisy_adam`.
      cooling_steps: steps over which it falls to 0; None keeps it.
    """
    optimizer = langevin.noisy_adam(learning_rate, temperature=langevin_temperature, cooling_steps=cooling_steps)

    def render(params):
        variances = jnp.exp(params.log_variances)
        return gaussian_kernel(variances, params.angle, kernel_size=spec.kernel_size, center=spec.center)

    def init(key, problem, kernel):
        del key
        dtype = problem.lr.dtype
        if kernel is None:
            middle = np.mean(np.log(data_variance_range(spec.scale)))
            half_log_aspect = np.log(_ASPECT) / 2
            logs = jnp.asarray([middle + half_log_aspect, middle - half_log_aspect], dtype)
            params = GaussianParams(logs, jnp.zeros((), dtype))
        else:
            params = from_moments(jnp.asarray(kernel, dtype))
        return DescentState(params, optimizer.init(params))

    return KernelModel(init, descent(spec, render, optimizer, freeze_steps=freeze_steps))
