"""The dynamic kernel prior (DKP): a kernel network pulled by random kernels and by the data.

Yang et al. 2024. Three parts: random kernel sampling weighs random kernels by how well they explain the LR image (RKS);
a small network turns a fixed code into a kernel (PKE); network-based Langevin dynamics moves its parameters (NLD).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.degradation import degrade
from blindsr_jax.inference import langevin, quadratic, rks, spectrum
from blindsr_jax.kernel_models.base import KernelInfo, KernelModel
from blindsr_jax.kernels.family import KernelFamily, sample_kernels
from blindsr_jax.losses import data_loss, mse
from blindsr_jax.networks.fcn import KernelFCN
from blindsr_jax.problem import Problem, Spec

CODE_SIZE = 200
WEIGHTS = ("release", "posterior")
LIKELIHOODS = ("direct", "quadratic")
STARTS = ("random", "spectrum")
NUM_STARTS = 2048  # kernels that a start from the spectrum looks at


class DkpState(NamedTuple):
    """State of the kernel network."""

    params: Any
    opt: optax.OptState
    code: jax.Array  # (200,)
    grads: Any  # data gradients summed since the last data step; None where each step makes one


def build(
    spec: Spec,
    *,
    family: KernelFamily,
    num_samples: int = 5,
    likelihood: str = "direct",
    weights: str = "release",
    temperature: float = 0.1,
    prior_weight: float = 1.0,
    prior_every: int = 5,
    data_every: int = 3,
    start: str = "random",
    warmup_steps: int = 200,
    freeze_steps: int = 0,
    learning_rate: float = 1e-4,
    hidden: int = 1000,
    form: str = "sequential",
) -> KernelModel:
    """A DKP kernel half; the defaults are those of the release.

    Args:
      spec: the problem's static part.
      family: where random kernels come from.
      num_samples: L, random kernels a prior step.
      likelihood: 'direct' blurs the image with each candidate, 'quadratic' scores all by one matrix product.
      weights: 'release' or 'posterior', see `rks`.
      temperature: of the posterior weights, in units of the best candidate's error.
      prior_weight: strength of the pull: the sum of the posterior weights, a factor of the released ones.
      prior_every: steps between prior steps.
      data_every: steps between data steps; their gradients are summed, and dropped when a prior step comes (release).
      start: 'random' warms up towards random kernels, 'spectrum' towards their mean under the evidence of `spectrum`,
        which then counts in the posterior weights too.
      freeze_steps: steps of the solve before the kernel moves: until then the image says nothing about it.
      warmup_steps: steps towards random kernels (or towards the start kernel, if one is given) before the solve.
      learning_rate: of Adam.
      hidden: units of the kernel network.
      form: 'sequential' or 'summed' Langevin step, see `langevin.network_langevin`.
    """
    choices = (("weights", weights, WEIGHTS), ("likelihood", likelihood, LIKELIHOODS), ("start", start, STARTS))
    for name, value, known in choices:
        if value not in known:
            raise ValueError(f"kernel.{name} is {value!r}, expected one of {', '.join(known)}")
    network = KernelFCN(spec.kernel_size, hidden)
    move = langevin.network_langevin(optax.adam(learning_rate), form=form)
    sums_gradients = data_every > 1

    def prior_gradient(params, code, target):
        return jax.grad(lambda p: target.weight * mse(target.kernel, network.apply(p, code)))(params)

    def apply(state, *, data_grads=None, prior_grads=None):
        updates, opt = move.update(data_grads, state.opt, state.params, prior_grads=prior_grads)
        return state._replace(params=optax.apply_updates(state.params, updates), opt=opt)

    def init(key, problem, kernel):
        code_key, net_key, warm_key = jax.random.split(key, 3)
        dtype = problem.lr.dtype
        code = 0.1 * jax.random.uniform(code_key, (CODE_SIZE,), dtype)
        params = network.init(net_key, code)
        zeros = jax.tree.map(jnp.zeros_like, params) if sums_gradients else None
        one = jnp.ones((), dtype)
        if kernel is None and start == "spectrum":
            kernels = sample_kernels(jax.random.fold_in(warm_key, 0), family, NUM_STARTS).astype(dtype)
            evidence = spectrum.log_evidence(kernels, problem) / spectrum.TEMPERATURE
            kernel = rks.combine(jax.nn.softmax(evidence), kernels).kernel

        def warm(state, step_key):
            goal = family.render(family.sample(step_key)) if kernel is None else kernel
            goal = rks.Target(jnp.asarray(goal, dtype), one)
            return apply(state, prior_grads=prior_gradient(state.params, code, goal)), None

        state = DkpState(params, move.init(params), code, zeros)
        return jax.lax.scan(warm, state, jax.random.split(warm_key, warmup_steps))[0]

    def sampled_target(key, state, image, problem) -> rks.Target:
        kernels = sample_kernels(key, family, num_samples).astype(image.dtype)
        if likelihood == "direct":
            errors = rks.candidate_errors(image, kernels, problem)
        else:
            around = network.apply(state.params, state.code)
            errors = quadratic.errors(quadratic.quadratic(image, around, problem), kernels)
        if weights == "release":
            return rks.combine(prior_weight * rks.release_weights(errors), kernels)
        evidence = spectrum.log_evidence(kernels, problem) / spectrum.TEMPERATURE if start == "spectrum" else 0.0
        options = {"temperature": temperature, "strength": prior_weight, "log_prior": evidence}
        return rks.combine(rks.posterior_weights(errors, **options), kernels)

    def prior_step(key, state, image, problem: Problem):
        target = sampled_target(key, state, image, problem)
        state = apply(state, prior_grads=prior_gradient(state.params, state.code, target))
        return state._replace(grads=jax.tree.map(jnp.zeros_like, state.grads))

    def step(key, state, image, problem: Problem, tick):
        # The predicates are the same for all images of a batch, so vmap keeps these branches.
        moves = tick.step >= freeze_steps
        draws = moves & (tick.step % prior_every == 0)
        state = jax.lax.cond(draws, lambda s: prior_step(key, s, image, problem), lambda s: s, state)
        kernel, pullback = jax.vjp(lambda p: network.apply(p, state.code), state.params)

        def loss_of(k):
            prediction = degrade(image, k, scale=spec.scale, boundary=spec.boundary)
            return data_loss(prediction, problem.lr, tick.use_ssim)

        loss, kernel_grad = jax.value_and_grad(loss_of)(kernel)
        grads = pullback(kernel_grad)[0]
        if sums_gradients:
            grads = jax.tree.map(jnp.add, state.grads, grads)

        def data_step(s):
            return apply(s, data_grads=grads)._replace(grads=jax.tree.map(jnp.zeros_like, s.grads))

        def wait(s):
            return s._replace(grads=grads) if sums_gradients else s

        due = moves & ((tick.step + 1) % data_every == 0)
        state = jax.lax.cond(due, data_step, wait, state)
        return state, kernel, KernelInfo(loss)

    return KernelModel(init, step)
