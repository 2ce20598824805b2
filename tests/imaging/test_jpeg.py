"""Against a real encoder."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from blindsr_jax.imaging.jpeg import compress, tables


def photo(shape=(29, 42)):
    rng = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(shape[::-1], PIL.Image.BICUBIC)
    return np.clip(np.asarray(coarse) + rng.integers(-20, 20, (*shape, 3)), 0, 255).astype(np.uint8)


def encoded(pixels, quality, subsampling=0):
    data = io.BytesIO()
    PIL.Image.fromarray(pixels).save(data, "JPEG", quality=quality, subsampling=subsampling)
    return PIL.Image.open(data)


@pytest.mark.parametrize("quality", [20, 50, 90])
def test_tables_are_those_of_an_encoder(quality):
    theirs = encoded(photo(), quality).quantization
    ours = tables(quality)
    for row, key in ((0, 0), (1, 1), (2, 1)):
        np.testing.assert_array_equal(np.sort(ours[row].reshape(-1)), np.sort(theirs[key]))


@pytest.mark.parametrize("quality, subsample", [(30, False), (85, False), (30, True), (85, True)])
def test_an_image_comes_out_as_from_an_encoder(quality, subsample):
    pixels = photo()
    theirs = np.asarray(encoded(pixels, quality, 2 * subsample), np.float64)
    packed = jax.jit(compress)(jnp.asarray(pixels, jnp.float32) / 255, quality, subsample=jnp.asarray(subsample))
    ours = 255 * np.asarray(packed, np.float64)
    lost = np.abs(theirs - pixels).mean()
    assert ours.shape == theirs.shape and lost > 1
    # An encoder rounds in other places (colours, whole-number cosines): now and then a coefficient falls the other way.
    assert np.abs(ours - theirs).mean() < 0.15 * lost
