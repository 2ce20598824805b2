"""Non-blind diffusion: the image model 'diffusion' under a kernel that is known."""

from typing import Annotated

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.methods.image_models import diffusion
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import given


@rules.with_options_of(diffusion.build)
def build(spec: Spec, *, num_steps: Annotated[int, rules.whole(1, 999)] = 30, **options) -> Solver:
    """The restorer.

    Args:
      spec: the problem's static part.
      num_steps: of the chain.
      **options: others of `image_models.diffusion.build`.
    """
    return joint(diffusion.build(spec, num_steps=num_steps, **options), given.build(spec), ssim_steps=0)
