"""A kernel network without a prior of its own: Double-DIP (Gandelsman et al. 2019; SelfDeblur, Ren et al. 2020)."""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.config import rules
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import langevin
from blindsr_jax.methods.interfaces import KernelModel
from blindsr_jax.methods.kernel_models.base import STARTS, DescentState, check_start, descent, round_kernel
from blindsr_jax.networks.fcn import CODE_SIZE, KernelFCN

_WARMUP_RATE = 1e-3  # of Adam towards a given kernel


class FcnParams(NamedTuple):
    """Weights, and the fixed input, which has no gradient."""

    network: Any
    code: jax.Array  # (200,)


def build(
    spec: Spec,
    *,
    learning_rate: Annotated[float, rules.RATE] = 1e-4,
    hidden: Annotated[int, rules.whole(1, 65536)] = 1000,
    warmup_steps: Annotated[int, rules.STEPS_FROM_0] = 400,
    freeze_steps: Annotated[int, rules.STEPS_FROM_0] = 0,
    start: Annotated[str, rules.choice(*STARTS)] = "uniform",
    langevin_temperature: langevin.Temperature = 0.0,
    cooling_steps: langevin.CoolingSteps = None,
) -> KernelModel:
    """Starts from a nearly uniform kernel, or from a given one; the defaults are those of the FKP release.

    Nothing keeps the kernel in its place: it may drift, and the image with it.

    Args:
      spec: the problem's static part.
      learning_rate: of Adam.
      hidden: units of the network.
      warmup_steps: steps towards the start kernel, if it is not the uniform one.
      freeze_steps: steps of the solve before the kernel moves.
      start: 'uniform', or 'round', a round Gaussian where the spec has its centre.
      langevin_temperature: of the noise that makes a sampler of the descent, in units of the loss; 0 adds none. See
        `langevin.noisy_adam`.
      cooling_steps: steps over which it falls to 0; None keeps it.

    Raises:
      ValueError: an unknown start.
    """
    check_start(start)
    network = KernelFCN(spec.kernel_size, hidden)
    optimizer = langevin.noisy_adam(learning_rate, temperature=langevin_temperature, cooling_steps=cooling_steps)

    def render(params):
        return network.apply(params.network, jax.lax.stop_gradient(params.code))

    def warm_up(params, kernel):
        move = langevin.noisy_adam(_WARMUP_RATE)

        def step(carry, _):
            params, opt = carry
            grads = jax.grad(lambda p: mse(render(p), kernel))(params)
            updates, opt = move.update(grads, opt)
            return (optax.apply_updates(params, updates), opt), None

        return jax.lax.scan(step, (params, move.init(params)), None, warmup_steps)[0][0]

    def init(key, problem: Problem, kernel):
        code_key, net_key = jax.random.split(key)
        code = 0.1 * jax.random.uniform(code_key, (CODE_SIZE,), problem.lr.dtype)
        params = FcnParams(network.init(net_key, code), code)
        if kernel is None and start == "round":
            kernel = round_kernel(spec, code.dtype)
        if kernel is not None:
            params = warm_up(params, jnp.asarray(kernel, code.dtype))
        return DescentState(params, optimizer.init(params))

    return KernelModel(init, descent(spec, render, optimizer, freeze_steps=freeze_steps))
