"""The kernel of a joint DIP-DKP solve, with the settings of configs/dip_dkp_fast.py (Yang et al. 2024)."""

from typing import Annotated

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.methods.estimators.window import on_window
from blindsr_jax.methods.image_models import dip
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import dkp


def build(
    spec: Spec,
    *,
    family: KernelFamily,
    num_steps: Annotated[int, rules.STEPS] = 300,
    channels: Annotated[int, rules.whole(2, 4096)] = 32,
    num_samples: Annotated[int, rules.DRAWS] = 1024,
    window: Annotated[int | None, rules.optional(rules.whole(16, 4096))] = None,
) -> Solver:
    """The estimator; its image is dropped.

    Args:
      spec: the problem's static part.
      family: where random kernels come from, `config.prior`.
      num_steps: of the solve.
      channels: of the image network's maps.
      num_samples: random kernels.
      window: side in LR pixels of the part of the image that is solved, the one that tells most of its blur; None
        solves the whole image.
    """
    image = dip.build(spec, channels=channels, skip_channels=min(4, channels), learning_rate=1e-2)
    kernel = dkp.build(
        spec,
        family=family,
        num_samples=num_samples,
        redraw=False,
        likelihood="quadratic",
        weights="posterior",
        prior_weight=100.0,
        start="spectrum",
        warmup_steps=400,
        learning_rate=1e-3,
        hidden=200,
    )
    solver = joint(image, kernel, ssim_steps=num_steps, averaging=0.95, num_steps=num_steps)
    return solver if window is None else on_window(solver, window)
