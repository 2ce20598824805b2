"""What the estimators that make the LR image smaller share (KernelGAN, Bell-Kligler et al. 2019)."""

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.problem import Spec
from blindsr_jax.inference.self_similarity import Candidates, draw_candidates
from blindsr_jax.kernels.family import KernelFamily, check_draws
from blindsr_jax.kernels.placement import place
from blindsr_jax.kernels.x4_from_x2 import analytic_x4_kernel
from blindsr_jax.methods.kernel_models.base import round_kernel

SCALES = (2, 4)
SIZE = 13  # of the kernels that make an LR image smaller by two
SMALLEST_SIDE = 32  # of an LR image: a discriminator's map is 4 x 4 then
_CANDIDATES_KEY = 11


def check_scale(name: str, spec: Spec) -> None:
    """Raises a ValueError unless the scale is 2 or 4: the networks are trained at x2, x4 is x2 twice."""
    if spec.scale not in SCALES:
        raise ValueError(f"the estimator {name!r} knows the scales 2 and 4, got scale {spec.scale}")


def check_anchor_weight(name: str, anchor_weight: float, family: KernelFamily | None) -> None:
    """Raises a ValueError unless an anchor weight is 0, or above it with kernels to find it among."""
    if not anchor_weight >= 0:
        raise ValueError(f"the estimator {name!r} has anchor_weight {anchor_weight}, expected a number of at least 0")
    if anchor_weight and family is None:
        raise ValueError(
            f"the estimator {name!r} has anchor_weight {anchor_weight} and no kernel family, one was expected"
        )


def colour(lr: jax.Array) -> jax.Array:
    """An LR image (h, w, 1 or 3) with three colours; an odd last row or column is dropped."""
    h, w, c = lr.shape
    lr = lr[: h // 2 * 2, : w // 2 * 2]
    return jnp.broadcast_to(lr, (*lr.shape[:2], 3)) if c == 1 else lr


def crop_side(lr_shape: tuple[int, ...], wanted: int) -> int:
    """Side of the crops that are made smaller: as wanted, or what the image has; even."""
    return min(wanted, *lr_shape[:2]) // 2 * 2


def candidates(family: KernelFamily, spec: Spec, *, num: int = 1024) -> Candidates:
    """Random kernels for `self_similarity.mean_kernels`, the same for each image; arrays of NumPy.

    Raises:
      ValueError: too many.
    """
    check_draws("num_samples", num, spec.kernel_size)
    drawn = draw_candidates(jax.random.key(_CANDIDATES_KEY), family, spec, size=SIZE, num=num)
    return jax.tree.map(np.asarray, drawn)


def smallest_canvas(spec: Spec, lr_side: int) -> int:
    """The side of the canvas of the smallest LR image, for `Solver.smallest_side`."""
    return spec.canvas_shape((lr_side, lr_side, 1))[0]


def finish(kernel: jax.Array, spec: Spec) -> jax.Array:
    """The estimate for a problem from a x2 kernel (k, k), k odd, not negative: x4 where asked for, in size and place.

    Returns:
      (spec.kernel_size, spec.kernel_size), sum 1; a round Gaussian where the kernel is empty.
    """
    empty = kernel.sum() <= 0
    kernel = jnp.where(empty, 1, kernel)
    if spec.scale == 4:
        kernel = analytic_x4_kernel(kernel)
    return jnp.where(empty, round_kernel(spec, kernel.dtype), place(kernel, spec.center, spec.kernel_size))


def unexplained(estimate: jax.Array, anchor: jax.Array, spec: Spec) -> jax.Array:
    """What a known estimate (k, k) has beyond the one that its own x2 kernel (m, m) stands for; for `carry_over`."""
    return estimate - finish(anchor, spec)


def carry_over(kernel: jax.Array, correction: jax.Array, spec: Spec) -> jax.Array:
    """The estimate that a x2 kernel stands for where it began as the kernel of a known estimate.

    At x4, what a x2 kernel stands for is wider than what the anchor was made from (`self_similarity.smaller`
    interpolates); so only the difference is taken over.

    Args:
      kernel: (m, m), not negative.
      correction: (k, k) of `unexplained`, the same for a whole solve.
      spec: the problem's static part.

    Returns:
      (k, k), not negative, sum 1, its centre where the spec has it.
    """
    changed = jnp.maximum(finish(kernel, spec) + correction, 0)
    return place(changed, spec.center, spec.kernel_size)
