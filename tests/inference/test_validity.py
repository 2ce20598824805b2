"""Values that tell nothing of the scene: clipped, stuck, of a frame."""

import numpy as np
import pytest
from scipy import ndimage

from blindsr_jax.inference import validity
from tests import small


def photograph(shape=(40, 48, 3)):
    """A smooth image between 0.1 and 0.9."""
    return np.array(0.1 + 0.8 * small.smooth_image(shape), np.float32)


def test_a_plain_image_counts_everywhere():
    found = validity.measure(photograph())
    assert found.mask.all() and not found.stuck.any() and found.frame == (0, 0, 0, 0)


def test_clipped_values_do_not_count_and_their_other_colours_do():
    x = photograph()
    x[3, 4, 0], x[5:8, 6:9, 2] = 1, 0
    mask = validity.measure(x).mask
    assert not mask[3, 4, 0] and mask[3, 4, 1:].all() and not mask[5:8, 6:9, 2].any() and mask.sum() == mask.size - 10


@pytest.mark.parametrize("value", [0.0, 0.98])
def test_a_stuck_pixel_is_found_and_mended(value):
    whole, x = photograph(), photograph()
    whole[18:23, 28:33] = x[18:23, 28:33] = 0.5
    x[20, 30] = value
    found = validity.measure(x)
    assert np.argwhere(found.stuck.any(-1)).tolist() == [[20, 30]] and not found.mask[20, 30].any()
    np.testing.assert_allclose(validity.mend(x, found.stuck), whole, atol=1e-6)


def test_a_dark_point_among_highlights_is_not_stuck_and_a_bright_one_in_the_night_is():
    x = np.full((9, 9, 1), 0.6, np.float32)
    neighbours = np.ix_(range(3, 6), range(3, 6))
    x[neighbours] = np.array([1, 0.94, 1, 1, 0.6, 1, 1, 1, 1], np.float32).reshape(3, 3, 1)
    assert not validity.measure(x).stuck.any() and validity.measure(1 - x).stuck[4, 4]
    x[neighbours] = np.where(x[neighbours] == 0.6, 0.6, 1)  # on plain white it is
    assert validity.measure(x).stuck[4, 4]


def test_what_a_lens_can_make_is_not_stuck():
    star, board = np.full((30, 30, 1), 0.1, np.float32), np.indices((30, 30)).sum(0)[..., None] % 2
    star[15, 15] = 20
    star = ndimage.gaussian_filter(star, (0.7, 0.7, 0)).clip(0, 1)
    assert not validity.measure(star).stuck.any()
    assert not validity.measure(0.1 + 0.8 * board.astype(np.float32)).stuck.any()


def test_a_frame_is_measured_and_does_not_count():
    x = photograph((40, 48, 3))
    x[:5], x[-2:] = 0.7, 0.7
    x[:, :3] = 0.7
    found = validity.measure(x)
    assert found.frame == (5, 0, 2, 3)
    assert found.mask[5:-2, 3:].all() and found.mask.sum() == 33 * 45 * 3


def test_an_image_of_one_colour_has_no_frame():
    assert validity.measure(np.full((20, 30, 3), 0.5, np.float32)).frame == (0, 0, 0, 0)
