"""A known kernel: non-blind restoration with any image half."""

import jax.numpy as jnp

from blindsr_jax.degradation import degrade
from blindsr_jax.kernel_models.base import KernelInfo, KernelModel
from blindsr_jax.losses import data_loss
from blindsr_jax.problem import Spec


def build(spec: Spec) -> KernelModel:
    """The kernel passed to `init` stays as it is.

    Args:
      spec: the problem's static part.
    """

    def init(key, problem, kernel):
        del key
        if kernel is None:
            raise ValueError("the kernel half 'given' needs a kernel: pass --kernel=FILE")
        return jnp.asarray(kernel, problem.lr.dtype)

    def step(key, kernel, image, problem, tick):
        del key
        prediction = degrade(image, kernel, scale=spec.scale, boundary=spec.boundary)
        return kernel, kernel, KernelInfo(data_loss(prediction, problem.lr, tick.use_ssim))

    return KernelModel(init, step)
