import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.methods.restorers import tiles
from blindsr_jax.runs import receipt


@pytest.mark.parametrize("strip", [2**20, 70])
@pytest.mark.parametrize(("scale", "size"), [(1, 3), (1, 7), (2, 11), (3, 5), (4, 19), (8, 9)])
def test_the_residual_is_that_of_the_degradation_where_all_is_known(monkeypatch, scale, size, strip):
    monkeypatch.setattr(receipt, "_STRIP", strip)
    rng = np.random.default_rng(scale)
    kernel = rng.random((size, size))
    kernel /= kernel.sum()
    image = rng.random((scale * 9, scale * 12, 2)).astype(np.float32)
    noise = rng.normal(0, 0.1, (9, 12, 2)).astype(np.float32)
    blurred = degrade(jnp.asarray(image), jnp.asarray(kernel, jnp.float32), scale=scale, boundary="circular")
    found = receipt.residual(np.asarray(blurred) + noise, image, kernel, scale=scale)
    p = (size - 1) // 2
    rows, columns = ([i for i in range(n) if scale * i >= p and scale * i - p + size <= scale * n] for n in (9, 12))
    np.testing.assert_allclose(found, noise[np.ix_(rows, columns)], atol=1e-5)


@pytest.mark.parametrize("strip", [2**20, 200])
@pytest.mark.parametrize("scale", [1, 2])
def test_parts_with_kernels_of_their_own_are_blurred_by_these(monkeypatch, strip, scale):
    monkeypatch.setattr(receipt, "_STRIP", strip)
    rng = np.random.default_rng(scale)
    kernels, image = rng.random((2, 3, 5, 5)), rng.random((scale * 14, scale * 17, 1)).astype(np.float32)
    at = [(np.arange(n) + 0.5) / n for n in (14, 17)]
    blurred = [[degrade(image, k, scale=scale, boundary="circular") for k in map(jnp.float32, row)] for row in kernels]
    expected = np.zeros((14, 17, 1))
    for i, j in np.ndindex(14, 17):  # pixel by pixel, as the restorer asks for the kernel of a place
        expected[i, j] = tiles.kernel_at(jnp.asarray(np.asarray(blurred)[:, :, i, j]), (at[0][i], at[1][j]))
    found = receipt.residual(expected.astype(np.float32), image, kernels, scale=scale)
    np.testing.assert_allclose(found, np.zeros_like(found), atol=1e-5)
    assert np.abs(receipt.residual(expected, image, kernels.mean((0, 1)), scale=scale)).max() > 0.1


def test_levels_are_taken_for_what_they_mean():
    lr, kernel = np.full((6, 6, 1), 0.5, np.float32), np.full((3, 3), 1 / 9)
    found = receipt.residual(lr, np.full((6, 6, 1), 51, np.uint8), kernel, scale=1)
    np.testing.assert_allclose(found, np.full((4, 4, 1), 0.3), rtol=1e-5)
    assert receipt.rms(found) == pytest.approx(0.3 * 255, rel=1e-5)


def test_an_image_smaller_than_its_kernel_has_no_residual():
    assert receipt.residual(np.zeros((3, 9, 1)), np.zeros((6, 18, 1)), np.full((7, 7), 1 / 49), scale=2) is None
