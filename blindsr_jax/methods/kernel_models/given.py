"""A known kernel: non-blind restoration with any image model."""

import jax.numpy as jnp

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import data_loss
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.methods.interfaces import KernelInfo, KernelModel


def build(spec: Spec) -> KernelModel:
    """The kernel passed to `init` stays as it is.

    Args:
      spec: the problem's static part.
    """

    def init(key, problem, kernel):
        del key
        if kernel is None:
            raise ValueError("the kernel model 'given' needs a kernel: pass --kernel=FILE")
        return jnp.asarray(kernel, problem.lr.dtype)

    def step(key, kernel, image, problem, context):
        del key
        prediction = degrade(image, kernel, scale=spec.scale, boundary=spec.boundary)
        return kernel, kernel, KernelInfo(data_loss(prediction, problem.seen(prediction), context.use_ssim))

    return KernelModel(init, step)
