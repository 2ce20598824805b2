"""Scores: keys, values, nulls, sizes that do not fit, and the page of the solve."""

import shutil

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from tests.launch.commands import MEAN, PLAIN, command, forked, launch, read_json
from tests.launch.conftest import GOOD, H, W, levels, write_good

KEYS = ["psnr_y", "ssim_y", "kernel_psnr", "kernel_correlation", "kernel_mean_error", "kernel_cov_error"]


def gaussian(size, variance=2.0):
    offset = np.arange(size) - (size - 1) / 2
    row = np.exp(-0.5 * offset**2 / variance)
    return np.outer(row, row) / row.sum() ** 2


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A solve of a mixed folder, the truth, and the run that scores it."""
    place = tmp_path_factory.mktemp("evaluate")
    (place / "in").mkdir()
    write_good(place / "in")
    solve = command("solve", *MEAN, f"--input={place}/in/*.*", f"--workdir={place}/results")
    (done,) = forked({"argv": solve, "before": PLAIN})
    assert done.code == 0, done
    (place / "hr").mkdir()
    (place / "truth").mkdir()
    for name in sorted(GOOD - {"la"}):  # no truth for la
        shape = (2 * H + 1, 2 * W + 1) if name != "rgba" else (2 * H, 2 * W + 2)  # that of rgba does not fit
        PIL.Image.fromarray(levels(3, shape)).save(place / "hr" / f"{name}.png")
        io.write_kernel_mat(place / "truth" / f"{name}.mat", gaussian(15))
    (place / "truth" / "palette.mat").write_text("broken")
    flags = [f"--results={place}/results", f"--hr={place}/hr", f"--kernels={place}/truth", "--scale=2"]
    return place, launch("evaluate", *flags)


def luma(path):
    return io.read_image(path).pixels.astype(np.float64) @ [65.481, 128.553, 24.966] + 16


def test_scores(scored):
    place, run = scored
    scores = read_json(place, "results", "scores.json")
    rows = {row["name"]: row for row in scores["images"]}
    assert list(scores) == ["images", "mean"] and set(rows) == GOOD
    assert all(list(row) == ["name", *KEYS] for row in rows.values()) and list(scores["mean"]) == KEYS
    assert {name for name, row in rows.items() if row["psnr_y"] is None} == {"la", "rgba", "palette"}
    assert all(row[key] is None for name, row in rows.items() if name in ("la", "rgba", "palette") for key in KEYS)
    known = [row for row in rows.values() if row["psnr_y"] is not None]
    for key in KEYS:
        assert scores["mean"][key] == pytest.approx(np.mean([row[key] for row in known]))
    estimate = luma(place / "results" / "images" / "rgb.png")[2:-2, 2:-2]  # the border is the scale
    truth = luma(place / "hr" / "rgb.png")[:-1, :-1][2:-2, 2:-2]
    psnr = 20 * np.log10(255 / np.sqrt(np.mean((estimate - truth) ** 2)))
    assert rows["rgb"]["psnr_y"] == pytest.approx(psnr, abs=1e-4)
    kernel = np.pad(np.load(place / "results" / "kernels" / "rgb.npy").astype(np.float64), 2)
    psnr = 10 * np.log10(1 / np.mean((kernel - gaussian(15)) ** 2))
    assert rows["rgb"]["kernel_psnr"] == pytest.approx(psnr, abs=1e-3)
    assert "psnr_y" in run.out


def test_what_does_not_fit_is_said(scored):
    run = scored[1]
    assert run.code == 1, run
    palette, rgba, hr, kernels = run.err.splitlines()
    assert "rgba.png" in rgba and "26 x 22 pixels" in rgba and "28 x 22" in rgba
    assert "palette.mat" in palette
    assert hr == "--hr has no file for 1 of 9 images" and kernels == "--kernels has no file for 1 of 9 images"


def test_page_shows_scores_and_truth(scored):
    place = scored[0]
    page = (place / "results" / "index.html").read_text()
    assert page.count("<th>psnr_y</th>") == len(GOOD) - 3
    assert page.count("<figcaption>true kernel</figcaption>") == len(GOOD) - 2
    assert '"../hr/rgb.png"' in page and (place / "results" / "truth" / "rgb.png").is_file()


def test_any_folder_can_be_scored(scored, tmp_path):
    place = scored[0]
    shutil.copytree(place / "hr", tmp_path / "others")
    (tmp_path / "others" / "log.txt").write_text("not an image")
    for name in GOOD - {"la"}:  # every second row moved: not the truth, of its size
        pixels = io.read_image(place / "hr" / f"{name}.png").pixels[: 2 * H, : 2 * W]
        io.write_image(tmp_path / "others" / f"{name}.png", io.Image(pixels[:, ::-1]))
    (place / "hr" / "rgba.png").unlink()
    flags = ["--scale=2", f"--hr={place}/hr", f"--images={tmp_path}/others"]
    new, wide, huge = (f"--results={tmp_path}/{name}" for name in ("new", "wide", "huge"))
    runs = forked(
        command("evaluate", new, *flags),
        command("evaluate", wide, *flags, "--border=0"),
        command("evaluate", huge, *flags, "--border=11"),
    )
    assert [run.code for run in runs] == [0, 0, 1], runs
    rows = [
        {row["name"]: row for row in read_json(tmp_path, name, "scores.json")["images"]} for name in ("new", "wide")
    ]
    assert rows[0].keys() == GOOD - {"la"} and rows[0]["rgb"]["psnr_y"] != rows[1]["rgb"]["psnr_y"]
    assert rows[0]["rgb"]["kernel_psnr"] is None and rows[0]["rgba"]["psnr_y"] is None
    assert "nothing" in runs[2].err and "Traceback" not in runs[2].err
    assert not (tmp_path / "new" / "index.html").exists()
