"""The two towers: any size of LR image, frames with room to spare, kernels with empty parts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.networks.evidence import Evidence, default_reach, kernel_features, score
from blindsr_jax.networks.layers import Compute
from tests import small

NET = Evidence(scale=2, kernel_size=7, channels=2, hidden=6, features=4, reach=3)
observe = jax.jit(partial(NET.apply, method="observe"))
describe = jax.jit(partial(NET.apply, method="describe"))


@pytest.fixture(scope="module")
def params():
    return small.random_params(NET, jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 7, 7)), std=0.3)


def kernels(*variances):
    parts = [gaussian_kernel(jnp.asarray(v), jnp.float32(0.3), kernel_size=7, center=2.5) for v in variances]
    return jnp.stack(parts).astype(jnp.float32)


@pytest.mark.parametrize("shape", [(8, 8), (9, 23)])
def test_images_of_any_size_get_an_embedding(params, shape):
    lr = jax.random.uniform(jax.random.key(1), (2, *shape, 3))
    found = jax.jit(NET.apply)(params, lr, kernels((1.0, 2.0), (0.3, 0.3), (3.0, 1.0)))
    assert found.shape == (2, 3) and jnp.isfinite(found).all()


def test_images_below_eight_pixels_are_refused(params):
    with pytest.raises(ValueError, match="images of 7 x 20, expected sides of at least 8"):
        NET.apply(params, jnp.zeros((1, 7, 20, 3)), method="observe")


@pytest.mark.parametrize("size", [(8, 8), (11, 13)])
def test_what_lies_outside_the_size_has_no_influence(params, size):
    lr = jax.random.uniform(jax.random.key(2), (1, 16, 16, 3))
    framed = observe(params, lr, jnp.asarray([size]))
    cut = observe(params, lr[:, : size[0], : size[1]])
    np.testing.assert_allclose(framed, cut, rtol=2e-4, atol=2e-5)


def test_the_size_and_the_contrast_of_an_image_are_seen(params):
    lr = jnp.tile(jax.random.uniform(jax.random.key(3), (1, 8, 8, 3)), (1, 2, 2, 1))
    first, faint, small = (
        observe(params, x, jnp.asarray([[side, side]])) for x, side in ((lr, 16), (0.5 + 0.1 * (lr - 0.5), 16), (lr, 8))
    )
    assert jnp.abs(first - faint).max() > 1e-3 and jnp.abs(first - small).max() > 1e-3


def test_flat_images_and_point_kernels_have_finite_scores_and_slopes(params):
    point = jnp.zeros((1, 7, 7)).at[0, 2, 2].set(1)

    def total(kernel):
        return jnp.sum(NET.apply(params, jnp.full((1, 8, 8, 3), 0.4), kernel))

    value, slope = jax.jit(jax.value_and_grad(total))(point)
    assert jnp.isfinite(value) and jnp.isfinite(slope).all()


def test_the_power_of_a_gaussian_is_what_its_variance_says():
    """At frequency f the power of a round Gaussian with variance v is exp(-(2 pi f)^2 v)."""
    found = kernel_features(kernels((1.0, 1.0)), 2)[0, : 11 * 21].reshape(11, 21)
    power = jnp.exp(2 * (found - 1)) - 1e-3
    f = 0.05 * np.arange(3)
    np.testing.assert_allclose(power[:3, 10], np.exp(-((2 * np.pi * f) ** 2)), rtol=0.03)
    assert found.shape == (11, 21) and jnp.argmax(found) == 10


def test_half_precision_is_close(params):
    lr = jax.random.uniform(jax.random.key(4), (1, 16, 16, 3))
    half = Evidence(2, 7, 2, 6, 4, 3, Compute(precision="bfloat16"))
    sizes = jnp.asarray([[16, 16]])
    ours, theirs = observe(params, lr, sizes), jax.jit(partial(half.apply, method="observe"))(params, lr, sizes)
    assert theirs.dtype == jnp.float32
    np.testing.assert_allclose(ours, theirs, atol=0.1 * float(jnp.abs(ours).max()))


def test_scores_of_two_images_add_up(params):
    lr = jax.random.uniform(jax.random.key(5), (2, 8, 8, 3))
    each, described = observe(params, lr), describe(params, kernels((1.0, 2.0)))
    together = score(each.sum(0), *described, 2.0)
    np.testing.assert_allclose(together, score(each, *described).sum(0), rtol=1e-5, atol=1e-6)


def test_lags_reach_as_far_as_a_kernel():
    assert [default_reach(s, k) for s, k in ((1, 21), (2, 15), (3, 19), (4, 21))] == [12, 9, 8, 7]
