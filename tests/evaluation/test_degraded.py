"""Test data made in-process: sets and cases, one bad image among good ones, and what a second run finds."""

import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.evaluation import case_making, degraded
from blindsr_jax.imaging import synthetic
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.kernels.family import load_family


@pytest.fixture
def paths(tmp_path):
    pixels = np.random.default_rng(0).random((23, 20, 3)).astype(np.float32)
    io.write_image(tmp_path / "good.png", io.Image(pixels))
    io.write_image(tmp_path / "small.png", io.Image(pixels[:6, :6]))
    return {"good": tmp_path / "good.png", "small": tmp_path / "small.png"}


def impulses(**place):
    spec = make_spec(scale=2, **place)
    place = {"kernel_size": spec.kernel_size, "kernel_center": spec.kernel_center}
    return spec, load_family("impulse", scale=2, **place)


def test_a_set_has_all_files_of_a_good_image_and_none_of_a_bad_one(paths, tmp_path):
    spec, family = impulses(boundary="circular", kernel_center="release")
    settings = degraded.Settings(str(tmp_path / "set"), spec, family, seed=3)
    for folder in degraded.LAYOUT.folders:
        (tmp_path / "set" / folder).mkdir(parents=True)
    errors, manifest = [], {}
    how = {"on_error": lambda path, error: errors.append((path, str(error)))}
    assert degraded.degrade_all(settings, paths, manifest, **how) == 1
    ((path, sentence),) = errors
    assert path == paths["small"] and "small.png" in sentence and "6 x 6 pixels" in sentence
    found = {str(p.relative_to(tmp_path / "set")) for p in (tmp_path / "set").rglob("*.*")}
    assert found == {"hr/good.png", "lr/good.png", "kernels/good.npy", "kernels/good.mat", "manifest.json"}
    assert degraded.read_manifest(settings.folder) == manifest and manifest["good"]["family"] == "impulse"
    hr, lr = (io.read_image(tmp_path / "set" / kind / "good.png").pixels for kind in ("hr", "lr"))
    assert hr.shape == (22, 20, 3) and lr.shape == (11, 10, 3)


def test_a_case_is_the_middle_of_an_image(paths, tmp_path):
    spec, family = impulses(boundary="circular", kernel_center="release")
    settings = case_making.Settings(str(tmp_path / "cases"), spec, family, "impulse", 17, seed=3)
    errors, made = [], set()
    how = {"on_error": lambda path, error: errors.append(str(error))}
    (tmp_path / "cases").mkdir()
    assert case_making.make_cases(settings, paths, made, **how) == 1
    assert made == {"good_x2_impulse"} == case_making.read_list(settings.folder) and "small.png" in errors[0]
    hr = io.read_image(tmp_path / "cases/good_x2_impulse/hr.png").pixels
    np.testing.assert_array_equal(hr, synthetic.middle(io.read_image(paths["good"]).pixels, 16))
    assert not (tmp_path / "cases/small_x2_impulse/hr.png").exists()


def test_the_canvas_of_the_valid_boundary_lies_around_the_image():
    pixels = np.random.default_rng(0).random((23, 20, 3))
    spec = make_spec(scale=2, kernel_size=7, boundary="valid", kernel_center="aligned")
    hr, canvas = synthetic.crop_to_grid(pixels, spec)
    assert hr.shape == (18, 14, 3) and canvas.shape == (23, 19, 3)
    np.testing.assert_array_equal(hr, canvas[3:21, 3:17])
    kernel = np.zeros((7, 7), np.float32)
    kernel[3, 3] = 1
    lr = synthetic.make_lr(canvas.astype(np.float32), kernel, spec, truncate=True)
    np.testing.assert_array_equal(lr, np.floor(255 * canvas[3:21:2, 3:17:2].astype(np.float32)) / 255)
