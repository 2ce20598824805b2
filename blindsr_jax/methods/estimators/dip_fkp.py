"""The kernel of a joint DIP-FKP solve, with the settings of configs/dip_fkp.py (Liang et al. 2021)."""

from typing import Annotated

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.methods.image_models import dip
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import flow


def build(
    spec: Spec,
    *,
    num_steps: Annotated[int, rules.STEPS] = 800,
    channels: Annotated[int, rules.whole(2, 4096)] = 32,
    weights: Annotated[str, rules.FILE] = "gaussian",
    code_rate: Annotated[float, rules.RATE] = 0.1,
    freeze_steps: Annotated[int | None, rules.optional(rules.STEPS_FROM_0)] = None,
    start: Annotated[str, rules.choice(*flow.STARTS)] = "spectrum",
) -> Solver:
    """The estimator; its image is dropped, so that a restorer shows what the kernel is worth.

    Args:
      spec: the problem's static part.
      num_steps: of the solve.
      channels: of the image network's maps.
      weights: of the flow, see `kernel_models.flow`.
      code_rate: the learning rate of the flow's code.
      freeze_steps: steps before the code moves; None: three eighths of all.
      start: of the code, see `kernel_models.flow`.

    Raises:
      ValueError: there is no such flow.
    """
    image = dip.build(spec, channels=channels, skip_channels=max(1, channels // 8), learning_rate=5e-3)
    freeze_steps = 3 * num_steps // 8 if freeze_steps is None else freeze_steps
    kernel = flow.build(spec, weights=weights, learning_rate=code_rate, freeze_steps=freeze_steps, start=start)
    return joint(image, kernel, ssim_steps=num_steps, averaging=0.95, num_steps=num_steps)
