"""Many images in one process: memory and time per image stay what they are; the full size is in docs/reliability.md."""

import numpy as np
import pytest

from tests.launch.commands import MEAN
from tests.launch.soak import Report, soak


def test_what_grows_is_told_from_what_only_begins_slowly():
    flat = Report(np.r_[5.0, np.full(99, 0.1)], np.minimum(np.arange(100.0), 20))
    leak = Report(np.full(100, 0.1), 200 + 0.5 * np.arange(100))
    assert abs(flat.slope(flat.seconds)) < 1e-9 and abs(flat.slope(flat.mb)) < 1e-9
    assert abs(leak.slope(leak.mb) - 0.5) < 1e-9 and leak.quarters(leak.mb)[3] > leak.quarters(leak.mb)[0] + 30


@pytest.mark.long
def test_memory_and_time_per_image_are_flat(tmp_path):
    found = soak(tmp_path, 300, (24, 32), [*MEAN, "--nofigures"])
    _, second, _, last = found.quarters(found.mb)
    assert last < 1.03 * second, found.quarters(found.mb)
    _, second, _, last = found.quarters(found.seconds)
    assert last < 1.5 * second, found.quarters(found.seconds)  # beside other work
