import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import data_quadratic
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels.family import sample_kernels
from blindsr_jax.kernels.gaussian import family as gaussian_family

quadratic, errors = jax.jit(data_quadratic.quadratic), jax.jit(data_quadratic.errors)


@jax.jit
def direct(image, kernels, problem):
    spec = problem.spec
    return jnp.stack(
        [jnp.mean((degrade(image, k, scale=spec.scale, boundary=spec.boundary) - problem.lr) ** 2) for k in kernels]
    )


def case(spec, lr_shape, dtype):
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.random((*spec.canvas_shape(lr_shape), lr_shape[-1])), dtype)
    lr = jnp.asarray(rng.random(lr_shape), dtype)
    family = gaussian_family(scale=spec.scale, kernel_size=spec.kernel_size, kernel_center=spec.kernel_center)
    kernels = sample_kernels(jax.random.key(1), family, 12).astype(dtype)
    return image, Problem(lr, spec), kernels


@pytest.mark.parametrize("boundary", ["circular", "valid"])
@pytest.mark.parametrize("scale, size", [(1, 7), (2, 11), (4, 19), (8, 21)])
def test_errors_equal_the_direct_residuals_in_float64(scale, size, boundary):
    spec = make_spec(scale=scale, kernel_size=size, boundary=boundary)
    with jax.enable_x64(True):
        image, problem, kernels = case(spec, (7, 9, 3), jnp.float64)
        term = quadratic(image, kernels[0], problem)
        np.testing.assert_allclose(errors(term, kernels), direct(image, kernels, problem), rtol=1e-10)


@pytest.mark.parametrize("boundary", ["circular", "valid"])
def test_blocks_of_rows_change_nothing(boundary, monkeypatch):
    spec = make_spec(scale=2, kernel_size=5, boundary=boundary)
    with jax.enable_x64(True):
        image, problem, kernels = case(spec, (11, 6, 3), jnp.float64)
        # Three rows a block: the last block reaches one row beyond the image.
        monkeypatch.setattr(data_quadratic, "_BLOCK_BYTES", 3 * 8 * 25 * 6 * 3)
        term = quadratic(image, kernels[0], problem)
        np.testing.assert_allclose(errors(term, kernels), direct(image, kernels, problem), rtol=1e-10)


def test_float32_keeps_its_digits_near_the_reference():
    """Residuals of 1e-3 a pixel under a kernel near the reference: the textbook form loses them, this one does not."""
    spec = make_spec(scale=4, boundary="circular", kernel_center="release")
    with jax.enable_x64(True):
        image, problem, kernels = case(spec, (20, 20, 3), jnp.float64)
        lr = degrade(image, kernels[0], scale=4, boundary="circular")
        problem = Problem(lr + 1e-3 * jax.random.normal(jax.random.key(0), lr.shape), spec)
        near = kernels[:1] + 0.01 * (kernels - kernels[:1])
        exact = np.asarray(direct(image, near, problem))
        image32, near32 = image.astype(jnp.float32), near.astype(jnp.float32)
        problem32 = Problem(problem.lr.astype(jnp.float32), spec)
    term = quadratic(image32, near32[0], problem32)
    np.testing.assert_allclose(errors(term, near32), exact, rtol=2e-4)


def test_terms_of_two_images_add_up():
    spec = make_spec(scale=2, kernel_size=5)
    with jax.enable_x64(True):
        image, problem, kernels = case(spec, (6, 6, 1), jnp.float64)
        other = 1 - image**2
        terms = [quadratic(x, kernels[0], problem) for x in (image, other)]
        total = data_quadratic.Quadratic(kernels[0], *(a + b for a, b in zip(terms[0][1:], terms[1][1:], strict=True)))
        expected = (direct(image, kernels, problem) + direct(other, kernels, problem)) / 2
        np.testing.assert_allclose(errors(total, kernels), expected, rtol=1e-10)


def test_values_under_a_mask_take_no_part():
    spec = make_spec(scale=2, kernel_size=5)
    with jax.enable_x64(True):
        image, problem, kernels = case(spec, (7, 9, 3), jnp.float64)
        mask = jax.random.bernoulli(jax.random.key(2), 0.7, problem.lr.shape)
        masked = Problem(jnp.where(mask, problem.lr, 5), spec, mask=mask)
        found = errors(quadratic(image, kernels[0], masked), kernels)
        every = [np.asarray(degrade(image, k, scale=2, boundary="valid") - problem.lr)[mask] for k in kernels]
        np.testing.assert_allclose(found, [np.mean(error**2) for error in every], rtol=1e-10)
