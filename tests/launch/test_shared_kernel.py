"""--shared_kernel: the images of a run get one kernel, and so do images that come later."""

import numpy as np
import PIL.Image

from tests.launch.commands import command, forked, read_json, usage_error
from tests.launch.conftest import levels


def test_one_kernel_for_all_and_for_those_that_come_later(tmp_path):
    (tmp_path / "in").mkdir()
    for i, name in enumerate("abc"):
        PIL.Image.fromarray(levels(3, shape=(16, 18), seed=i)).save(tmp_path / f"in/{name}.png")
    (tmp_path / "in/c.png").rename(tmp_path / "c.png")

    def solve(*flags, config="pipeline.py:mean+cubic"):
        place = f"--input={tmp_path}/in/*.png", f"--workdir={tmp_path}/out"
        return command("solve", f"--config=configs/{config}", "--scale=2", *place, "--shared_kernel", *flags)

    (first,) = forked(solve())
    (tmp_path / "c.png").rename(tmp_path / "in/c.png")
    kernel = f"--kernel={tmp_path}/out/kernels/a.npy"
    later, both, joint, parts = forked(
        solve(),
        solve(kernel),
        solve("--restart", config="dip_dkp.py"),
        solve("--config.kernel_map=2x2", config="photo.py"),
    )
    assert first.code == 0 and "one kernel for all images, from 2 of them" in first.out, first
    assert later.code == 0 and later.out.startswith("2 of 3 finished before"), later
    kernels = [np.load(tmp_path / f"out/kernels/{name}.npy") for name in "abc"]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    np.testing.assert_array_equal(kernels[0], kernels[2])
    assert all("from all images together" in record["message"] for record in read_json(tmp_path, "out/results.json"))
    assert "--shared_kernel and --kernel are both given" in usage_error(both)
    assert "expected an estimator of one step" in usage_error(joint)
    assert "--config.kernel_map and --shared_kernel are both given" in usage_error(parts)
