"""The dynamic kernel prior (DKP): a kernel network pulled by random kernels and by the data.

Yang et al. 2024. Three parts: random kernel sampling weighs random kernels by how well they explain the LR image (RKS);
a small network turns a fixed code into a kernel (PKE); network-based Langevin dynamics moves its parameters (NLD).
"""

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.config import rules
from blindsr_jax.imaging import data_quadratic
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import data_loss, mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import langevin, rks, spectrum
from blindsr_jax.kernels.family import KernelFamily, check_draws, sample_kernels
from blindsr_jax.methods.interfaces import KernelInfo, KernelModel, StepContext
from blindsr_jax.networks.fcn import CODE_SIZE, FreeKernel, KernelFCN

WEIGHTS = ("release", "posterior")
LIKELIHOODS = ("direct", "quadratic")
STARTS = ("random", "spectrum")
PARTS = ("rks", "pke", "nld")  # that an ablation can leave out
NUM_STARTS = 2048  # kernels that a start from the spectrum looks at
_NOISE = 1  # folded into the key of a step for the Langevin noise


class Pool(NamedTuple):
    """Random kernels and what is known of them without an image."""

    kernels: jax.Array  # (L, k, k)
    log_prior: jax.Array  # (L,)


class DkpState(NamedTuple):
    """State of the kernel network."""

    params: Any
    opt: optax.OptState
    code: jax.Array  # (200,)
    grads: Any  # data gradients summed since the last data step; None where each step makes one
    pool: Pool | None  # random kernels that are drawn once; None where each prior step draws new ones


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    network: KernelFCN | FreeKernel
    move: optax.GradientTransformationExtraArgs  # the Langevin step
    family: KernelFamily
    num_samples: int  # random kernels per prior step
    likelihood: str  # of LIKELIHOODS
    weights: str  # of WEIGHTS
    temperature: float  # of the posterior weights, in units of the best candidate's error
    error_floor: float  # the smallest such unit
    prior_weight: float  # strength of the pull
    prior_every: int  # steps between prior steps
    redraw: bool  # each prior step draws new random kernels
    data_every: int  # steps between data steps
    start: str  # of STARTS
    warmup_steps: int  # before the solve
    freeze_steps: int  # of the solve before the kernel moves
    form: str  # of langevin.FORMS
    without: str | None  # of PARTS


def build(
    spec: Spec,
    *,
    family: KernelFamily,
    num_samples: Annotated[int, rules.DRAWS] = 5,
    likelihood: Annotated[str, rules.choice(*LIKELIHOODS)] = "direct",
    weights: Annotated[str, rules.choice(*WEIGHTS)] = "release",
    temperature: Annotated[float, rules.above(0, 1e6)] = 0.1,
    error_floor: Annotated[float, rules.above(0, 1e6)] = 1e-4,
    prior_weight: Annotated[float, rules.WEIGHT] = 1.0,
    prior_every: Annotated[int, rules.STEPS] = 5,
    redraw: bool = True,
    data_every: Annotated[int, rules.STEPS] = 3,
    start: Annotated[str, rules.choice(*STARTS)] = "random",
    warmup_steps: Annotated[int, rules.STEPS_FROM_0] = 200,
    freeze_steps: Annotated[int, rules.STEPS_FROM_0] = 0,
    learning_rate: Annotated[float, rules.RATE] = 1e-4,
    hidden: Annotated[int, rules.whole(1, 65536)] = 1000,
    layers: Annotated[int, rules.whole(1, 64)] = 1,
    without: Annotated[str | None, rules.optional(rules.choice(*PARTS))] = None,
    form: Annotated[str, rules.choice(*langevin.FORMS)] = "sequential",
    langevin_temperature: langevin.Temperature = 0.0,
    cooling_steps: langevin.CoolingSteps = None,
) -> KernelModel:
    """A DKP kernel model; the defaults are those of the release.

    Args:
      spec: the problem's static part.
      family: where random kernels come from.
      num_samples: L, random kernels a prior step.
      likelihood: 'direct' blurs the image with each candidate, 'quadratic' scores all by one matrix product.
      weights: 'release' or 'posterior', see `rks`.
      temperature: of the posterior weights, in units of the best candidate's error.
      error_floor: the smallest such unit, see `rks.posterior_weights`.
      prior_weight: strength of the pull: the sum of the posterior weights, a factor of the released ones.
      prior_every: steps between prior steps.
      redraw: each prior step draws new random kernels; otherwise they are drawn once, which costs less.
      data_every: steps between data steps; their gradients are summed, and dropped when a prior step comes (release).
      start: 'random' warms up towards random kernels, 'spectrum' towards their mean under the evidence of `spectrum`,
        which then counts in the posterior weights too.
      freeze_steps: steps of the solve before the kernel moves: until then the image says nothing about it.
      warmup_steps: steps towards random kernels (or towards the start kernel, if one is given) before the solve.
      learning_rate: of Adam.
      hidden: units of each hidden layer of the kernel network.
      layers: hidden layers of it.
      without: a part that an ablation leaves out. 'rks': no random kernels pull, nor warm up; 'pke': the kernel has no
        network but free entries up to a softmax, which need a larger learning rate; 'nld': the data do not move it.
      form: of the Langevin step, see `langevin.network_langevin`. 'sequential' takes prior and data steps as they come;
        'summed' takes one step each time, along the data gradient plus, where kernels are drawn, the prior gradient.
      langevin_temperature: of the noise on data steps, in units of the loss, see `langevin.noisy_adam`; 0 adds none.
      cooling_steps: steps over which it falls to 0; None keeps it.

    Raises:
      ValueError: an unknown choice, too many random kernels, or 'summed' with gradients that wait for a data step.
    """
    _check_choices(weights=(weights, WEIGHTS), likelihood=(likelihood, LIKELIHOODS), start=(start, STARTS))
    _check_choices(form=(form, langevin.FORMS), without=(without, (None, *PARTS)))
    check_draws("num_samples", num_samples, spec.kernel_size)
    _check_form(form, data_every, without)
    adam = langevin.noisy_adam(learning_rate, temperature=langevin_temperature, cooling_steps=cooling_steps)
    settings = Settings(
        network=FreeKernel(spec.kernel_size) if without == "pke" else KernelFCN(spec.kernel_size, hidden, layers),
        move=langevin.network_langevin(adam, form=form),
        family=family,
        num_samples=num_samples,
        likelihood=likelihood,
        weights=weights,
        temperature=temperature,
        error_floor=error_floor,
        prior_weight=prior_weight,
        prior_every=prior_every,
        redraw=redraw,
        data_every=data_every,
        start=start,
        warmup_steps=warmup_steps,
        freeze_steps=freeze_steps,
        form=form,
        without=without,
    )
    return KernelModel(partial(_init, settings), partial(_step, settings))


def _check_choices(**given: tuple[str | None, tuple[str | None, ...]]) -> None:
    """Raises ValueError where an option is none of the values that are known."""
    for name, (value, known) in given.items():
        if value not in known:
            raise ValueError(f"config.kernel.{name} is {value!r}, expected one of {', '.join(map(str, known))}")


def _check_form(form: str, data_every: int, without: str | None) -> None:
    """Raises ValueError where the one step of the form 'summed' has no data gradient of its own each time."""
    if form == "summed" and data_every != 1:
        raise ValueError(f"config.kernel.data_every is {data_every}, expected 1 with form 'summed'")
    if form == "summed" and without == "nld":
        raise ValueError("config.kernel.without is 'nld', expected another part with form 'summed'")


def _apply(settings: Settings, state: DkpState, *, data_grads=None, prior_grads=None, key=None) -> DkpState:
    updates, opt = settings.move.update(data_grads, state.opt, state.params, prior_grads=prior_grads, key=key)
    return state._replace(params=optax.apply_updates(state.params, updates), opt=opt)


def _prior_gradient(settings: Settings, state: DkpState, target: rks.Target):
    def pull(params):
        return target.weight * mse(target.kernel, settings.network.apply(params, state.code))

    return jax.grad(pull)(state.params)


def _init(settings: Settings, key, problem: Problem, kernel) -> DkpState:
    code_key, net_key, warm_key, draw_key = jax.random.split(key, 4)
    dtype = problem.lr.dtype
    code = 0.1 * jax.random.uniform(code_key, (CODE_SIZE,), dtype)
    params = settings.network.init(net_key, code)
    zeros = jax.tree.map(jnp.zeros_like, params) if settings.data_every > 1 else None
    pool = None if settings.redraw else _draw(settings, draw_key, problem)
    if kernel is None and settings.start == "spectrum":
        near = pool or _draw(settings._replace(num_samples=NUM_STARTS), draw_key, problem)
        kernel = rks.combine(jax.nn.softmax(near.log_prior), near.kernels).kernel

    def warm(state, step_key):
        goal = settings.family.render(settings.family.sample(step_key)) if kernel is None else kernel
        goal = rks.Target(jnp.asarray(goal, dtype), jnp.ones((), dtype))
        return _apply(settings, state, prior_grads=_prior_gradient(settings, state, goal)), None

    state = DkpState(params, settings.move.init(params), code, zeros, pool)
    if kernel is None and settings.without == "rks":
        return state
    return jax.lax.scan(warm, state, jax.random.split(warm_key, settings.warmup_steps))[0]


def _draw(settings: Settings, key, problem: Problem) -> Pool:
    kernels = sample_kernels(key, settings.family, settings.num_samples).astype(problem.lr.dtype)
    if settings.start == "spectrum":
        return Pool(kernels, spectrum.log_prior(kernels, problem))
    return Pool(kernels, jnp.zeros(settings.num_samples, kernels.dtype))


def _target(settings: Settings, key, state: DkpState, image, problem: Problem) -> rks.Target:
    """Random kernels, weighted by how well they explain the LR image, as one kernel and a strength."""
    pool = _draw(settings, key, problem) if state.pool is None else state.pool
    if settings.likelihood == "direct":
        errors = rks.candidate_errors(image, pool.kernels, problem)
    else:
        around = settings.network.apply(state.params, state.code)
        errors = data_quadratic.errors(data_quadratic.quadratic(image, around, problem), pool.kernels)
    if settings.weights == "release":
        return rks.combine(settings.prior_weight * rks.release_weights(errors), pool.kernels)
    # An image that explains the LR image better than its noise allows has errors that say nothing of the kernel.
    weights = rks.posterior_weights(
        errors,
        temperature=settings.temperature,
        strength=settings.prior_weight,
        error_floor=jnp.maximum(jnp.square(problem.known_noise), settings.error_floor),
        log_prior=pool.log_prior,
    )
    return rks.combine(weights, pool.kernels)


def _step(settings: Settings, key, state: DkpState, image, problem: Problem, context: StepContext):
    # The predicates are the same for all images of a batch, so vmap keeps these branches.
    moves = context.step >= settings.freeze_steps
    draws = moves & (context.step % settings.prior_every == 0) & (settings.without != "rks")

    def prior_gradient(s):
        return _prior_gradient(settings, s, _target(settings, key, s, image, problem))

    def prior_step(s):
        s = _apply(settings, s, prior_grads=prior_gradient(s))
        return s._replace(grads=jax.tree.map(jnp.zeros_like, s.grads))

    if settings.form == "sequential":
        prior_grads = None
        state = jax.lax.cond(draws, prior_step, lambda s: s, state)
    else:
        prior_grads = jax.lax.cond(draws, prior_gradient, lambda s: jax.tree.map(jnp.zeros_like, s.params), state)
    kernel, pullback = jax.vjp(lambda p: settings.network.apply(p, state.code), state.params)

    def loss_of(k):
        prediction = degrade(image, k, scale=problem.spec.scale, boundary=problem.spec.boundary)
        return data_loss(prediction, problem.seen(prediction), context.use_ssim)

    loss, kernel_grad = jax.value_and_grad(loss_of)(kernel)
    grads = pullback(kernel_grad)[0]
    if settings.data_every > 1:
        grads = jax.tree.map(jnp.add, state.grads, grads)

    def data_step(s):
        noise_key = jax.random.fold_in(key, _NOISE)
        s = _apply(settings, s, data_grads=grads, prior_grads=prior_grads, key=noise_key)
        return s._replace(grads=jax.tree.map(jnp.zeros_like, s.grads))

    def wait(s):
        return s._replace(grads=grads) if settings.data_every > 1 else s

    due = moves & ((context.step + 1) % settings.data_every == 0) & (settings.without != "nld")
    return jax.lax.cond(due, data_step, wait, state), kernel, KernelInfo(loss)
