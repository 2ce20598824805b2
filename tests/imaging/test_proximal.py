from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import proximal
from blindsr_jax.imaging.degradation import adjoint, degrade
from blindsr_jax.imaging.problem import Spec

CASES = [(1, 7, 1e-4), (2, 11, 1e-6), (3, 15, 1e-2), (4, 5, 1.0)]
BOUNDARIES = ("circular", "valid")
solve = jax.jit(proximal.solve_data, static_argnames=("spec", "num_iterations"))


blur = jax.jit(degrade, static_argnames=("scale", "boundary"))


def case(scale, size, boundary, dtype=np.float64):
    """A prior, an LR image of another image, and a kernel without symmetry."""
    spec = Spec(scale, size, boundary, "aligned")
    rng = np.random.default_rng(scale)
    h, w = 24 // scale + 1, 24 // scale + 4
    prior, image = rng.random((2, *spec.canvas_shape((h, w, 2)), 2))
    kernel = rng.random((size, size)) ** 4
    kernel /= kernel.sum()
    lr = blur(jnp.asarray(image, dtype), jnp.asarray(kernel, dtype), scale=scale, boundary=boundary)
    return spec, jnp.asarray(prior, dtype), lr, jnp.asarray(kernel, dtype)


@partial(jax.jit, static_argnames="spec")
def gradient(x, prior, lr, kernel, weight, *, spec):
    residual = degrade(x, kernel, scale=spec.scale, boundary=spec.boundary) - lr
    back = adjoint(residual, kernel, scale=spec.scale, boundary=spec.boundary, image_shape=x.shape)
    return back + weight * (x - prior)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("scale, size, weight", CASES)
def test_the_normal_equations_hold_and_single_precision_keeps_its_digits(scale, size, weight, boundary):
    spec, *data = case(scale, size, boundary, np.float32)
    found = solve(*data, weight, spec=spec, num_iterations=100)
    assert found.dtype == jnp.float32
    with jax.enable_x64(True):
        wide = [jnp.asarray(x, jnp.float64) for x in data]
        exact = solve(*wide, weight, spec=spec, num_iterations=100)
        np.testing.assert_allclose(gradient(exact, *wide, weight, spec=spec), 0, atol=1e-13)
    np.testing.assert_allclose(found, exact, atol=1e-5)


def test_half_precision_is_computed_wide():
    spec, prior, lr, kernel = case(2, 11, "circular", np.float32)
    half = jnp.asarray(prior, jnp.bfloat16)
    found = solve(half, lr, kernel, 1e-4, spec=spec)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, solve(half.astype(jnp.float32), lr, kernel, 1e-4, spec=spec))


def test_too_many_iterations_do_no_harm():
    spec, *data = case(4, 5, "circular", np.float32)
    exact = solve(*data, 1e-6, spec=spec)
    found = jax.jit(partial(proximal.conjugate_gradients, spec=spec, num_iterations=200))(*data, 1e-6)
    np.testing.assert_allclose(found, exact, atol=1e-5)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_under_vmap_with_traced_kernels_and_weights(boundary):
    spec, *data = case(2, 11, boundary, np.float32)
    stack = [jnp.stack([x, x[::-1]]) for x in data]
    weights = jnp.asarray([1e-2, 1e-4], jnp.float32)
    together = jax.jit(jax.vmap(lambda *args: proximal.solve_data(*args, spec=spec)))(*stack, weights)
    for i in range(2):
        alone = solve(*(x[i] for x in stack), weights[i], spec=spec)
        np.testing.assert_allclose(together[i], alone, atol=5e-6)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradients_pass_through(boundary):
    """Of a function of everything but the LR image, against a difference quotient."""
    with jax.enable_x64(True):
        spec, prior, lr, kernel = case(2, 11, boundary)
        log_weight = jnp.log(jnp.asarray(1e-2))

        def energy(prior, kernel, log_weight):
            return jnp.sum(
                proximal.solve_data(prior, lr, kernel, jnp.exp(log_weight), spec=spec, num_iterations=60) ** 3
            )

        at = (prior, kernel, log_weight)
        value_and_slopes = jax.jit(jax.value_and_grad(energy, (0, 1, 2)))
        slopes = value_and_slopes(*at)[1]
        steps = [1e-6 * jnp.cos(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape) for x in at]
        ahead, behind = ([x + sign * d for x, d in zip(at, steps, strict=True)] for sign in (1, -1))
        slope = sum(jnp.vdot(g, d) for g, d in zip(slopes, steps, strict=True))
        np.testing.assert_allclose(slope, (value_and_slopes(*ahead)[0] - value_and_slopes(*behind)[0]) / 2, rtol=1e-6)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_gradient_step_goes_down_the_data_term(boundary):
    with jax.enable_x64(True):
        spec, prior, lr, kernel = case(3, 15, boundary)

        @jax.jit
        def energy(x):
            return jnp.sum((degrade(x, kernel, scale=3, boundary=boundary) - lr) ** 2)

        found = jax.jit(proximal.gradient_step, static_argnames="spec")(prior, lr, kernel, 0.25, spec=spec)
        np.testing.assert_allclose(found, prior - 0.25 * jax.jit(jax.grad(energy))(prior), atol=1e-14)
        assert energy(found) < energy(prior)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_values_under_a_mask_take_no_part(boundary):
    """The minimiser is that of the equations without the hidden values, whatever stands there."""
    with jax.enable_x64(True):
        spec, prior, lr, kernel = case(2, 11, boundary)
        mask = jax.random.bernoulli(jax.random.key(3), 0.7, lr.shape)

        def run(lr, mask=None):
            return solve(prior, lr, kernel, 0.1, spec=spec, num_iterations=60, mask=mask)

        @jax.jit
        @jax.grad
        def slope(x):
            error = jnp.where(mask, degrade(x, kernel, scale=2, boundary=boundary) - lr, 0)
            return jnp.sum(error**2) + 0.1 * jnp.sum((x - prior) ** 2)

        found = run(lr, mask)
        np.testing.assert_allclose(run(jnp.where(mask, lr, 7), mask), found, atol=1e-10)
        assert np.abs(slope(found)).max() < 1e-8 < np.abs(slope(run(lr))).max()
