"""Pieces of training images and random patches of them."""

import jax
import numpy as np
import pytest

from blindsr_jax.imaging import tiling
from blindsr_jax.training import patches


def test_pieces_cover_images_of_all_sizes():
    images = [np.arange(40 * 90 * 3, dtype=np.uint32).reshape(40, 90, 3).astype(np.uint8), np.zeros((60, 50, 1))]
    pieces = patches.cut([*images, np.zeros((8, 100, 3))], least=32)
    assert pieces.shape == (3 + 4, 40, 40, 3) and pieces.dtype == np.uint8
    np.testing.assert_array_equal(pieces[0], images[0][:, :40])
    np.testing.assert_array_equal(pieces[2], images[0][:, 50:])


def test_a_rest_of_a_few_pixels_is_left_out():
    pieces = patches.cut([np.zeros((40, 40, 3)), np.zeros((41, 82, 3))], least=32)
    assert pieces.shape == (1 + 2, 40, 40, 3)


def test_no_image_is_large_enough():
    with pytest.raises(ValueError, match="no image has sides of at least 64 pixels"):
        patches.cut([np.zeros((63, 200, 3))], least=64)


def test_a_patch_is_a_part_of_a_piece_up_to_its_symmetries():
    pieces = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3)).astype(np.uint8)
    seen = set()
    for seed in range(40):
        patch = np.round(255 * np.asarray(patches.random_patch(jax.random.key(seed), pieces, 5))).astype(np.uint8)
        found = (
            [
                (m, i, j, index)
                for m in range(3)
                for i in range(8)
                for j in range(8)
                for index in range(8)
                if np.array_equal(tiling.turn(pieces[m, i : i + 5, j : j + 5], index), patch)
            ]
            if seed < 3
            else [(0, 0, 0, patch.tobytes())]
        )
        assert len(found) == 1
        seen.add(patch.tobytes())
    assert len(seen) > 35
