"""Chains over the latents of kernel families against integration on a grid, and the laws that they keep."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.inference import chains
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family, mixture, sample_kernels

FAMILY = load_family("gaussian", scale=2, kernel_size=11)
TARGET = jnp.asarray([2.0, 0.4, 1.2])  # variances along rows, mixed, along columns


def log_likelihood(kernels, width=0.25):
    """Kernels whose covariance is near TARGET."""
    found = jax.vmap(geometry.covariance)(kernels)
    moments = jnp.stack([found[:, 1, 1], found[:, 0, 1], found[:, 0, 0]], -1)
    return -jnp.sum(((moments - TARGET[None]) / width) ** 2, -1) / 2


@partial(jax.jit, static_argnames=("made", "num_chains", "steps"))
def run(key, made, num_chains, steps):
    first, second = jax.random.split(key)
    state = made.init(first, num_chains)

    def body(state, k):
        state, info = made.step(k, state)
        return state, (state.point.latent, info)

    return jax.lax.scan(body, state, jax.random.split(second, steps))[1]


@pytest.fixture(scope="module")
def grid():
    """Mean and covariance of the smaller and the larger variance under the posterior, on a grid of latents."""
    low, high = 0.35, 5.0
    v = low + (high - low) * (np.arange(48) + 0.5) / 48
    a, b, angle = np.meshgrid(v, v, np.pi * (np.arange(24) + 0.5) / 24, indexing="ij")
    latents = type(FAMILY.sample(jax.random.key(0)))(
        jnp.asarray(np.stack([a, b], -1).reshape(-1, 2), jnp.float32), jnp.asarray(angle.reshape(-1), jnp.float32)
    )
    value = np.asarray(log_likelihood(jax.jit(jax.vmap(FAMILY.render))(latents)), np.float64)
    weights = np.exp(value - value.max())
    weights /= weights.sum()
    points = np.sort(np.asarray(latents.variances, np.float64), -1)
    mean = weights @ points
    return mean, (weights[:, None] * (points - mean)).T @ (points - mean)


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"uses_gradient": True}, marks=pytest.mark.long),
        pytest.param({"betas": (1.0, 0.3, 0.1)}, marks=pytest.mark.long),
    ],
)
def test_mean_and_covariance_are_those_of_integration_on_a_grid(grid, options):
    made = chains.build(FAMILY, log_likelihood, **options)
    latent, info = run(jax.random.key(1), made, 96, 640)
    values = np.sort(latent.variances, -1)[160:, 0]  # (steps, chains, 2); which axis is first means nothing
    mean, covariance = grid
    flat = values.reshape(-1, 2)
    size = float(chains.effective_size(jnp.asarray(values[..., 0])))
    assert float(chains.split_rhat(jnp.asarray(values[..., 0]))) < 1.05
    assert 200 < size < values[..., 0].size
    error = np.sqrt(np.diag(covariance) / size)
    np.testing.assert_allclose(flat.mean(0), mean, atol=4 * error.max() + 0.02)
    np.testing.assert_allclose(np.cov(flat.T), covariance, atol=0.15 * covariance.max())
    assert 0.05 < float(info.local[160:, 0].mean()) < 0.95
    assert (float(info.swaps.mean()) > 0.1) == ("betas" in options)


@pytest.mark.parametrize("uses_gradient", [False, True])
def test_detailed_balance_as_many_go_from_one_half_to_the_other_as_back(uses_gradient):
    made = chains.build(FAMILY, log_likelihood, uses_gradient=uses_gradient)
    latent, _ = run(jax.random.key(2), made, 512, 160)
    wide = np.asarray(latent.variances)[40:, 0, :, 0] > 1.6
    there, back = np.sum(~wide[:-1] & wide[1:]), np.sum(wide[:-1] & ~wide[1:])
    assert there > 500 and abs(there - back) <= 4 * np.sqrt(there + back)


def test_without_a_likelihood_the_prior_stays_what_it_is_with_the_shares_of_its_members():
    family = mixture([FAMILY, load_family("disc", scale=2, kernel_size=11)], (0.25, 0.75))
    made = chains.build(family, lambda kernels: jnp.zeros(len(kernels), kernels.dtype))
    latent, info = run(jax.random.key(3), made, 512, 20)
    np.testing.assert_allclose(info.fresh, 1)
    assert abs(float(np.mean(np.asarray(latent.index)[-1] == 0)) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 512)
    variances = np.asarray(latent.members[0].variances)[-1, 0][np.asarray(latent.index)[-1, 0] == 0]
    low, high = 0.35, 5.0
    assert low <= variances.min() and variances.max() <= high and abs(variances.mean() - (low + high) / 2) < 0.5


SHAKE = load_family("trajectory", scale=2, kernel_size=11, num_points=32)


def test_nudges_keep_the_prior_of_camera_shake():
    """One nudge of draws of the prior: the same distribution, and near where they were."""
    first, second = jax.random.split(jax.random.key(5))
    before = jax.vmap(SHAKE.sample)(jax.random.split(first, 2000))
    after = jax.vmap(SHAKE.nudge, (0, 0, None))(jax.random.split(second, 2000), before, jnp.float32(0.3))
    assert np.isfinite(jax.vmap(SHAKE.log_prior)(after)).all(), "within the support"
    for name in ("major_variance", "pull", "angle", "chances", "normals"):
        old, new = (np.asarray(getattr(x, name)).ravel() for x in (before, after))
        assert abs(new.mean() - old.mean()) < 4 * old.std() * np.sqrt(2 / len(old))
        assert abs(new.std() / old.std() - 1) < 0.05
        assert 0.9 < np.corrcoef(old, new)[0, 1] < 0.98, "the root of 1 - 0.3^2 for normal values"
    np.testing.assert_array_equal(before.level, after.level)


def test_chains_of_camera_shake_agree_with_weighted_draws_of_the_prior_and_are_in_balance():
    made = chains.build(SHAKE, partial(log_likelihood, width=0.5))
    latent, info = run(jax.random.key(6), made, 128, 100)
    kernels = jax.vmap(SHAKE.render)(jax.tree.map(lambda x: x[40::8].reshape(-1, *x.shape[3:]), latent))
    draws = sample_kernels(jax.random.key(7), SHAKE, 4000)
    weights = jax.nn.softmax(log_likelihood(draws, width=0.5))
    mixed, wanted = (jax.vmap(geometry.covariance)(x)[:, 0, 1] for x in (kernels, draws))
    size = 1 / float(jnp.sum(weights**2))
    assert size > 100
    spread = float(jnp.sqrt(weights @ (wanted - weights @ wanted) ** 2))
    assert abs(float(mixed.mean() - weights @ wanted)) < 4 * spread / np.sqrt(size)
    nudged, fresh = (float(x[40:, 0].mean()) for x in (info.nudged, info.fresh))
    assert nudged > 0.2 > fresh
    tilted = np.asarray(latent.major_variance)[40:, 0] > 2.5
    there, back = np.sum(~tilted[:-1] & tilted[1:]), np.sum(tilted[:-1] & ~tilted[1:])
    assert there > 100 and abs(there - back) <= 4 * np.sqrt(there + back)


def test_a_mixture_finds_the_member_that_explains_the_data():
    family = mixture([FAMILY, load_family("disc", scale=2, kernel_size=11)])
    latent, _ = run(jax.random.key(4), chains.build(family, partial(log_likelihood, width=0.1)), 64, 150)
    assert np.mean(np.asarray(latent.index)[-50:] == 0) > 0.95, "a disc has no mixed moment"


def test_agreement_and_size_of_known_series():
    rng = np.random.default_rng(0)
    white = jnp.asarray(rng.standard_normal((400, 8)), jnp.float32)
    assert abs(float(chains.split_rhat(white)) - 1) < 0.01 and 2000 < float(chains.effective_size(white)) < 4200
    assert float(chains.split_rhat(white + 3 * jnp.arange(8.0)[None])) > 2
    slow = np.zeros((400, 8))
    for i in range(1, 400):
        slow[i] = 0.9 * slow[i - 1] + rng.standard_normal(8)
    assert 80 < float(chains.effective_size(jnp.asarray(slow, jnp.float32))) < 400, "a twentieth of them: (1-r)/(1+r)"


@pytest.mark.parametrize("betas", [(), (0.5,), (1.0, 1.0), (1.0, -0.1)])
def test_temperatures_fall_from_one(betas):
    with pytest.raises(ValueError, match="betas is .*expected numbers that fall from 1"):
        chains.build(FAMILY, log_likelihood, betas=betas)
