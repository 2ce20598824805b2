"""Non-blind deep image prior: the image model 'dip' under a kernel that is known."""

from typing import Annotated

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.methods.image_models import dip
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import given


@rules.with_options_of(dip.build)
def build(
    spec: Spec,
    *,
    num_steps: Annotated[int, rules.STEPS] = 500,
    ssim_steps: Annotated[int | None, rules.optional(rules.STEPS_FROM_0)] = None,
    averaging: Annotated[float, rules.below(0, 1)] = 0.9,
    channels: Annotated[int, rules.whole(2, 4096)] = 32,
    **options,
) -> Solver:
    """The restorer.

    Args:
      spec: the problem's static part.
      num_steps: of the solve.
      ssim_steps: the first of them descend 1 - SSIM; None for all.
      averaging: decay of the running mean of images.
      channels: of the network's maps.
      **options: others of `image_models.dip.build`.
    """
    model = dip.build(spec, channels=channels, **options)
    steps = num_steps if ssim_steps is None else ssim_steps
    return joint(model, given.build(spec), ssim_steps=steps, averaging=averaging, num_steps=num_steps)
