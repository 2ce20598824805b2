"""The kernel of a known image: exact where the image is, held by the posterior where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.inference import kernel_update as update
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.gaussian import gaussian_kernel

SCALES = (1, 2, 4)


def known(scale, noise_std=0.0, mask=None):
    """A problem, its sharp canvas and its kernel, which no Gaussian of the prior is."""
    spec = make_spec(scale=scale, kernel_size=9, boundary="valid")
    middle = geometry.center(9, scale, spec.kernel_center)
    two = [
        gaussian_kernel(jnp.array(v), jnp.float32(a), kernel_size=9, center=middle)
        for v, a in (((1.0, 3.0), 0.3), ((2.0, 0.5), 1.5))
    ]
    kernel = (two[0] + two[1]) / 2
    canvas = jax.random.uniform(jax.random.key(3), (24 * scale + 9 - scale, 24 * scale + 9 - scale, 3))
    lr = degrade(canvas, kernel, scale=scale, boundary="valid")
    lr = lr + noise_std * jax.random.normal(jax.random.key(4), lr.shape)
    return Problem(lr, spec, mask=mask), canvas, kernel


def wide(problem, number=400):
    """Moments of Gaussians of all widths."""
    spec = problem.spec
    middle = geometry.center(9, spec.scale, spec.kernel_center)
    variances = jax.random.uniform(jax.random.key(1), (number, 2), minval=0.5, maxval=4.0)
    angles = jax.random.uniform(jax.random.key(2), (number,), maxval=jnp.pi)
    draw = jax.vmap(lambda v, a: gaussian_kernel(v, a, kernel_size=9, center=middle))
    return update.moments(draw(variances, angles), jnp.full((number,), 1 / number))


@pytest.mark.parametrize("scale", SCALES)
def test_the_kernel_of_a_sharp_image_is_found(scale):
    problem, canvas, kernel = known(scale)
    prior = wide(problem)
    found = prior.mean
    for _ in range(3):  # the misfit falls, and the prior with it
        found = update.most_likely(update.gradient_quadratic(canvas, found, problem), prior, 100.0)
    assert found.min() >= 0 and abs(found.sum() - 1) < 1e-5
    error, before = (np.abs(x - kernel).max() for x in (found, prior.mean))
    assert error < 0.1 * before


def test_differences_of_neighbours_are_what_is_compared():
    problem, canvas, _ = known(2)
    other = gaussian_kernel(jnp.array([1.5, 1.5]), jnp.float32(0), kernel_size=9, center=problem.spec.kernel_size / 2)
    term = update.gradient_quadratic(canvas, other, problem)
    apart = degrade(canvas, other, scale=2, boundary="valid") - problem.lr
    expected = sum(float(jnp.sum(jnp.diff(apart, axis=axis) ** 2)) for axis in (0, 1))
    assert term.constant == pytest.approx(expected, rel=1e-4)
    assert term.count == 2 * 23 * 24 * 3


def test_hidden_values_do_not_count():
    mask = jnp.ones((24, 24, 3), bool).at[5:9, 7].set(False)
    problem, canvas, kernel = known(2, mask=mask)
    spoilt = Problem(jnp.where(mask, problem.lr, 9.0), problem.spec, mask=mask)
    first, second = (update.gradient_quadratic(canvas, kernel, x) for x in (problem, spoilt))
    assert first.count == second.count < 2 * 23 * 24 * 3
    np.testing.assert_allclose(first.constant, second.constant, atol=1e-6)
    np.testing.assert_allclose(first.gram, second.gram, rtol=1e-6)


def test_what_an_image_does_not_tell_comes_from_the_posterior():
    problem, canvas, _ = known(2)
    flat = Problem(jnp.full_like(problem.lr, 0.5), problem.spec)
    prior = wide(problem)
    found = update.most_likely(update.gradient_quadratic(jnp.full_like(canvas, 0.5), prior.mean, flat), prior, 100.0)
    np.testing.assert_allclose(found, prior.mean, atol=1e-6)


def test_more_noise_leaves_more_to_the_posterior():
    def moved(noise_std):
        problem, canvas, _ = known(2, noise_std)
        prior = wide(problem)
        found = update.most_likely(update.gradient_quadratic(canvas, prior.mean, problem), prior, independent=1.0)
        return float(jnp.abs(found - prior.mean).sum())

    assert moved(0.5) < 0.5 * moved(0.0)


def test_the_projection_is_the_nearest_point_of_the_simplex():
    values = jax.random.normal(jax.random.key(0), (40,))
    found = update.to_simplex(values)
    assert found.min() >= 0 and abs(found.sum() - 1) < 1e-6
    others = jax.random.dirichlet(jax.random.key(1), jnp.full(40, 0.1), (2000,))
    assert jnp.sum((found - values) ** 2) <= jnp.sum((others - values[None]) ** 2, 1).min()
    np.testing.assert_allclose(update.to_simplex(found), found, atol=1e-6)


def test_moments_are_those_of_the_draws():
    draws, weights = (
        jax.random.uniform(jax.random.key(0), (500, 3, 3)),
        jax.random.dirichlet(jax.random.key(1), jnp.ones(500)),
    )
    found = update.moments(draws, weights, floor=1e-2)
    flat = np.asarray(draws).reshape(500, 9)
    np.testing.assert_allclose(found.mean, np.average(draws, 0, weights), rtol=1e-5)
    covariance = np.cov(flat.T, aweights=weights, ddof=0) + 1e-4 * np.eye(9)
    np.testing.assert_allclose(found.precision @ covariance, np.eye(9), atol=1e-3)
