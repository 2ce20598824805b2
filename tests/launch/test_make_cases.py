"""Cases for the table: conventions of the benchmarks, strong motion, the same each time."""

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from blindsr_jax.evaluation.metrics import kernel_mean_error
from blindsr_jax.imaging.degradation import degrade
from tests.launch.commands import command, forked, usage_error
from tests.launch.conftest import levels


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("cases")
    (place / "in").mkdir()
    PIL.Image.fromarray(levels(3, (40, 50))).save(place / "in" / "a.png")
    PIL.Image.fromarray(levels(3, (20, 50))).save(place / "in" / "low.png")
    flags = [f"--input={place}/in/*.png", "--scale=2", "--crop=31", f"--workdir={place}/out"]
    small = [*flags, f"--workdir={place}/no", "--crop=16", "--scale=4"]
    photo = [*flags, f"--workdir={place}/photo", "--boundary=valid", "--crop=20"]
    every = forked(*(command("make_cases", *f) for f in (flags, [*flags, "--family=motion"], small, photo)))
    return place, every[:3]


@pytest.mark.parametrize("family", ["gaussian", "motion"])
def test_a_case_holds_together(made, family):
    folder = made[0] / "out" / f"a_x2_{family}"
    hr, lr = (io.read_image(folder / f"{name}.png").pixels for name in ("hr", "lr"))
    kernel = io.read_kernel(folder / "kernel.npy")
    assert hr.shape == (30, 30, 3) and lr.shape == (15, 15, 3) and kernel.shape == (11, 11)
    np.testing.assert_array_equal(hr, levels(3, (40, 50))[5:35, 10:40].astype(np.float32) / 255)
    expected = degrade(hr, kernel.astype(np.float32), scale=2, boundary="circular")
    np.testing.assert_allclose(lr, expected, atol=0.51 / 255)
    centre = np.zeros((11, 11))
    centre[4:6, 4:6] = 0.25  # 'release': 4.5 of 11
    assert kernel_mean_error(kernel, centre) < 0.1


def test_a_photograph_s_case_has_a_truth_over_its_lr_image(made):
    folder = made[0] / "photo" / "a_x2_gaussian"
    hr, lr = (io.read_image(folder / f"{name}.png").pixels for name in ("hr", "lr"))
    canvas = levels(3, (40, 50))[5:34, 10:39].astype(np.float32) / 255  # 20 pixels and those that the kernel reaches
    np.testing.assert_array_equal(hr, canvas[5:25, 5:25])
    expected = degrade(canvas, io.read_kernel(folder / "kernel.npy").astype(np.float32), scale=2, boundary="valid")
    np.testing.assert_allclose(lr, expected, atol=0.51 / 255)


def test_motion_is_strong(made):
    kernel = io.read_kernel(made[0] / "out" / "a_x2_motion" / "kernel.npy")
    grid = np.stack(np.meshgrid(range(11), range(11), indexing="ij")).reshape(2, -1)
    minor, major = np.linalg.eigvalsh(np.cov(grid, aweights=kernel.ravel(), ddof=0))
    assert major >= 2 and major >= 3 * minor


def test_what_is_too_small_is_said(made):
    small_image, _, small_crop = made[1]
    assert small_image.code == 1 and "low.png" in small_image.err and "1 of 2 cases" in small_image.out
    assert "--crop=16 is too small" in usage_error(small_crop)


@pytest.mark.long
def test_kernels_of_a_folder_are_a_family_of_both_launches(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "kernels").mkdir()
    PIL.Image.fromarray(levels(3, (40, 50))).save(tmp_path / "in" / "a.png")
    kernel = np.zeros((11, 11))
    kernel[4:6, 4:6] = 0.25
    io.write_kernel(tmp_path / "kernels" / "k.npy", kernel)
    own = [f"--input={tmp_path}/in/*.png", "--scale=2", "--family=folder"]
    flags = [*own, f"--kernels={tmp_path}/kernels"]
    cases, degraded, without, useless = forked(
        command("make_cases", *flags, "--crop=32", f"--workdir={tmp_path}/cases"),
        command("degrade", *flags, f"--workdir={tmp_path}/set"),
        command("degrade", *own, f"--workdir={tmp_path}/no"),
        command("degrade", *flags, "--family=gaussian", f"--workdir={tmp_path}/no"),
    )
    assert cases.code == degraded.code == 0
    for path in ("cases/a_x2_folder/kernel.npy", "set/kernels/a.npy"):
        np.testing.assert_allclose(io.read_kernel(tmp_path / path), kernel, atol=1e-5)
    assert "'folder' has no path" in usage_error(without) and "--kernels" in usage_error(useless)
