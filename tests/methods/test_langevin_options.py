"""Langevin noise as an option of the parts that descend: it changes the result, and cools down to none."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from blindsr_jax.inference import langevin
from blindsr_jax.inference.optimizers import promoting
from blindsr_jax.methods.image_models import dip
from blindsr_jax.methods.interfaces import StepContext
from blindsr_jax.methods.kernel_models import dkp, fcn, flow, gaussian, softmax
from tests import small

KERNEL_MODELS = {
    "dkp": (dkp.build, {"family": small.family(), "num_samples": 2, "warmup_steps": 1, "hidden": 8, "data_every": 1}),
    "fcn": (fcn.build, {"hidden": 8}),
    "flow": (flow.build, {"freeze_steps": 0}),
    "gaussian": (gaussian.build, {}),
    "softmax": (softmax.build, {"freeze_steps": 0}),
}
IMAGE = small.smooth_image((*small.spec().canvas_shape(small.LR_SHAPE), 3))


@functools.cache
def true_kernel():
    return jax.jit(lambda key: small.family().render(small.family().sample(key)))(jax.random.key(3))


def states_after_a_step(model, *seeds):
    problem, kernel = small.problem(), true_kernel()
    context = StepContext(jnp.int32(0), jnp.bool_(False))

    @jax.jit
    def step(key):
        if hasattr(model, "predict"):
            state = model.init(jax.random.key(0), problem)
            image, residuals = model.predict(state, problem)
            return model.update(key, state, image, residuals, kernel, problem, context)[0].params
        state = model.init(jax.random.key(0), problem, None)
        return model.step(key, state, IMAGE, problem, context)[0].params

    states = [jax.tree.leaves(step(jax.random.key(seed))) for seed in seeds]
    return [np.concatenate([np.ravel(x) for x in state]) for state in states]


@pytest.mark.parametrize(
    "name",
    ["dkp", "gaussian", *(pytest.param(name, marks=pytest.mark.long) for name in ("dip", "fcn", "flow", "softmax"))],
)
def test_noise_is_added_when_a_temperature_is_given(name):
    build, options = KERNEL_MODELS.get(name, (dip.build, {"channels": 4, "skip_channels": 2, "levels": 1}))
    make = lambda **more: build(small.spec(), **options, **more)  # noqa: E731
    (plain,) = states_after_a_step(make(), 1)
    np.testing.assert_array_equal(plain, states_after_a_step(make(cooling_steps=5), 1)[0])
    hot = states_after_a_step(make(langevin_temperature=1e-2), 1, 2)
    assert not np.array_equal(hot[0], plain) and not np.array_equal(*hot)


def test_without_a_temperature_it_is_adam():
    params = {"a": jnp.asarray([1.0, -2.0])}
    noisy, adam = langevin.noisy_adam(1e-2), promoting(optax.adam(1e-2))
    assert jax.tree.structure(noisy.init(params)) == jax.tree.structure(adam.init(params))
    found, _ = noisy.update(params, noisy.init(params), params, key=jax.random.key(0))
    np.testing.assert_array_equal(found["a"], adam.update(params, adam.init(params), params)[0]["a"])


def test_the_noise_has_gone_after_the_cooling_steps():
    zeros = jnp.zeros(1000)
    noisy = langevin.noisy_adam(1e-2, temperature=1.0, cooling_steps=2)
    state, found = noisy.init(zeros), []
    for i in range(3):
        updates, state = noisy.update(zeros, state, zeros, key=jax.random.key(i))
        found.append(float(jnp.var(updates)))
    np.testing.assert_allclose(found, [0.02, 0.01, 0], rtol=0.15)
