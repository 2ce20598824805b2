import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from blindsr_jax.inference import langevin
from blindsr_jax.inference.optimizers import promoting

PARAMS = {"a": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}
DATA = {"a": jnp.asarray([0.3, 0.1]), "b": jnp.asarray(-0.2)}
PRIOR = {"a": jnp.asarray([-0.1, 0.4]), "b": jnp.asarray(0.7)}


def close(left, right):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), left, right)


def test_sequential_is_the_inner_transform_twice_with_one_state():
    inner = promoting(optax.adam(1e-2))
    move = langevin.network_langevin(inner)
    updates, state = move.update(DATA, move.init(PARAMS), PARAMS, prior_grads=PRIOR)
    first, inner_state = inner.update(PRIOR, inner.init(PARAMS))
    second, inner_state = inner.update(DATA, inner_state)
    close(updates, jax.tree.map(jnp.add, first, second))
    close(state, inner_state)


def test_two_calls_equal_one():
    move = langevin.network_langevin(promoting(optax.adam(1e-2)))
    together, state_together = move.update(DATA, move.init(PARAMS), PARAMS, prior_grads=PRIOR)
    first, state = move.update(None, move.init(PARAMS), PARAMS, prior_grads=PRIOR)
    second, state = move.update(DATA, state, PARAMS)
    close(together, jax.tree.map(jnp.add, first, second))
    close(state_together, state)


def test_summed_is_one_step_along_the_weighted_sum():
    inner = promoting(optax.adam(1e-2))
    move = langevin.network_langevin(inner, form="summed", data_weight=2.0, prior_weight=0.5)
    updates, state = move.update(DATA, move.init(PARAMS), PARAMS, prior_grads=PRIOR)
    gradient = jax.tree.map(lambda d, r: 2 * d + 0.5 * r, DATA, PRIOR)
    expected, inner_state = inner.update(gradient, inner.init(PARAMS))
    close(updates, expected)
    close(state, inner_state)


def test_unknown_form_is_refused():
    with pytest.raises(ValueError, match="sequential, summed"):
        langevin.network_langevin(promoting(optax.adam(1e-2)), form="both")


def test_noise_has_the_law_of_langevin_dynamics():
    noise = langevin.add_langevin_noise(step_size=0.02, temperature=0.5)
    zeros = {"w": jnp.zeros((200, 200)), "v": jnp.zeros(3)}
    updates, state = jax.jit(noise.update)(zeros, noise.init(zeros), key=jax.random.key(0))
    np.testing.assert_allclose(jnp.std(updates["w"]), np.sqrt(2 * 0.02 * 0.5), rtol=0.02)
    again, _ = noise.update(zeros, state, key=jax.random.key(1))
    assert not np.array_equal(updates["w"], again["w"])
    still, same = noise.update(zeros, state)
    assert not still["w"].any() and same == state


def test_a_schedule_cools_the_noise():
    noise = langevin.add_langevin_noise(step_size=0.1, temperature=optax.linear_schedule(1.0, 0.0, 4))
    zeros = jnp.zeros((100, 100))
    state, found = noise.init(zeros), []
    for i in range(5):
        updates, state = noise.update(zeros, state, key=jax.random.key(i))
        found.append(float(jnp.var(updates)))
    np.testing.assert_allclose(found, [0.2, 0.15, 0.1, 0.05, 0.0], rtol=0.05)


def test_chains_sample_a_gaussian():
    """exp(-x^2 / (2 T)): many short chains of sgd + noise reach the variance T."""
    transform = optax.chain(optax.sgd(0.05), langevin.add_langevin_noise(step_size=0.05, temperature=0.3))
    x = jnp.zeros(20_000)

    def step(carry, key):
        x, state = carry
        updates, state = transform.update(x, state, key=key)  # the gradient of x^2 / 2 is x
        return (x + updates, state), None

    (x, _), _ = jax.lax.scan(step, (x, transform.init(x)), jax.random.split(jax.random.key(1), 200))
    # An Euler step of size h inflates the variance by 1 / (1 - h / 2).
    np.testing.assert_allclose(jnp.var(x), 0.3 / (1 - 0.025), rtol=0.04)
