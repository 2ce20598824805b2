"""The engine: it descends, averages, splits batches over devices, and refuses what it does not know."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.training import engine

SETTINGS = engine.Settings(num_epochs=3, steps_per_epoch=40, batch_size=8, learning_rate=0.1, warmup_steps=5)


def quadratic():
    """The mean of noisy squared distances to (1, -2)."""

    def loss(params, keys, data):
        noise = jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)
        return jnp.mean(((params - data)[None] - 0.1 * noise) ** 2), {"first": params[0]}

    return engine.Task(lambda key: 0 * jax.random.normal(key, (2,)), loss)


TASK, GOAL = quadratic(), jnp.asarray([1.0, -2.0])


def run(mesh=None):
    state = engine.init(jax.random.key(0), TASK, SETTINGS)
    for _ in range(SETTINGS.num_epochs):
        state, found = engine.run_epoch(jax.random.key(1), state, GOAL, task=TASK, settings=SETTINGS, mesh=mesh)
    return state, found


def test_it_descends_and_averages():
    state, found = run()
    assert int(state.step) == SETTINGS.num_steps and set(found) == {"loss", "first"}
    np.testing.assert_allclose(state.params, GOAL, atol=0.02)
    np.testing.assert_allclose(state.average, GOAL, atol=0.3)
    assert not np.array_equal(state.average, state.params)


def test_the_rate_rises_and_falls():
    moves, params = engine.optimizer(SETTINGS), jnp.ones(1)
    state, sizes = moves.init(params), []
    for _ in range(SETTINGS.num_steps):
        updates, state = moves.update(jnp.ones(1), state, params)
        sizes.append(float(-updates[0]))
    assert sizes[0] < 0.2 * max(sizes) and sizes[-1] < 0.01 * max(sizes)
    np.testing.assert_allclose(max(sizes), SETTINGS.learning_rate, rtol=0.02)


def test_an_unknown_schedule():
    with pytest.raises(ValueError, match="config.schedule is 'linear', expected one of cosine, constant, clock"):
        engine.optimizer(SETTINGS._replace(schedule="linear"))


# In a process of its own, as the number of devices is fixed when jax starts.
SPLIT = """
import numpy as np
from blindsr_jax.solvers.batch import device_mesh
from tests.training.test_engine import run
mesh = device_mesh()
assert mesh.size == 4
np.testing.assert_allclose(run(mesh)[0].params, run()[0].params, rtol=1e-5)
print("equal")
"""


@pytest.mark.long
def test_devices_share_a_batch():
    import os

    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", SPLIT], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "equal\n", done.stderr


def test_the_rate_of_the_clock_falls_to_zero_with_the_time():
    settings = SETTINGS._replace(schedule="clock", warmup_steps=60)
    state, rates = engine.init(jax.random.key(0), TASK, settings), []
    for share in (0.0, 0.3, 0.7, 1.0):
        state = engine.set_rate(state, settings, share)
        rates.append(float(state.opt.hyperparams["learning_rate"]))
        before = state.params + 0
        state, _ = engine.run_epoch(jax.random.key(1), state, GOAL, task=TASK, settings=settings)
    # It rises in the first two epochs of 40 steps.
    np.testing.assert_allclose(rates, np.array([40 / 61, 1, 0.5, 0]) * settings.learning_rate, rtol=1e-5)
    np.testing.assert_array_equal(state.params, before)
