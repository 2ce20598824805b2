"""A joint solver stops at the noise: what would be fitted from there on is noise."""

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.problem import Problem
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import softmax
from blindsr_jax.solvers.batch import solve_batch
from blindsr_jax.solvers.loop import solve
from tests import small


def run(noise_std, num_steps=24, **options):
    solver = joint(small.pixels(), softmax.build(small.spec()), ssim_steps=0, **options)
    known = small.problem()
    problem = Problem(known.lr, known.spec, None if noise_std is None else jnp.float32(noise_std))
    return solve(jax.random.key(0), problem, solver, num_steps=num_steps, chunk_steps=4)


def test_an_image_stays_as_it_is_from_the_step_that_reaches_the_noise():
    free = run(0.0, noise_share=1.0)
    residual = np.asarray(free.trace["residual"])
    step = len(residual) // 2
    noise = float(np.sqrt(residual[step] * 1.0001))
    reached = int(np.argmax(residual <= noise**2))
    found = run(noise, noise_share=1.0)
    np.testing.assert_array_equal(found.trace["residual"][: reached + 1], residual[: reached + 1])
    np.testing.assert_array_equal(found.trace["residual"][reached:], residual[reached])
    np.testing.assert_array_equal(found.image, run(0.0, reached + 1, noise_share=1.0).image)
    assert np.abs(found.image - free.image).max() > 1e-4


def test_without_noise_or_share_nothing_stops():
    plain = run(0.5)
    for other in (run(None, noise_share=1.0), run(0.0, noise_share=1.0)):
        np.testing.assert_allclose(other.image, plain.image, atol=1e-5)


def test_together_one_image_stops_and_another_goes_on():
    solver = joint(small.pixels(), softmax.build(small.spec()), ssim_steps=0, noise_share=1.0)
    known, noise = small.problem(), jnp.asarray([0.0, 0.5], jnp.float32)
    problems = Problem(jnp.stack([known.lr] * 2), known.spec, noise)
    keys = jnp.stack([jax.random.key(0)] * 2)
    found = solve_batch(keys, problems, solver, num_steps=8, chunk_steps=4, vectorize=True)
    for result, std in zip(found, (0.0, 0.5), strict=True):
        alone = run(std, 8, noise_share=1.0)
        np.testing.assert_allclose(result.image, alone.image, atol=1e-5)
        np.testing.assert_allclose(result.trace["residual"], alone.trace["residual"], rtol=1e-4)
    assert np.abs(found[0].image - found[1].image).max() > 1e-4
