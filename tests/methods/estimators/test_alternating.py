"""Kernel and image in turn: nearer to the truth for camera shake, left alone for what needs no shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import family, geometry
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.methods.estimators import alternating, posterior
from blindsr_jax.methods.interfaces import State
from blindsr_jax.methods.restorers import usrnet
from blindsr_jax.networks.usrnet import USRNet
from blindsr_jax.solvers.loop import solve
from blindsr_jax.weights import usrnet as usrnet_weights

SPEC = make_spec(scale=2, kernel_size=15, boundary="valid", kernel_center="aligned")
SHARP = jnp.asarray(skimage.data.astronaut()[20:161, 160:301] / 255, jnp.float32)


def blurred(kernel, mask=None):
    return Problem(degrade(SHARP, kernel, scale=2, boundary="valid"), SPEC, jnp.float32(0.0), mask)


def error(kernel, problem):
    """Mean squared error of the image that USRNet makes with a kernel."""
    trained = usrnet_weights.load("wide")
    network = USRNet(trained.config, data_iterations=5)
    canvas, _ = usrnet.restore(network, trained.params, problem, kernel, 1 / 255)
    return float(jnp.mean((SPEC.crop(canvas, problem.lr.shape) - SPEC.crop(SHARP, problem.lr.shape)) ** 2))


@pytest.fixture(scope="module")
def solvers():
    return posterior.build(SPEC), alternating.build(SPEC, side=64, num_windows=1)


@pytest.fixture(scope="module")
def shaken():
    """Camera shake, (n, k, k): draws of the family that are long."""
    shakes = family.load_family("trajectory", kernel_size=15, scale=2, kernel_center="aligned")
    kernels = family.sample_kernels(jax.random.key(5), shakes, 32)
    variances = jax.vmap(lambda k: jnp.linalg.eigvalsh(geometry.covariance(k)))(kernels)
    return kernels[(variances[:, 1] > 2) & (variances[:, 1] > 3 * variances[:, 0])][:4]


def test_camera_shake_is_found_better_than_by_the_posterior_alone(solvers, shaken):
    gains = []
    for kernel in shaken:
        problem = blurred(kernel)
        start, found = (solve(jax.random.key(0), problem, solver).kernel for solver in solvers)
        assert found.min() >= 0 and abs(float(found.sum()) - 1) < 1e-5
        gains.append(10 * np.log10(error(start, problem) / error(found, problem)))
    assert np.mean(gains) > 0.3, gains


def test_a_gaussian_is_left_to_the_posterior(solvers):
    wide = gaussian_kernel(
        jnp.array([3.0, 2.0]), jnp.float32(0.3), kernel_size=15, center=geometry.center(15, 2, "aligned")
    )
    start, found = (solve(jax.random.key(0), blurred(wide), solver) for solver in solvers)
    np.testing.assert_allclose(found.kernel, start.kernel, atol=1e-6)
    np.testing.assert_allclose(found.state.kernel_state, start.state.kernel_state, atol=1e-5)


def test_values_that_do_not_count_change_nothing(solvers, shaken):
    kernel = shaken[0]
    mask = jnp.ones((64, 64, 3), bool).at[20:24, 30:34].set(False)
    problem = blurred(kernel, mask)
    assert problem.lr.shape == mask.shape
    spoilt = Problem(jnp.where(mask, problem.lr, 0.7), SPEC, problem.noise_std, mask)
    start = posterior.build(SPEC)
    first, second = (solve(jax.random.key(0), x, solvers[1]).kernel for x in (problem, spoilt))
    moved = np.abs(
        solve(jax.random.key(0), problem, start).kernel - solve(jax.random.key(0), spoilt, start).kernel
    ).sum()
    assert np.abs(first - second).sum() < 0.1 + 2 * moved


def test_a_restorer_is_told_less_doubt_than_of_a_mean_kernel():
    problem = Problem(jnp.zeros((8, 8, 3)), SPEC, jnp.float32(0.01))
    mean, own = posterior.build(SPEC), alternating.build(SPEC)
    state = State((), jnp.array([0.0, 1.0, 0.0, 0.0, 0.0]), (), ())
    assert 0.01 < float(own.restorer_noise(state, problem)) < float(mean.restorer_noise(state, problem))


def test_a_refined_kernel_that_the_posterior_does_not_believe_is_not_taken(solvers, shaken, monkeypatch):
    """What the rounds find can be far from every kernel that the image allows."""
    del solvers
    problem = blurred(shaken[0])
    mean = solve(jax.random.key(0), problem, posterior.build(SPEC)).kernel
    far = jnp.zeros((15, 15)).at[:, 8].set(1 / 15)
    monkeypatch.setattr(alternating, "_refined", lambda *_: far)
    found = solve(jax.random.key(0), problem, alternating.build(SPEC, side=64, num_windows=1)).kernel
    np.testing.assert_allclose(found, mean, atol=1e-6)
