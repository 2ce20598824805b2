import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import degradation
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family, mixture
from blindsr_jax.kernels.pool import draw_pool
from blindsr_jax.training import synthesis
from blindsr_jax.training.corruption import Corruption
from blindsr_jax.training.synthesis import Settings

SCALE, SIDE = 2, 8
PLAIN = Settings(SCALE, lr_side=SIDE)


def pieces(seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 256, (3, 40, 40, 3), np.uint8))


@pytest.fixture(scope="module")
def family():
    parts = [load_family(name, scale=SCALE, kernel_size=7) for name in ("gaussian", "line")]
    return mixture(parts)


@pytest.fixture(scope="module")
def pool(family):
    return draw_pool(jax.random.key(8), family, 400)


@pytest.fixture(scope="module")
def drawn(pool):
    keys = jax.random.split(jax.random.key(0), 64)
    return jax.jit(lambda keys: synthesis.synthesize(keys, pieces(), pool, PLAIN))(keys)


def test_shapes_ranges_and_levels(drawn):
    assert drawn.lr.shape == (64, SIDE, SIDE, 3) and drawn.kernel.shape == (64, 7, 7)
    assert drawn.lr.min() >= 0 and drawn.lr.max() <= 1
    np.testing.assert_allclose(255 * drawn.lr, np.round(255 * drawn.lr), atol=1e-4)
    assert len(np.unique(drawn.lr[:, 0, 0, 0])) > 20


def test_kernels_are_released_ones_and_categories_say_whose(drawn, family):
    np.testing.assert_allclose(drawn.kernel.sum((1, 2)), 1, rtol=1e-5)
    centers = np.array([geometry.center_of_mass(k) for k in drawn.kernel])
    np.testing.assert_allclose(centers, (7 - SCALE) / 2, atol=0.3)
    assert synthesis.category_names(family) == ("gaussian", "line")
    # A line leaves most of the window empty, a Gaussian nothing of the part that is symmetric about its centre.
    filled = (np.asarray(drawn.kernel) > 0).sum((1, 2))
    assert set(np.unique(drawn.category)) == {0, 1}
    assert filled[drawn.category == 0].min() > filled[drawn.category == 1].max()


def test_an_example_depends_on_its_key_alone(drawn, pool):
    keys = jax.random.split(jax.random.key(0), 64)
    one = jax.jit(lambda keys: synthesis.synthesize(keys, pieces(), pool, PLAIN))(keys[5:6])
    np.testing.assert_allclose(one.lr[0], drawn.lr[5], atol=1.01 / 255)
    np.testing.assert_allclose(one.kernel[0], drawn.kernel[5], atol=1e-6)


def test_a_patch_is_the_inner_part_of_a_degraded_image():
    """No border of its own: the patch equals that part of the LR image that a larger crop gives."""
    image = jax.random.uniform(jax.random.key(1), (40, 40, 3))
    kernel = load_family("gaussian", scale=SCALE, kernel_size=7).render
    kernel = kernel(load_family("gaussian", scale=SCALE, kernel_size=7).sample(jax.random.key(2)))
    crop = image[4 : 4 + synthesis.crop_side(SIDE, SCALE, 7), 6 : 6 + synthesis.crop_side(SIDE, SCALE, 7)]
    make, settings = jax.jit(synthesis.make_lr, static_argnums=3), Settings(SCALE, SIDE, Corruption(quantize=False))
    small = make(jax.random.key(3), crop, kernel, settings)
    whole = degradation.degrade(image[:39, :39], kernel, scale=SCALE, boundary="valid")
    np.testing.assert_allclose(small, whole[2 : 2 + SIDE, 3 : 3 + SIDE], atol=1e-6)


def test_noise_is_as_strong_as_drawn():
    kernel = jnp.zeros((7, 7)).at[2, 2].set(1)
    crop = jnp.full((synthesis.crop_side(32, SCALE, 7),) * 2 + (3,), 0.5)
    settings = Settings(SCALE, 32, Corruption(0.1, quantize=False))
    keys = jax.random.split(jax.random.key(4), 100)
    stds = jax.jit(jax.vmap(lambda key: jnp.std(synthesis.make_lr(key, crop, kernel, settings))))(keys)
    assert stds.min() < 0.01 and 0.09 < stds.max() < 0.103
    np.testing.assert_allclose(stds.mean(), 0.1 / 3, atol=0.01)


def test_jpeg_is_applied_where_asked():
    kernel = jnp.zeros((7, 7)).at[2, 2].set(1)
    crop = jax.random.uniform(jax.random.key(5), (synthesis.crop_side(16, SCALE, 7),) * 2 + (3,))
    settings = [Settings(SCALE, 16, Corruption(jpeg=share, jpeg_quality=(30, 30))) for share in (0.0, 1.0)]
    make = jax.jit(synthesis.make_lr, static_argnums=3)
    clean, packed = (make(jax.random.key(6), crop, kernel, each) for each in settings)
    assert 0.02 < jnp.abs(clean - packed).mean() < 0.3


def test_mean_kernels(family):
    means = synthesis.mean_kernels(jax.random.key(7), family, num=64)
    assert means.shape == (2, 7, 7)
    np.testing.assert_allclose(means.sum((1, 2)), 1, rtol=1e-5)
    single = synthesis.mean_kernels(jax.random.key(7), family.members[1], num=64)
    np.testing.assert_allclose(single[0], means[1], atol=1e-6)
