"""Two photographs of twelve megapixels within four gigabytes, a limit that the operating system holds."""

import numpy as np
import pytest
from scipy import ndimage

from blindsr_jax import io
from tests import small
from tests.launch.commands import command, python, read_json

LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, (4 * 10**9, 4 * 10**9))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def photograph(seed):
    """Blurred patches of all sizes and colours, 4000 x 3000."""
    rng, image = np.random.default_rng(seed), np.zeros((3000, 4000, 3), np.float32)
    for size in (8, 40, 200):
        coarse = rng.uniform(0, 1 / 3, (3000 // size, 4000 // size, 3)).astype(np.float32)
        image += np.kron(coarse, np.ones((size, size, 1), np.float32))
    return ndimage.gaussian_filter(image, (0.9, 0.6, 0))


@pytest.fixture
def narrow(tmp_path):
    """A small restorer: the shipped one takes minutes an image, and its tiles no more memory than the states do."""
    return small.usrnet_file(tmp_path / "narrow.npz", 0.1)


@pytest.mark.long
def test_two_photographs_of_twelve_megapixels(tmp_path, narrow):
    for seed, name in enumerate("ab"):
        io.write_image(tmp_path / f"{name}.png", io.Image(photograph(seed)))
    place = f"--input={tmp_path}/*.png", f"--workdir={tmp_path}/out", f"--config.restorers.tiles.weights={narrow}"
    # Saving states takes most memory.
    flags = "--config=configs/photo.py", "--scale=2", "--checkpoint_seconds=20"
    run = python("-c", LIMITED, *command("solve", *flags, *place))
    assert run.code == 0, run
    records = read_json(tmp_path, "out/results.json")
    assert [record["status"] for record in records] == ["ok", "ok"], records
    for name in "ab":
        assert io.read_image(tmp_path / f"out/images/{name}.png").pixels.shape == (6000, 8000, 3)
