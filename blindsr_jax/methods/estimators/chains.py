"""The kernel of a joint solve of a deep image prior and Markov chains over kernels (kernel_models.posterior)."""

from typing import Annotated

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.methods.estimators.window import on_window
from blindsr_jax.methods.image_models import dip
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import posterior


def build(
    spec: Spec,
    *,
    family: KernelFamily,
    num_steps: Annotated[int, rules.STEPS] = 300,
    channels: Annotated[int, rules.whole(2, 4096)] = 32,
    num_chains: Annotated[int, rules.whole(2, 4096)] = 32,
    window: Annotated[int, rules.whole(16, 4096)] = 96,
) -> Solver:
    """The estimator; its image is dropped.

    Args:
      spec: the problem's static part; scales 1 to 4.
      family: the prior of the chains, `config.prior`.
      num_steps: of the solve.
      channels: of the image network's maps.
      num_chains: that run side by side.
      window: side in LR pixels of the part of the image that is solved, the one that tells most of its blur.

    Raises:
      ValueError: there is no learned evidence for the scale.
    """
    image = dip.build(spec, channels=channels, skip_channels=min(4, channels), learning_rate=1e-2)
    kernel = posterior.build(spec, family=family, num_chains=num_chains)
    return on_window(joint(image, kernel, ssim_steps=num_steps, averaging=0.95, num_steps=num_steps), window)
