"""Laws of a whole solve: what another scene that is the same but for its form must come to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.problem import Problem
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import given
from blindsr_jax.solvers.loop import solve
from tests import small

STEPS = {"num_steps": 6, "chunk_steps": 6}


def solved(lr):
    solver = joint(small.pixels(), small.kernel_model(), ssim_steps=0)
    return solve(jax.random.key(3), Problem(lr, small.spec()), solver, **STEPS)


def test_a_gray_image_is_solved_as_three_equal_colours():
    gray = small.problem().lr[..., :1]
    found = solved(jnp.broadcast_to(gray, (*gray.shape[:2], 3)))
    np.testing.assert_array_equal(found.image, found.image[..., [0, 0, 0]])
    assert np.ptp(np.asarray(found.image)) > 0.01


@pytest.mark.long
def test_the_order_of_the_colours_is_nothing():
    lr = small.problem().lr
    found, mixed = solved(lr), solved(lr[..., [2, 0, 1]])
    np.testing.assert_allclose(mixed.image, found.image[..., [2, 0, 1]], atol=2e-4)
    np.testing.assert_allclose(mixed.kernel, found.kernel, atol=2e-4)
    assert np.abs(np.asarray(found.image)[..., 0] - np.asarray(found.image)[..., 1]).max() > 0.01


@pytest.mark.long
def test_a_transposed_image_is_solved_by_the_transposed_one():
    lr = small.problem().lr
    kernel = jnp.asarray(np.random.default_rng(0).uniform(size=(7, 7)), jnp.float32)
    kernel /= kernel.sum()
    solver = joint(small.pixels(), given.build(small.spec()), ssim_steps=0)

    def image(lr, kernel):
        return np.asarray(solve(jax.random.key(0), Problem(lr, small.spec()), solver, kernel=kernel, **STEPS).image)

    found = image(lr, kernel)
    np.testing.assert_allclose(image(lr.swapaxes(0, 1), kernel.T).swapaxes(0, 1), found, atol=1e-5)
    assert np.abs(image(lr, kernel.T) - found).max() > 1e-3  # the kernel is not symmetric
