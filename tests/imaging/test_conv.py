import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from blindsr_jax.imaging import conv
from blindsr_jax.imaging.conv import METHODS, choose, conv2d


def plain(x, w, stride):
    return lax.conv_general_dilated(x, w, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def arrays(size, shape, dtype, *, n=2, ci=3, co=4):
    keys = jax.random.split(jax.random.key(0), 2)
    return jax.random.normal(keys[0], (n, *shape, ci), dtype), jax.random.normal(keys[1], (size, size, ci, co), dtype)


def value_and_pullback(function, x, w):
    out, pull = jax.vjp(function, x, w)
    dy = jax.random.normal(jax.random.key(2), out.shape, jnp.float32)
    return out, *pull(dy.astype(out.dtype))


def of_all_methods(x, w, stride=1, methods=METHODS):
    """{method: value and gradients}; one program, as compiling is all that these tests cost."""

    def one(method):
        return value_and_pullback(lambda x, w: conv2d(x, w, stride, method=method), x, w)

    return {method: one(method) for method in methods}


@pytest.mark.parametrize(
    "size, stride, shape",
    [(1, 1, (8, 7)), (3, 1, (9, 11)), (3, 1, (8, 8)), (3, 2, (10, 7)), (3, 2, (9, 8)), (5, 3, (9, 11))],
)
def test_values_and_gradients_equal_the_plain_convolution(size, stride, shape):
    with jax.enable_x64(True):
        x, w = arrays(size, shape, jnp.float64)
        expected = value_and_pullback(lambda x, w: plain(x, w, stride), x, w)
        for method, found in jax.jit(of_all_methods, static_argnums=2)(x, w, stride).items():
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-12, err_msg=method)


def test_float32_of_many_channels_is_as_good_as_it_should_be():
    with jax.enable_x64(True):
        x, w = arrays(3, (20, 21), jnp.float32, n=1, ci=64, co=64)
        expected = value_and_pullback(lambda x, w: plain(x, w, 1), x.astype(jnp.float64), w.astype(jnp.float64))
        for method, found in jax.jit(of_all_methods)(x, w).items():
            for a, b in zip(found, expected, strict=True):
                error = np.abs(np.subtract(a, b)).max() / np.abs(b).max()
                assert error < (5e-6 if method == "winograd" else 1e-6), (method, error)


@pytest.mark.parametrize("stride, methods", [(1, METHODS), (2, ("auto", "kn2row"))])
def test_a_network_per_image_under_vmap(stride, methods):
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (2, 1, 6, 7, 2))
        w = jax.random.normal(jax.random.key(1), (2, 3, 3, 2, 4))
        one = jax.jit(lambda x, w: value_and_pullback(lambda x, w: plain(x, w, stride), x, w))
        alone = [one(a, b) for a, b in zip(x, w, strict=True)]
        batched = jax.jit(jax.vmap(lambda x, w: of_all_methods(x, w, stride, methods)))(x, w)
        for method, values in batched.items():
            for found, *expected in zip(values, *alone, strict=True):
                np.testing.assert_allclose(found, jnp.stack(expected), atol=1e-12, err_msg=method)


def test_many_images_with_one_network_under_vmap():
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (2, 1, 6, 7, 2))
        w = jax.random.normal(jax.random.key(1), (3, 3, 2, 4))
        found = jax.jit(jax.vmap(lambda x: gradients(x, w)))(x)
        for values, expected in zip(found, gradients(x[1], w), strict=True):
            np.testing.assert_allclose(values[1], expected, atol=1e-12)


def gradients(x, w):
    return value_and_pullback(lambda x, w: conv2d(x, w), x, w)


def convolutions(function, *args):
    """Group counts of the convolutions in a program."""
    text = jax.jit(function).lower(*args).as_text()
    return [int(piece.split(":", 1)[0]) for piece in text.replace(" ", "").split("_group_count=")[1:]]


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_auto_never_becomes_a_grouped_convolution(monkeypatch, backend):
    monkeypatch.setattr(conv.jax, "default_backend", lambda: backend)
    conv._adaptive.cache_clear()
    x, w = jnp.ones((3, 1, 60, 60, 8)), jnp.ones((3, 3, 3, 8, 8))
    assert set(convolutions(jax.vmap(gradients), x, w)) <= {1}
    if backend != "cpu":  # one network alone is the vendor's convolution
        assert convolutions(gradients, x[0], w[0]) != []
    conv._adaptive.cache_clear()


def test_the_choice_depends_on_place_shape_and_batching():
    def shape(*dims):
        return jax.ShapeDtypeStruct(dims, jnp.float32)

    large, small, w = shape(1, 80, 80, 32), shape(1, 20, 20, 32), shape(3, 3, 32, 32)
    assert choose("cpu", large, w, 1, per_image=False) == "winograd" == choose("cpu", large, w, 1, per_image=True)
    assert choose("cpu", small, w, 1, per_image=False) == "direct"
    assert choose("cpu", large, w, 2, per_image=True) == "im2col"
    assert choose("cpu", large, shape(5, 5, 32, 32), 1, per_image=False) == "direct"
    assert choose("cpu", large, jax.ShapeDtypeStruct(w.shape, jnp.bfloat16), 1, per_image=False) == "direct"


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'fft', expected one of auto, xla"):
        conv2d(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), method="fft")


def test_each_image_may_take_a_branch_of_its_own():
    """Under vmap both branches run; array constants of a convolution would be batched with them."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 1, 50, 50, 8)), jnp.float32)
    w = jnp.asarray(rng.standard_normal((3, 3, 8, 8)), jnp.float32)

    def one(is_left, x):
        return jax.lax.cond(is_left, lambda: jax.grad(lambda x: jnp.sum(conv2d(x, w) ** 2))(x), lambda: x)

    found = jax.vmap(one)(jnp.asarray([True, False]), x)
    np.testing.assert_array_equal(found[1], x[1])
    np.testing.assert_allclose(found[0], one(True, x[0]), rtol=1e-4, atol=1e-3)
