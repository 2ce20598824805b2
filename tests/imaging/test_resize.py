import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.resize import imresize, resize_matrix
from tests import golden


@pytest.fixture(scope="module")
def vectors():
    return golden.load("14_imresize")


@pytest.mark.parametrize("wide", [True, False])
def test_cubic_equals_the_vectors(vectors, wide):
    with jax.enable_x64(wide):
        image = jnp.asarray(vectors["image"])
        for suffix in ("0p5", "0p25", "2", "4", "0p333", "1p5"):
            found = imresize(image, float(vectors[f"scale_{suffix}"]), legacy=True)
            expected = vectors[f"cubic_{suffix}"]
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=1e-10 if wide else 2e-6, err_msg=suffix)


def test_other_functions_shapes_and_images(vectors):
    with jax.enable_x64(True):
        image = jnp.asarray(vectors["image"])
        cases = {
            "cubic_noaa_0p5": imresize(image, 0.5, antialias=False, legacy=True),
            "cubic_shape_11x17": imresize(image, shape=(11, 17), legacy=True),
            "lanczos3_0p5": imresize(image, 0.5, method="lanczos3", legacy=True),
            "box_0p5": imresize(image, 0.5, method="box", legacy=True),
            "linear_0p5": imresize(image, 0.5, method="linear", legacy=True),
            "true_mirror_0p5": imresize(image, 0.5),
            "true_mirror_2": imresize(image, 2),
        }
        for name, found in cases.items():
            np.testing.assert_allclose(found, vectors[name], atol=1e-10, err_msg=name)


def test_gray_images_keep_two_axes(vectors):
    with jax.enable_x64(True):
        weights = np.array([0.299, 0.587, 0.114])
        gray = imresize(jnp.asarray(vectors["image"] @ weights), 0.5, legacy=True)
        by_colour = imresize(jnp.asarray(vectors["image"]), 0.5, legacy=True) @ weights
        assert gray.shape == vectors["cubic_0p5_gray"].shape
        np.testing.assert_allclose(gray, by_colour, atol=1e-12)


def test_weights_equal_the_vectors(vectors):
    for new, scale in ((16, 0.5), (64, 2.0)):
        matrix = np.zeros((new, 32))
        rows = np.arange(new)[:, None]
        np.add.at(matrix, (rows, vectors[f"fov_32_to_{new}"]), vectors[f"weights_32_to_{new}"])
        np.testing.assert_allclose(resize_matrix(32, new, scale, legacy=True), matrix, atol=1e-12)


def test_borders_are_treated_alike_unless_legacy():
    with jax.enable_x64(True):
        image = jax.random.uniform(jax.random.key(0), (12, 10, 2), jnp.float64)
        turned = imresize(image[::-1, ::-1], 0.5)[::-1, ::-1]
        np.testing.assert_allclose(imresize(image, 0.5), turned, atol=1e-12)
        assert np.abs(imresize(image, 0.5, legacy=True) - turned).max() > 1e-3


def test_small_images_are_mirrored_more_than_once():
    np.testing.assert_allclose(resize_matrix(2, 1, 0.25).sum(1), 1)
    np.testing.assert_allclose(imresize(jnp.full((2, 3), 0.7), 0.25), 0.7, rtol=1e-6)


@pytest.mark.parametrize("arguments, message", [({"scale": 2, "method": "sinc"}, "sinc"), ({}, "scale or a shape")])
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        imresize(jnp.zeros((4, 4)), **arguments)
