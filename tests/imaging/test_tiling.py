import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import tiling


@pytest.mark.parametrize("overlap", [0, 3])
def test_tiles_cover_every_side_with_the_overlap_and_no_tile_too_many(overlap):
    for size in (5, 8, 16):
        for length in range(1, 70):
            found = tiling.starts(length, size, overlap=overlap)
            assert found[0] == 0 and found[-1] == max(length - size, 0)
            steps = np.diff(found)
            assert (steps <= size - overlap).all()
            assert len(found) == 1 or length > overlap + (len(found) - 1) * (size - overlap)


def test_a_small_rest_may_stay_uncovered():
    assert tiling.starts(104, 50) == [0, 27, 54]
    assert tiling.starts(102, 50, rest=0.05) == [0, 52]


def test_the_eight_symmetries_are_all_different_and_four_keep_the_shape():
    square, oblong = jnp.arange(27.0).reshape(3, 3, 3), jnp.arange(12.0).reshape(2, 3, 2)
    assert len({np.asarray(tiling.turn(square, i)).tobytes() for i in range(8)}) == 8
    assert {tiling.turn(oblong, i).shape for i in range(8)} == {(2, 3, 2)}
    assert len({np.asarray(tiling.turn(oblong, i)).tobytes() for i in range(8)}) == 4
