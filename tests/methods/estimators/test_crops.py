import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.resize import imresize
from blindsr_jax.methods.estimators import crops
from tests import golden

# Operation by operation, the compiler takes most of a minute.
gradient_map = jax.jit(crops.gradient_map, static_argnames="legacy")
probability_map = jax.jit(crops.probability_map, static_argnums=1)
crop_tables = jax.jit(crops.crop_tables, static_argnums=(1, 2))
draw_crops = jax.jit(crops.draw_crops, static_argnums=(3, 4))
halve = jax.jit(lambda image: imresize(image, 0.5, legacy=True))


@pytest.fixture(scope="module")
def vectors():
    return golden.load("10_kernelgan_sampling")


def test_maps_equal_the_vectors(vectors):
    with jax.enable_x64(True):
        image = jnp.asarray(vectors["image"])
        edges = gradient_map(image, legacy=True)
        np.testing.assert_allclose(edges, vectors["gradient_map_big"], atol=1e-9)
        found = probability_map(edges, 26).reshape(-1)
        np.testing.assert_allclose(found, vectors["prob_for_d_crop26"], atol=1e-9)
        half = halve(image)
        np.testing.assert_allclose(half, vectors["half"], atol=1e-10)
        coarse = gradient_map(half, legacy=True)
        np.testing.assert_allclose(coarse, vectors["gradient_map_small"], atol=1e-9)
        coarse = jnp.repeat(jnp.repeat(coarse, 2, 0), 2, 1)
        np.testing.assert_allclose(coarse, vectors["small_map_nn2"], rtol=1e-6)
        found = probability_map(coarse, 32).reshape(-1)
        np.testing.assert_allclose(found, vectors["prob_for_g_crop32"], rtol=1e-6)


def test_the_strongest_gradients_of_any_direction_count_unless_legacy(vectors):
    image = jnp.asarray(vectors["image"], jnp.float32)
    mended, released = gradient_map(image), gradient_map(image, legacy=True)
    np.testing.assert_allclose([mended.mean(), released.mean()], 1, rtol=1e-5)
    assert float((mended == 0).mean()) > float((released == 0).mean())


def one_square(shape=(40, 48, 3)):
    """An image whose only edges are those of a square with corners (10, 24) and (18, 32)."""
    return jnp.zeros(shape).at[10:18, 24:32].set(1.0)


def test_crops_look_for_edges_and_stay_inside():
    image = one_square()
    tables = crop_tables(image, 16, 8)
    for table, size in zip(tables, (16, 8), strict=True):
        assert table.shape == (40 * 48,)
        np.testing.assert_allclose(table[-1], 1, rtol=1e-4)
        found = draw_crops(jax.random.key(0), image, table, size, 50)
        assert found.shape == (50, size, size, 3)
        share = np.mean(np.asarray(found.max((1, 2, 3))) > 0)
        assert share > 0.85, (size, share)


def test_corners_are_even_and_follow_the_table():
    rows, cols = jnp.meshgrid(jnp.arange(20.0), jnp.arange(30.0), indexing="ij")
    image = jnp.stack([rows, cols], -1)
    table = jnp.cumsum(jnp.zeros(600).at[jnp.array([7 * 30 + 15, 599])].set(0.5))
    corners = np.asarray(draw_crops(jax.random.key(1), image, table, 6, 200)[:, 0, 0])
    found, counts = np.unique(corners, axis=0, return_counts=True)
    # Around (7, 15) the corner (4, 12); around the last pixel (17, 27) the last one that fits, made even.
    np.testing.assert_array_equal(found, [[4, 12], [14, 24]])
    assert counts.min() > 70


def test_flat_images_and_crops_as_large_as_the_image_are_drawn_evenly():
    for image in (jnp.full((20, 24, 3), 0.5), one_square((40, 48, 3))):
        table = crop_tables(image, 48, 40)[0]
        np.testing.assert_allclose(jnp.diff(table), 1 / table.size, rtol=0.1)
