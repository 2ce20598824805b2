import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from blindsr_jax.networks.zssr import ZssrNet, in_strips


def test_parameter_count_of_the_release():
    params = jax.eval_shape(ZssrNet().init, jax.random.key(0), jnp.zeros((5, 6, 3)))
    assert sum(p.size for p in jax.tree.leaves(params)) == 224_640


def test_the_start_has_a_tenth_of_the_usual_variance():
    params = ZssrNet(layers=2).init(jax.random.key(0), jnp.zeros((4, 4, 3)))["params"]
    for name, inputs in (("kernel0", 27), ("kernel1", 576)):
        np.testing.assert_allclose(jnp.var(params[name]), 0.1 / inputs, rtol=0.15)


def test_equals_plain_sums():
    """The input, plus correlations with zeros outside and ReLU between them."""
    net, x = ZssrNet(channels=4, layers=3), np.random.default_rng(0).uniform(size=(6, 7, 3)).astype(np.float32)
    params = jax.tree.map(lambda p: 10 * p, net.init(jax.random.key(1), jnp.asarray(x)))  # all units matter
    y = x
    for i in range(3):
        w = np.asarray(params["params"][f"kernel{i}"])
        y = np.maximum(y, 0) if i else y
        maps = [
            sum(signal.correlate2d(y[..., a], w[..., a, b], "same") for a in range(w.shape[2]))
            for b in range(w.shape[3])
        ]
        y = np.stack(maps, -1)
    assert np.abs(y).max() > 0.1
    np.testing.assert_allclose(net.apply(params, jnp.asarray(x)), x + y, atol=1e-5)


@pytest.mark.parametrize("rows, halo", [(1, 3), (5, 4)])
def test_strips_change_nothing(rows, halo):
    net, x = ZssrNet(channels=4, layers=3), jax.random.uniform(jax.random.key(0), (17, 5, 1))
    params = jax.tree.map(lambda p: 10 * p, net.init(jax.random.key(1), x))
    parts = in_strips(lambda image: net.apply(params, image), x, rows=rows, halo=halo)
    np.testing.assert_allclose(parts, net.apply(params, x), atol=1e-5)
