"""The kernel half that samples: chains under the learned evidence and the current image."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import gaussian
from blindsr_jax.methods.interfaces import StepContext
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import posterior
from blindsr_jax.solvers.loop import solve
from tests import small


@functools.cache
def model(gives="mean"):
    """A small one; `best` differs in what it gives."""
    options = {"num_chains": 16, "num_draws": 128, "rounds": 8, "every": 2, "data_count": 200.0, "error_floor": 1e-6}
    return posterior.build(small.spec(), family=small.family(), gives=gives, **options)


@pytest.fixture(scope="module")
def truth():
    """The true kernel, image and problem."""
    spec = small.spec()
    kernel = gaussian.gaussian_kernel(
        jnp.array([2.0, 1.0]), jnp.array(0.4), kernel_size=spec.kernel_size, center=spec.center
    )
    image = jax.random.uniform(jax.random.key(1), (*spec.canvas_shape(small.LR_SHAPE), 3))
    return kernel, image, Problem(degrade(image, kernel, scale=2, boundary="valid"), spec)


def test_on_the_true_image_the_chains_come_close_to_the_true_kernel(truth):
    kernel, image, problem = truth
    made = model()
    state = jax.jit(made.init)(jax.random.key(0), problem, None, made.weights.tree)
    step, kernels = jax.jit(made.step), []
    for i in range(8):
        context = StepContext(jnp.int32(i), jnp.bool_(False))
        state, found, info = step(jax.random.key(i), state, image, problem, context, made.weights.tree)
        kernels.append(np.asarray(found))
        assert set(info.more) == set(made.reports) and all(np.isfinite(x) for x in info.more.values())
    np.testing.assert_array_equal(kernels[0], kernels[1], err_msg="they move in every second step")
    errors = [np.abs(k - kernel).sum() for k in kernels]
    assert errors[-1] < 0.1 and errors[-1] < errors[0] + 1e-3
    np.testing.assert_allclose(kernels[-1].sum(), 1, rtol=1e-5)
    assert 0 < info.more["chain_accepted"] < 1 and 0.9 < info.more["chain_rhat"] < 2


def test_the_chains_start_where_a_given_kernel_is(truth):
    kernel, _, problem = truth
    made = model()
    state = jax.jit(made.init)(jax.random.key(0), problem, kernel, made.weights.tree)
    assert np.abs(state.kernel - kernel).sum() < 0.2


def test_a_solve_reports_how_the_chains_went():
    solver = joint(small.pixels(), model("best"), ssim_steps=2, noise_share=1.0)
    assert solver.weights is not None
    result = solve(jax.random.key(0), small.problem(), solver, num_steps=4, chunk_steps=2)
    assert result.status == "ok" and set(posterior.REPORTS) < set(result.trace)
    np.testing.assert_allclose(result.kernel.sum(), 1, rtol=1e-5)
    assert (result.trace["chain_size"] <= 1).all()


def test_it_needs_a_network_of_the_scale():
    with pytest.raises(ValueError, match="evidence_x5"):
        posterior.build(make_spec(scale=5), family=small.family())
