import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import solve
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import BOUNDARIES, make_spec
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.methods.restorers import cubic
from tests import small


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("center", ["aligned", "release"])
@pytest.mark.parametrize("scale", [2, 3])
def test_the_enlargement_lies_where_the_kernel_says(scale, center, boundary):
    """A blurred ramp is a ramp through the same places: away from the border it must come back."""
    spec = make_spec(scale=scale, kernel_size=7, boundary=boundary, kernel_center=center)
    kernel = gaussian_kernel(jnp.asarray([0.8, 0.8]), jnp.asarray(0.0), kernel_size=7, center=spec.center)
    rows, columns = (jnp.arange(n) for n in spec.canvas_shape((12, 13, 1)))
    ramp = (rows[:, None] + 2 * columns[None, :])[..., None] / 150
    lr = degrade(ramp, kernel, scale=scale, boundary=boundary)
    large, edge = cubic.enlarge(lr, spec), 4 * scale
    assert large.shape == ramp.shape
    # The kernel's centre of mass is where it should be up to what the window cuts off.
    np.testing.assert_allclose(large[edge:-edge, edge:-edge], ramp[edge:-edge, edge:-edge], atol=2e-3)
    wider = cubic.enlarge(lr, spec, border=5)
    np.testing.assert_allclose(wider[5:-5, 5:-5], large, atol=1e-6)


def test_the_restorer_is_the_enlargement():
    problem, solver = small.problem(), cubic.build(small.spec())
    kernel = jnp.full((7, 7), 1 / 49)
    result = solve(jax.random.key(0), problem, solver, num_steps=1, kernel=kernel)
    expected = problem.spec.crop(jnp.clip(cubic.enlarge(problem.lr, problem.spec), 0, 1), problem.lr.shape)
    np.testing.assert_allclose(result.image, expected, atol=1e-6)
    np.testing.assert_array_equal(result.kernel, kernel)
    error = degrade(result.state.image, kernel, scale=2, boundary="valid") - problem.lr
    np.testing.assert_allclose(result.trace["residual"], jnp.mean(error**2)[None], rtol=1e-4)
    with pytest.raises(ValueError, match="needs a kernel"):
        solver.init(jax.random.key(0), problem)
