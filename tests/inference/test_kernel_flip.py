import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import Problem
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.inference import kernel_flip
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.gaussian import gaussian_kernel


def blocks(shape):
    """An image of flat areas with sharp edges."""
    h, w = shape
    values = jax.random.uniform(jax.random.key(1), (h // 8 + 1, w // 6 + 1))
    return jnp.repeat(jnp.repeat(values, 8, 0), 6, 1)[:h, :w, None]


def lopsided(spec):
    """A streak that grows fainter along its way."""
    points = jnp.linspace(-1, 1, 40)[:, None] ** 2 * jnp.asarray([[1.5, 3.0]])
    return geometry.splat(points - points.mean(0, keepdims=True) + spec.center, spec.kernel_size)


def make_problem(center="aligned", boundary="valid"):
    spec = make_spec(scale=2, kernel_size=11, boundary=boundary, kernel_center=center)
    kernel = lopsided(spec)
    lr = degrade(blocks(spec.canvas_shape((24, 26, 1))), kernel, scale=2, boundary=boundary)
    return Problem(jnp.round(255 * lr) / 255, spec), kernel


@pytest.mark.parametrize("center, boundary", [("aligned", "valid"), ("release", "circular")])
def test_tells_a_kernel_from_the_turned_one(center, boundary):
    problem, kernel = make_problem(center, boundary)
    given = kernel_flip.flip_test(problem, kernel)
    assert given.verdict == "given" and given.score_given < given.score_flipped
    other = kernel_flip.flip_test(problem, kernel_flip.flipped(kernel, problem.spec))
    assert other.verdict == "flipped"
    np.testing.assert_allclose(other[:2], given[1::-1], rtol=1e-4)


def test_the_turned_kernel_keeps_its_place():
    for center in geometry.CENTERS:
        spec = make_problem(center)[0].spec
        kernel = lopsided(spec)
        turned = kernel_flip.flipped(kernel, spec)
        np.testing.assert_allclose(geometry.center_of_mass(turned), spec.center, atol=1e-4)
        np.testing.assert_allclose(kernel_flip.flipped(turned, spec), kernel, atol=1e-6)
        assert float(jnp.abs(turned - kernel).max()) > 0.05


def test_cannot_tell():
    problem, kernel = make_problem()
    spec = problem.spec
    symmetric = gaussian_kernel(jnp.asarray([3.0, 0.7]), jnp.asarray(0.5), kernel_size=11, center=spec.center)
    assert kernel_flip.flip_test(problem, symmetric).verdict == "cannot tell"
    flat = Problem(jnp.full_like(problem.lr, 0.4), spec)
    assert kernel_flip.flip_test(flat, kernel).verdict == "cannot tell"


def test_the_energy_is_below_that_of_other_images():
    """A brute-force evaluation at the true image and at the start; total variation written out."""
    problem, kernel = make_problem()
    spec, lr = problem.spec, np.asarray(problem.lr)
    least = float(kernel_flip.energy(problem.lr, kernel, spec=spec))
    truth = blocks(spec.canvas_shape(lr.shape))
    for image in (truth, kernel_flip._start(problem.lr, spec)):
        error = np.asarray(degrade(image, kernel, scale=2, boundary="valid")) - lr
        variation = sum(np.abs(np.diff(np.asarray(image), axis=axis)).sum() for axis in (0, 1))
        assert 0 < least < (0.5 * (error**2).sum() + 2.5e-4 * variation) / lr.size


def test_the_busiest_part():
    image = jnp.zeros((30, 20, 1)).at[18:24, 9:13].set(blocks((6, 4)))
    part = kernel_flip._busiest(image, 8)
    assert part.shape == (8, 8, 1)
    np.testing.assert_allclose(jnp.abs(part).sum(), jnp.abs(image).sum(), rtol=1e-5)
    assert kernel_flip._busiest(image, 30) is image
    assert kernel_flip._busiest(image, 25).shape == (25, 20, 1)


def test_error():
    problem, _ = make_problem()
    with pytest.raises(ValueError, match=r"shape \(7, 7\), expected 11 x 11"):
        kernel_flip.flip_test(problem, jnp.ones((7, 7)) / 49)


def test_a_convolution_kernel_is_turned_to_the_cross_correlation_that_it_means():
    for center in geometry.CENTERS:
        spec = make_problem(center)[0].spec
        kernel = lopsided(spec)
        # As it is defined, and centred as if it were none.
        for turned in (geometry.flip(kernel), kernel_flip.flipped(kernel, spec)):
            np.testing.assert_allclose(kernel_flip.turn(turned, spec), kernel, atol=1e-6)
