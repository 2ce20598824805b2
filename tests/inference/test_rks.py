import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.inference import rks
from blindsr_jax.kernels.family import sample_kernels
from tests import golden, small

CASES = ["typical", "spread", "equal", "one", "two", "tiny", "ten", "tie_min"]


@pytest.mark.parametrize("case", CASES)
def test_release_weights_golden(case):
    data = golden.load("09_mcmc_weights")
    weights = rks.release_weights(jnp.asarray(data[f"{case}_x_losses"]))
    np.testing.assert_allclose(weights, data[f"{case}_weights"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights @ data[f"{case}_k_losses"], data[f"{case}_lossk"], rtol=1e-5, atol=1e-6)


def test_the_target_has_the_gradient_of_the_weighted_sum():
    kernels = jax.random.uniform(jax.random.key(0), (5, 7, 7))
    weights = jnp.asarray([6.9, 1.7, 0.1, 2.5, 0.6])
    estimate = jax.random.uniform(jax.random.key(1), (7, 7))
    target = rks.combine(weights, kernels)

    def of_sum(k):
        return jnp.sum(weights * jnp.mean((kernels - k[None]) ** 2, (1, 2)))

    def of_target(k):
        return target.weight * jnp.mean((target.kernel - k) ** 2)

    np.testing.assert_allclose(jax.grad(of_target)(estimate), jax.grad(of_sum)(estimate), rtol=1e-4, atol=1e-6)


def test_posterior_weights_follow_temperature_and_strength():
    errors = jnp.asarray([1e-3, 1.1e-3, 2e-3])
    weights = rks.posterior_weights(errors, temperature=0.1, strength=3.0)
    np.testing.assert_allclose(weights.sum(), 3, rtol=1e-6)
    # One temperature above the best candidate costs a factor e.
    np.testing.assert_allclose(weights[1] / weights[0], np.exp(-1), rtol=1e-4)
    cold = rks.posterior_weights(errors, temperature=1e-3, strength=1.0)
    np.testing.assert_allclose(cold, [1, 0, 0], atol=1e-6)


def test_errors_below_the_floor_do_not_sharpen_the_posterior():
    """Two candidates 1e-5 apart: as far apart for an image that fits to 1e-6 as for one that fits to the floor."""
    floor, temperature = 1e-4, 0.1
    ratios = []
    for best in (1e-6, floor):
        errors = jnp.asarray([best, best + temperature * floor])
        weights = rks.posterior_weights(errors, temperature=temperature, strength=1.0, error_floor=floor)
        ratios.append(float(weights[1] / weights[0]))
    np.testing.assert_allclose(ratios, np.exp(-1), rtol=1e-4)


def test_other_knowledge_of_the_kernels_multiplies_the_weights():
    options = {"temperature": 0.1, "strength": 1.0}
    weights = rks.posterior_weights(jnp.full(2, 1e-3), log_prior=jnp.log(jnp.asarray([1.0, 3.0])), **options)
    np.testing.assert_allclose(weights, [0.25, 0.75], rtol=1e-5)


@pytest.mark.parametrize("boundary", ["circular", "valid"])
def test_candidate_errors_find_the_kernel_that_made_the_image(boundary):
    problem = small.problem(boundary=boundary)
    image = small.smooth_image(problem.canvas_shape)
    kernels = sample_kernels(jax.random.key(0), small.family(boundary), 6)
    made = degrade(image, kernels[3], scale=2, boundary=boundary)
    errors = rks.candidate_errors(image, kernels, type(problem)(made, problem.spec))
    assert int(jnp.argmin(errors)) == 3
    np.testing.assert_allclose(errors[3], 0, atol=1e-12)
