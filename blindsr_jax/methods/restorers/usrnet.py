"""USRNet: six data steps with a trained denoiser after each, in one pass (Zhang et al. 2020; networks.usrnet)."""

import os
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.imaging.conv import METHODS
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.methods.interfaces import Solver, State, Weights
from blindsr_jax.methods.restorers import base
from blindsr_jax.networks.layers import PRECISIONS, Compute
from blindsr_jax.networks.usrnet import USRNet
from blindsr_jax.weights import usrnet


def restore(
    network: USRNet, weights: Any, problem: Problem, kernel: jax.Array, noise_std: jax.Array | float
) -> tuple[jax.Array, jax.Array]:
    """The canvas (H, W, c) that the network makes of a problem, and its mean squared LR residual.

    A gray image is shown to the network as three equal colours, and the mean of its answers is taken.
    """
    lr, spec, shown = problem.lr, problem.spec, problem.in_colours()
    colours, mask = jax.tree.map(lambda x: x[None], (shown.lr, shown.mask))
    noise = jnp.full((1,), noise_std, lr.dtype)
    canvas = network.apply(weights, colours, kernel[None], noise, spec=spec, mask=mask)[0].astype(lr.dtype)
    canvas = jnp.mean(canvas, -1, keepdims=True) if lr.shape[-1] == 1 else canvas
    prediction = degrade(canvas, kernel, scale=spec.scale, boundary=spec.boundary)
    return canvas, mse(prediction, problem.seen(prediction))


def build(
    spec: Spec,
    *,
    weights: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
    noise_std: Annotated[float | None, rules.optional(rules.NOISE)] = 0.0,
    data_iterations: Annotated[int, rules.whole(1, 1000)] = 10,
    precision: Annotated[str, rules.choice(*PRECISIONS)] = "float32",
    conv: Annotated[str, rules.choice(*METHODS)] = "auto",
) -> Solver:
    """The restorer; its one step does all the work, further steps repeat it.

    Args:
      spec: the problem's static part.
      weights: a .npz file of launch/convert.py or launch/train_usrnet.py; None for the first shipped network, 'wide'
        for the one that was trained with noise and JPEG.
      noise_std: of the noise in the LR image, on the [0, 1] scale (the releases: 0, and 10/255 for photographs); None
        for what the problem says, which the launches measure in each image.
      data_iterations: of conjugate gradients in the data step of a photograph.
      precision: of the denoiser, one of `networks.layers.PRECISIONS`.
      conv: form of the convolutions, see `imaging.conv`.

    Raises:
      ValueError: there is no such network, or an option is out of range.
    """
    if noise_std is not None and not noise_std >= 0:
        raise ValueError(f"the restorer usrnet has noise_std {noise_std!r}, expected a number of at least 0")
    if data_iterations < 1:
        raise ValueError(f"the restorer usrnet has data_iterations {data_iterations}, expected at least 1")
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
    trained = usrnet.load(weights)
    network = USRNet(trained.config, Compute(conv, precision), data_iterations)

    def init(key, problem: Problem, kernel=None, weights=None):
        del key, weights
        kernel = base.require_kernel("usrnet", kernel, problem)
        return State((), (), jnp.zeros(problem.canvas_shape, kernel.dtype), kernel)

    def step(key, state: State, problem: Problem, i, weights):
        del key, i
        noise = problem.known_noise if noise_std is None else noise_std
        canvas, residual = restore(network, weights, problem, state.kernel, noise)
        trace = {"loss": residual, "residual": residual, "kernel_loss": jnp.zeros((), problem.lr.dtype)}
        return state._replace(image=canvas), trace

    loaded = Weights(jax.device_put(trained.params))
    return Solver(init, step, 1, weights=loaded, num_steps=1, uses_noise=noise_std is None)
