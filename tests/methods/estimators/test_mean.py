import jax
import numpy as np
import pytest

from blindsr_jax import solve
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import sample_kernels
from blindsr_jax.methods.estimators import mean
from tests import small


def test_the_mean_of_the_family_whatever_the_image():
    spec, family = small.spec(), small.family()
    solver = mean.build(spec, family=family, num_samples=512)
    one, other = (solve(jax.random.key(0), small.problem(x), solver, num_steps=1).kernel for x in (0.0, 1.0))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(one.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(geometry.center_of_mass(one), spec.center, atol=0.02)
    draws = np.asarray(sample_kernels(jax.random.key(7), family, 2048))  # others than the estimator's own
    np.testing.assert_allclose(one, draws.mean(0), atol=3 * draws.std() / np.sqrt(512))
    # No constant is nearer to the draws, by their squared distance.
    distance = [np.square(draws - kernel).sum((1, 2)).mean() for kernel in (np.asarray(one), draws[0])]
    assert distance[0] < distance[1]
    with pytest.raises(ValueError, match="num_samples 0"):
        mean.build(spec, family=family, num_samples=0)
