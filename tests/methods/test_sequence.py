"""An estimator and then a restorer; a joint solver that starts at an estimate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.config import base_config
from blindsr_jax.methods import build, sequence
from blindsr_jax.methods.interfaces import Solver, State, Weights
from blindsr_jax.solvers.loop import solve
from tests import small


def counter(*, is_estimator):
    """Counts its steps in its kernel, or in its image; multiplies with its weights."""

    def init(key, problem, kernel=None, weights=None):
        del key
        assert is_estimator or kernel is not None
        k = problem.spec.kernel_size
        start = jnp.zeros((k, k)) if is_estimator else kernel
        return State((), (), jnp.zeros(problem.canvas_shape), start)

    def step(key, state, problem, i, weights):
        del key
        zero = jnp.zeros(())
        trace = {"loss": jnp.asarray(i, jnp.float32), "residual": zero, "kernel_loss": zero}
        if is_estimator:
            return state._replace(kernel=state.kernel + weights), trace
        return state._replace(image=state.image + weights * state.kernel[0, 0]), trace

    return Solver(init, step, 8 if is_estimator else 12, weights=Weights(jnp.asarray(2.0 if is_estimator else 10.0)))


def test_one_after_the_other():
    both = sequence.sequence(counter(is_estimator=True), counter(is_estimator=False), estimator_steps=3)
    assert both.smallest_side == 12
    assert both.turns == (3,) and sequence.sequence(both, both, estimator_steps=5).turns == (3, 5, 8)
    for chunk in (5, 1):  # the border of the parts lies inside a chunk, and between two
        seen, steps = {}, {"num_steps": 5, "chunk_steps": chunk}
        result = solve(jax.random.key(0), small.problem(), both, on_chunk=seen.__setitem__, **steps)
        assert {3, 4} <= seen.keys()  # no call goes on into other work, and the first one there is short
        np.testing.assert_array_equal(result.kernel, np.full((7, 7), 6.0))
        np.testing.assert_array_equal(result.image, np.full((20, 24, 3), 120.0))
        np.testing.assert_array_equal(result.trace["loss"], [0, 1, 2, 0, 1])


def test_a_start_from_an_estimate():
    started = sequence.started_by(counter(is_estimator=True), counter(is_estimator=False))
    result = solve(jax.random.key(0), small.problem(), started, num_steps=2)
    np.testing.assert_array_equal(result.kernel, np.full((7, 7), 2.0))
    given = jnp.full((7, 7), 5.0)
    np.testing.assert_array_equal(
        solve(jax.random.key(0), small.problem(), started, num_steps=2, kernel=given).kernel, given
    )


def pipeline(**names):
    config = base_config()
    config.update(names)
    return config


def test_steps_of_a_pipeline():
    config = pipeline(estimator="dkp", restorer="dip")
    assert build.stage_steps(config) == (300, 500) and build.num_steps(config) == 800
    config.estimators = {"dkp": {"num_steps": 310}}
    assert build.stage_steps(config) == (350, 500)  # a whole number of chunks
    build.give_kernel(config)
    assert build.stage_steps(config) == (0, 500)
    assert build.num_steps(base_config()) == base_config().num_steps


@pytest.mark.parametrize(
    "names, words",
    [
        ({"estimator": "dkp"}, "config.restorer is not given"),
        ({"restorer": "dip"}, "config.estimator is not given"),
        (
            {"estimator": "eyes", "restorer": "dip"},
            "config.estimator is 'eyes', expected one of .*dkp, ensemble, given",
        ),
        ({"estimator": "dkp", "restorer": "paint"}, "config.restorer is 'paint', expected one of cubic, dif"),
        ({"kernel_init": "dkp"}, "config.kernel_init is 'dkp', expected an estimator of one step"),
        ({"kernel_map": "4x3"}, "config.kernel_map is given and config.restorer is None, expected tiles"),
        (
            {"kernel_map": "4x3", "estimator": "mean", "restorer": "tiles"},
            "config.kernel_map is given and the estimator 'mean' gives one kernel, expected kenet",
        ),
    ],
)
def test_what_cannot_be_composed(names, words):
    with pytest.raises(ValueError, match=words):
        build.build_solver(pipeline(**names), small.spec())


def test_options_of_parts():
    config = pipeline(estimator="dkp", restorer="dip")
    config.restorers = {"dip": {"colour": 3}}
    with pytest.raises(ValueError, match="config.restorers.dip.colour is unknown"):
        build.build_solver(config, small.spec())
