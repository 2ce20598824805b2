"""What is made of log evidences: weights, moments, intervals and probabilities on distributions that are known."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.evaluation import metrics
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.inference import evidence
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family, sample_kernels
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.networks.evidence import Evidence
from tests import small

NET = Evidence(scale=2, kernel_size=7, channels=2, hidden=6, features=4, reach=3)
observe = jax.jit(partial(evidence.observe, network=NET), static_argnames=("window", "gain"))
log_evidence = jax.jit(partial(evidence.log_evidence, network=NET))
posterior = jax.jit(partial(evidence.posterior, num_families=3))


@pytest.fixture(scope="module")
def params():
    return small.random_params(NET, jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 7, 7)), std=0.3)


@pytest.fixture(scope="module")
def prior():
    kernels = sample_kernels(jax.random.key(0), load_family("gaussian", scale=2, kernel_size=7), 60)
    return evidence.make_prior(kernels, jnp.arange(60) % 3)


def test_a_flat_evidence_leaves_the_prior(prior):
    found = posterior(jnp.full(60, 3.7), prior)
    np.testing.assert_allclose(found.weights, 1 / 60, rtol=1e-5)
    np.testing.assert_allclose(found.kernel_mean, prior.kernels.mean(0), atol=1e-6)
    np.testing.assert_allclose(found.kernel_std, prior.kernels.std(0), atol=1e-5)
    np.testing.assert_allclose(found.families, 1 / 3, rtol=1e-5)
    np.testing.assert_allclose(evidence.effective_size(found.weights), 60, rtol=1e-4)


def test_a_sharp_evidence_leaves_one_kernel(prior):
    found = posterior(jnp.zeros(60).at[7].set(100.0), prior)
    np.testing.assert_allclose(found.kernel_mean, prior.kernels[7], atol=1e-6)
    assert found.kernel_std.max() < 1e-6 and found.families[1] > 0.999
    np.testing.assert_allclose(found.width.center, prior.shapes.width[7], rtol=0.2)
    np.testing.assert_allclose(evidence.confidence(found.kernel_mean, found.weights, prior), 1, rtol=1e-5)


def test_the_temperature_widens_and_weights_sum_to_one():
    logs = jax.random.normal(jax.random.key(1), (50,)) * 5
    sizes = [float(evidence.effective_size(evidence.weigh(logs, t))) for t in (0.5, 1.0, 2.0, 8.0)]
    assert sizes == sorted(sizes) and sizes[0] < 5 < 30 < sizes[-1]
    np.testing.assert_allclose(evidence.weigh(logs, 1.5).sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(evidence.weigh(logs + 1000.0), evidence.weigh(logs), rtol=1e-3)


def test_intervals_of_a_normal_distribution():
    values = jnp.linspace(-6, 10, 4001)
    weights = jax.nn.softmax(-((values - 2) ** 2) / (2 * 0.5**2))
    found = evidence.central_interval(values, weights)
    reach = 0.5 * np.array([0.6745, 1.2816, 1.9600])
    np.testing.assert_allclose(found.center, 2, atol=0.01)
    np.testing.assert_allclose(found.low, 2 - reach, atol=0.01)
    np.testing.assert_allclose(found.high, 2 + reach, atol=0.01)


def test_quantiles_do_not_depend_on_the_order():
    values, weights = jnp.asarray([3.0, 1.0, 2.0]), jnp.asarray([0.2, 0.5, 0.3])
    np.testing.assert_allclose(evidence.quantiles(values, weights, [0.0, 0.25, 1.0]), [1, 1, 3], atol=1e-6)
    turned = evidence.quantiles(values[::-1], weights[::-1], [0.0, 0.25, 1.0])
    np.testing.assert_allclose(turned, [1, 1, 3], atol=1e-6)


def test_axes_near_zero_and_near_pi_are_neighbours():
    found = evidence.axis_interval(jnp.asarray([0.1, math.pi - 0.1]), jnp.asarray([0.5, 0.5]))
    assert evidence.axis_distance(found.center, 0.0) < 1e-3
    np.testing.assert_allclose(found.high - found.low, 0.2, atol=1e-3)
    np.testing.assert_allclose(
        evidence.axis_distance(jnp.asarray([0.1, 2.0, 3.1]), 0.0), [0.1, 1.1416, 0.0416], atol=1e-3
    )


def test_unknown_axes_have_an_interval_of_all_directions():
    angles = jnp.linspace(0, math.pi, 721)[:-1]
    found = evidence.axis_interval(angles, jnp.full(720, 1 / 720))
    np.testing.assert_allclose(found.high - found.low, math.pi * np.asarray(evidence.LEVELS), rtol=0.01)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.5, 2.8])
def test_shapes_of_a_gaussian(angle):
    kernel = gaussian_kernel(jnp.asarray([3.0, 1.0]), jnp.float32(angle), kernel_size=31, center=15.0)
    found = evidence.shapes(kernel[None])
    np.testing.assert_allclose(found.width[0], 2**0.5, rtol=1e-3)
    assert evidence.axis_distance(found.direction[0], angle) < 1e-3


def test_confidence_is_the_weight_of_the_kernels_that_are_close(prior):
    weights = jax.nn.softmax(jax.random.normal(jax.random.key(2), (60,)))
    estimate = prior.kernels[4]
    errors = np.array([metrics.kernel_cov_error(estimate, truth) for truth in prior.kernels])
    np.testing.assert_allclose(
        evidence.covariance_errors(estimate, prior.shapes.covariance), errors, rtol=1e-3, atol=1e-4
    )
    expected = np.asarray(weights)[errors < 0.25].sum()
    np.testing.assert_allclose(evidence.confidence(estimate, weights, prior), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "kernel_size, kernel_center", [(7, "release"), (7, "aligned"), (5, "aligned"), (11, "release")]
)
def test_kernels_of_any_problem_come_into_the_window_of_the_network(kernel_size, kernel_center):
    spec = make_spec(scale=2, kernel_size=kernel_size, kernel_center=kernel_center)
    kernel = gaussian_kernel(jnp.asarray([0.4, 0.3]), jnp.float32(0.2), kernel_size=kernel_size, center=spec.center)
    moved = evidence.to_network(kernel[None], spec, 7)[0]
    assert moved.shape == (7, 7)
    np.testing.assert_allclose(geometry.center_of_mass(moved), 2.5, atol=0.02)
    np.testing.assert_allclose(geometry.covariance(moved), geometry.covariance(kernel), atol=0.02)


def test_an_image_of_one_window_is_scored_as_the_network_does(params, prior):
    lr = jax.random.uniform(jax.random.key(3), (20, 17, 3))
    seen = observe(params, lr, window=24)
    found = log_evidence(params, seen, prior.kernels)
    np.testing.assert_allclose(found, jax.jit(NET.apply)(params, lr[None], prior.kernels)[0], rtol=1e-4, atol=1e-5)


def test_gray_images_are_three_equal_colours(params):
    lr = jax.random.uniform(jax.random.key(4), (16, 16, 1))
    pair = [observe(params, x) for x in (lr, jnp.repeat(lr, 3, -1))]
    np.testing.assert_allclose(pair[0].embedding, pair[1].embedding, rtol=1e-5)


@pytest.mark.parametrize("gain, strength", [(0.0, 1.0), (0.5, 2.0), (1.0, 4.0)])
def test_windows_count_as_the_gain_says(params, prior, gain, strength):
    lr = jnp.tile(jax.random.uniform(jax.random.key(5), (12, 12, 3)), (2, 2, 1))
    one = observe(params, lr[:12, :12], window=12)
    four = observe(params, lr, window=12, gain=gain)
    np.testing.assert_allclose(four.strength, strength)
    pair = [log_evidence(params, seen, prior.kernels) for seen in (one, four)]
    np.testing.assert_allclose(pair[1], strength * pair[0], rtol=1e-4, atol=1e-5)
