import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from blindsr_jax.inference import sphere
from blindsr_jax.inference.optimizers import promoting
from tests import golden


@pytest.fixture(autouse=True)
def wide():
    """In float32 optax rounds the bias correction 1 - 0.999, the release does not."""
    with jax.enable_x64(True):
        yield


def trajectory(transform, start, gradients):
    start, gradients = np.asarray(start, np.float64), np.asarray(gradients, np.float64)
    update = jax.jit(transform.update)
    code, state, found = jnp.asarray(start), transform.init(jnp.asarray(start)), []
    for gradient in gradients:
        updates, state = update(jnp.asarray(gradient), state, code)
        code = optax.apply_updates(code, updates)
        found.append(np.asarray(code))
    return found


@pytest.mark.parametrize("name", ["dipfkp", "kernelganfkp"])
def test_spherical_adam_of_the_release(name):
    known = golden.load("13_spherical_adam")
    radius, rate, b1, b2, eps = known[f"{name}_hyper"].tolist()
    transform = sphere.on_sphere(promoting(optax.adam(rate, b1, b2, eps)), radius)
    found = trajectory(transform, known[f"{name}_init"], known[f"{name}_grads"])
    np.testing.assert_allclose(found, known[f"{name}_traj"], atol=5e-6)


def test_a_delayed_start_projects_and_does_not_advance_the_moments():
    known = golden.load("13_spherical_adam")
    transform = sphere.on_sphere(promoting(optax.adam(0.5)), 10.0, delay=2)
    gradients = [known["dipfkp_grads"][5], known["dipfkp_grads"][6], *known["dipfkp_grads"][:4]]
    found = trajectory(transform, known["dipfkp_init"], gradients)
    np.testing.assert_allclose(found[0], known["no_grad_step"], atol=5e-6)
    np.testing.assert_allclose(found[1], known["no_grad_step2"], atol=5e-6)
    np.testing.assert_allclose(found[2:], known["after_freeze_traj"], atol=5e-6)


def test_without_parameters_it_says_what_it_needs():
    transform = sphere.on_sphere(optax.sgd(1.0), 1.0)
    with pytest.raises(ValueError, match="needs the parameters"):
        transform.update(jnp.ones(2), transform.init(jnp.ones(2)))
