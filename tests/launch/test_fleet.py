"""Many processes that share the images of a run while some are killed; the full size is in docs/scale.md."""

import pytest

from tests.launch.fleet import fleet


@pytest.mark.parametrize(
    "images, processes, plans",
    [
        pytest.param(30, 3, [[(4, False), (9, True)]], id="few"),
        pytest.param(
            600, 16, [[(20, False), (60, False), (150, True)]] * 2 + [[(30, False)]], id="many", marks=pytest.mark.long
        ),
    ],
)
def test_no_image_is_lost_or_solved_twice_but_those_in_flight(images, processes, plans, tmp_path):
    rounds = fleet(tmp_path, images, processes, plans, seconds=0.01)
    kills = sum(len(found.killed) for found in rounds)
    assert kills >= len(plans)
    solves = sum(len(found.solves) for found in rounds)
    assert images < solves  # some were lost in flight, and solved by the next command
