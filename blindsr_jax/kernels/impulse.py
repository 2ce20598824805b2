"""Nearly no blur: Gaussians narrower than those of `gaussian`, down to a single point."""

from collections.abc import Sequence
from typing import Annotated

from blindsr_jax.config import rules
from blindsr_jax.kernels import gaussian
from blindsr_jax.kernels.family import KernelFamily, cached


@cached
def family(
    *,
    scale: int,
    kernel_size: int | None = None,
    kernel_center: str = "release",
    variance_range: Annotated[Sequence[float] | None, rules.span(rules.VARIANCE)] = None,
) -> KernelFamily:
    """Gaussian kernels from a point (a point between pixels fills those around it) to where 'wide' ones begin.

    Args:
      scale: s.
      kernel_size: odd k, None for `geometry.default_kernel_size`.
      kernel_center: 'release' or 'aligned'.
      variance_range: (low, high) px^2, None for 0 to the least one of `gaussian.wide_variance_range`.

    Raises:
      ValueError: on an even size, an unknown centre or an empty range.
    """
    variance_range = variance_range or (0.0, gaussian.wide_variance_range(scale)[0])
    place = {"scale": scale, "kernel_size": kernel_size, "kernel_center": kernel_center}
    return gaussian.family(**place, variance_range=variance_range)._replace(name="impulse")
