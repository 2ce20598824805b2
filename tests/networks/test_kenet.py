import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.kenet import KENet, autocorrelation, log_spectrum, max_pool
from blindsr_jax.networks.layers import Compute
from tests import small

correlated = jax.jit(autocorrelation, static_argnums=1)
spectrum = jax.jit(log_spectrum, static_argnums=1)
TINY = {"kernel_size": 5, "channels": 2, "hidden": 6, "categories": 2}


@jax.jit
def said_of(params, x):
    return KENet(**TINY).apply(params, x)


@pytest.fixture(scope="module")
def params():
    return small.random_params(KENet(**TINY), jnp.zeros((1, 8, 8, 3)), std=0.3)


@pytest.mark.parametrize("size, count", [(11, 4_389_561), (21, 4_717_561)])
def test_parameter_counts_of_the_paper(size, count):
    shapes = jax.eval_shape(KENet(size).init, jax.random.key(0), jnp.zeros((1, 96, 96, 3)))
    category = 1024 + 1  # the head that the paper has not
    assert sum(p.size for p in jax.tree.leaves(shapes)) == count + category


def plain_conv(x, layer):
    """Zeros around, written out."""
    w, b = layer["kernel"], layer["bias"]
    h, wd, _ = x.shape
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return sum(x[i : i + h, j : j + wd] @ w[i, j] for i in range(3) for j in range(3)) + b


def plain(params, x):
    """The network of section 12.1 on one image, in float64 NumPy."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params["params"])
    x = np.asarray(x, np.float64)
    x = (x - x.mean()) / np.sqrt(x.var() + 0.02**2)
    for stage in range(4):
        if stage:
            h, w = (n // 2 for n in x.shape[:2])
            x = np.max([x[i : 2 * h : 2, j : 2 * w : 2] for i in (0, 1) for j in (0, 1)], 0)
        x = np.maximum(plain_conv(x, p[f"conv{stage}"]), 0)
        block = p[f"block{stage}"]
        x = x + plain_conv(np.maximum(plain_conv(x, block["first"]), 0), block["second"])
    x = x.mean((0, 1))
    for name in ("hidden0", "hidden1"):
        x = np.maximum(x @ p[name]["kernel"] + p[name]["bias"], 0)
    kernel, category = (x @ p[name]["kernel"] + p[name]["bias"] for name in ("kernel", "category"))
    return np.exp(kernel) / np.exp(kernel).sum(), category


def test_numbers_of_odd_images(params):
    x = jax.random.uniform(jax.random.key(1), (2, 19, 21, 3))
    said = said_of(params, x)
    for i in range(2):
        kernel, category = plain(params, x[i])
        np.testing.assert_allclose(said.kernel[i].reshape(-1), kernel, rtol=1e-4)
        np.testing.assert_allclose(said.category_logits[i], category, rtol=1e-4, atol=1e-5)


def test_brightness_and_contrast_say_nothing(params):
    x = jax.random.uniform(jax.random.key(4), (1, 8, 8, 3))
    one, other = (said_of(params, y).kernel for y in (x, 0.3 + 0.5 * x))
    np.testing.assert_allclose(one, other, rtol=0.1, atol=1e-2)


def test_any_size_from_eight(params):
    for shape in ((8, 8), (9, 15)):
        kernel = said_of(params, jnp.ones((1, *shape, 3))).kernel
        assert kernel.shape == (1, 5, 5) and kernel.min() > 0
        np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="7 x 9, expected sides of at least 8"):
        KENet(**TINY).apply(params, jnp.ones((1, 7, 9, 3)))


def test_bfloat16_keeps_its_parameters_and_its_kernels(params):
    x = jax.random.uniform(jax.random.key(2), (1, 16, 16, 3))
    net = KENet(**TINY, compute=Compute(precision="bfloat16"))
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)
    assert {p.dtype for p in jax.tree.leaves(shapes)} == {jnp.dtype(jnp.float32)}
    half, full = jax.jit(net.apply)(params, x).kernel, said_of(params, x).kernel
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, full, rtol=0.05, atol=1e-3)
    assert not np.array_equal(half, full)


def test_pooling_drops_an_odd_row_and_its_gradient_goes_to_the_maximum():
    x = jax.random.permutation(jax.random.key(3), 5 * jnp.arange(25.0)).reshape(1, 5, 5, 1)
    pooled, slopes = jax.jit(lambda x: (max_pool(x), jax.grad(lambda x: max_pool(x).sum())(x)))(x)
    blocks = np.asarray(x)[0, :4, :4, 0].reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(2, 2, 4)
    np.testing.assert_array_equal(pooled[0, :, :, 0], blocks.max(-1))
    np.testing.assert_array_equal(slopes[0, ..., 0], np.isin(x[0, ..., 0], pooled))


def test_autocorrelation_by_hand():
    x = np.random.default_rng(0).normal(size=(1, 9, 12, 3)).astype(np.float32)
    gray = x[0].mean(-1)
    maps = np.diff(gray, axis=0)[:, :-1], np.diff(gray, axis=1)[:-1]

    def lag(i, j):
        h, w = maps[0].shape
        rows, columns = slice(max(0, -i), h - max(0, i)), slice(max(0, -j), w - max(0, j))
        return sum((m[max(0, i) :, :][: h - i][:, max(0, j) : w + min(0, j)] * m[rows, columns]).sum() for m in maps)

    order = [0, 1, 2, -2, -1]
    by_hand = np.array([[lag(i, j) for j in order] for i in range(3)]) / lag(0, 0)
    np.testing.assert_allclose(correlated(jnp.asarray(x), 2)[0].reshape(3, 5), by_hand, atol=1e-5)
    flat = correlated(jnp.full((1, 8, 8, 3), 0.5), 6)
    assert np.isfinite(flat).all()


def test_log_spectrum_by_hand():
    """The transform of all lags, those of the other half of the plane being the same, under a squared cosine."""
    reach, size = 2, 5
    lags = correlated(jax.random.normal(jax.random.key(5), (1, 11, 9, 3)), reach)
    table = np.asarray(lags[0], np.float64).reshape(reach + 1, size)
    span = range(-reach, reach + 1)
    both = {(i, j): table[i, j] if i >= 0 else table[-i, -j] for i in span for j in span}  # Python wraps around as they
    window = {n: np.cos(np.pi * n / (2 * reach + 2)) ** 2 for n in span}

    def power(u, v):
        waves = {(i, j): np.cos(2 * np.pi * (u * i + v * j) / size) for i in span for j in span}
        return sum(both[i, j] * window[i] * window[j] * waves[i, j] for i in span for j in span)

    by_hand = np.array([[power(u, v) for v in (0, 1, 2, -2, -1)] for u in range(reach + 1)])
    found = spectrum(lags, reach)[0].reshape(reach + 1, size)
    np.testing.assert_allclose(found, np.log(np.maximum(by_hand, 0) + 1e-3) / 2 + 1, atol=1e-5)


def test_log_spectrum_of_a_blur():
    """A Gaussian blur lowers the logarithm by a quadratic form in the frequency."""
    noise = jax.random.normal(jax.random.key(6), (1, 256, 256, 1))
    taps = jnp.exp(-0.5 * jnp.arange(-6.0, 7) ** 2 / 0.8)[None, :, None, None]  # variance 0.8, down the rows
    taps = taps / taps.sum()
    padded = jnp.pad(noise, ((0, 0), (6, 6), (0, 0), (0, 0)), mode="wrap")
    blurred = sum(taps[:, i : i + 1] * padded[:, i : i + 256] for i in range(13))
    reach = 5
    sharp, soft = (spectrum(correlated(x, reach), reach)[0].reshape(reach + 1, -1) for x in (noise, blurred))
    change = (soft - sharp)[:, 0]
    turns = 2 * np.pi * np.arange(reach + 1) / (2 * reach + 1)
    # Both are in the mean power of all frequencies, so a constant is left.
    np.testing.assert_allclose(change[:3] - change[0], -0.5 * 0.8 * turns[:3] ** 2, atol=0.1)
    assert change[5] < change[4] < change[3] < change[0] - 0.9  # here the window smooths, and lets neighbours in
