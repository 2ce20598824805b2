"""Making test sets: LR images against an independent computation, the manifest, seeds, families."""

import hashlib

import numpy as np
import PIL.Image
import pytest
import scipy.io
from scipy import ndimage

from blindsr_jax import io
from tests.launch.commands import command, forked, read_json
from tests.launch.conftest import levels

H, W = 31, 40  # cropped to 30 x 39 at scale 3
RUNS = {
    "gaussian": ["--scale=3"],
    "again": ["--scale=3"],
    "seed": ["--scale=3", "--seed=2"],
    "legacy": ["--scale=3", "--legacy_png"],
    "noise": ["--scale=3", "--noise_std=0.1"],
    "valid": ["--scale=2", "--boundary=valid", "--kernel_center=aligned", "--kernel_size=7"],
}
FAMILIES = {
    "motion": ["--scale=3", "--family=motion"],
    "line": ["--scale=3", "--family=line"],
    "narrow": ["--scale=2", "--variance_range=0.2,0.3"],
    "mixture": ["--scale=2", "--family=mixture", "--seed=6"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folders and the runs by name."""
    return make(tmp_path_factory.mktemp("degrade"), RUNS)


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """The folder of the runs of other families."""
    return make(tmp_path_factory.mktemp("families"), FAMILIES)[0]


def make(place, asked):
    (place / "in").mkdir()
    for name, channels in (("rgb", 3), ("rgba", 4), ("gray", 1)):
        samples = levels(channels, (H, W), seed=channels)
        PIL.Image.fromarray(samples if channels > 1 else samples[..., 0]).save(place / "in" / f"{name}.png")
    io.write_image(place / "in" / "rgb16.png", io.Image(levels(3, (H, W)).astype(np.float64) / 256, bits=16))
    (place / "in" / "text.png").write_text("not an image")
    PIL.Image.fromarray(levels(3, (9, 40))).save(place / "in" / "small.png")

    def flags(name):
        pattern = "*.png" if name in ("gaussian", "mixture") else "rgb.png"
        return [f"--input={place}/in/{pattern}", f"--workdir={place}/{name}", *asked[name]]

    runs = forked(*(command("degrade", *flags(name)) for name in asked))
    return place, dict(zip(asked, runs, strict=True))


def read_levels(path):
    with PIL.Image.open(path) as image:
        return np.asarray(image).astype(np.float64)


def correlated(hr, kernel, scale):
    """255 * y by the formula of the conventions, in float64; also how far each entry is from a tie in rounding."""
    planes = hr.reshape(*hr.shape[:2], -1)
    blurred = [
        ndimage.correlate(planes[..., c], kernel.astype(np.float64), mode="wrap") for c in range(planes.shape[-1])
    ]
    lr = np.stack(blurred, -1)[::scale, ::scale]
    return lr.reshape(*lr.shape[:2], *hr.shape[2:])


def test_exit_codes_and_sentences(made):
    place, runs = made
    assert {name: run.code for name, run in runs.items() if run.code} == {"gaussian": 1}
    small, text = runs["gaussian"].err.splitlines()
    assert "small.png" in small and "40 x 9 pixels are too few" in small and "at least 18" in small
    assert "text.png" in text and "not an image" in text
    assert [line["name"] for line in read_json(place, "gaussian", "manifest.json")] == ["gray", "rgb", "rgb16", "rgba"]


@pytest.mark.parametrize("name,mode", [("rgb", "RGB"), ("rgba", "RGB"), ("gray", "L")])
def test_lr_is_the_circular_correlation(made, name, mode):
    folder = made[0] / "gaussian"
    hr, lr = (read_levels(folder / kind / f"{name}.png") for kind in ("hr", "lr"))
    kernel = np.load(folder / "kernels" / f"{name}.npy")
    assert hr.shape[:2] == (30, 39) and lr.shape[:2] == (10, 13) and kernel.shape == (15, 15)
    with PIL.Image.open(folder / "lr" / f"{name}.png") as image:
        assert image.mode == mode
    source = read_levels(made[0] / "in" / f"{name}.png")[:30, :39]
    np.testing.assert_array_equal(hr, source[..., :3] if mode == "RGB" else source)
    wanted = correlated(hr, kernel, 3)
    decided = np.abs(wanted % 1 - 0.5) > 1e-3  # float32 may break a tie the other way
    assert decided.mean() > 0.98
    np.testing.assert_array_equal(lr[decided], np.rint(wanted)[decided])


def test_sixteen_bits_are_kept(made):
    folder = made[0] / "gaussian"
    hr, lr = (io.read_image(folder / kind / "rgb16.png") for kind in ("hr", "lr"))
    assert (hr.bits, lr.bits) == (16, 16)
    wanted = correlated(hr.pixels.astype(np.float64), np.load(folder / "kernels" / "rgb16.npy"), 3)
    np.testing.assert_allclose(lr.pixels, wanted, atol=0.6 / 65535)


def test_kernel_files(made):
    folder = made[0] / "gaussian" / "kernels"
    kernel = np.load(folder / "rgb.npy")
    assert kernel.dtype == np.float32 and kernel.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(scipy.io.loadmat(folder / "rgb.mat")["Kernel"], kernel, atol=1e-7)
    np.testing.assert_allclose(ndimage.center_of_mass(kernel), (15 - 3) / 2, atol=1e-4)  # 'release'


def test_manifest(made):
    folder = made[0] / "gaussian"
    line = {line["name"]: line for line in read_json(folder, "manifest.json")}["rgb"]
    assert line["sha256"] == hashlib.sha256((folder / "lr" / "rgb.png").read_bytes()).hexdigest()
    wanted = {"family": "gaussian", "seed": 1, "boundary": "circular", "kernel_center": "release", "scale": 3}
    assert {key: line[key] for key in wanted} == wanted
    variances, angle = line["parameters"]["variances"], line["parameters"]["angle"]
    kernel = np.load(folder / "kernels" / "rgb.npy").astype(np.float64)
    rows, cols = np.meshgrid(*2 * [np.arange(15) - 6], indexing="ij")
    along, across = np.cos(angle) * cols + np.sin(angle) * rows, np.cos(angle) * rows - np.sin(angle) * cols
    gaussian = np.exp(-0.5 * (along**2 / variances[0] + across**2 / variances[1]))[:13, :13]
    np.testing.assert_allclose(kernel[:13, :13], gaussian / gaussian.sum(), atol=1e-6)


def test_seed(made):
    files = [[(made[0] / run / f).read_bytes() for f in ("lr/rgb.png", "kernels/rgb.mat")] for run in RUNS]
    first, again, other, *_ = files
    assert first == again and first[0] != other[0] and first[1] != other[1]


def test_legacy_truncates(made):
    folder = made[0] / "legacy"
    exact = correlated(read_levels(folder / "hr" / "rgb.png"), np.load(folder / "kernels" / "rgb.npy"), 3)
    decided = np.abs((exact + 0.5) % 1 - 0.5) > 1e-3
    np.testing.assert_array_equal(read_levels(folder / "lr" / "rgb.png")[decided], np.floor(exact)[decided])


def test_noise(made):
    clean, noisy = (read_levels(made[0] / run / "lr" / "rgb.png") for run in ("gaussian", "noise"))
    inner = (clean > 77) & (clean < 178)  # no clipping within three standard deviations
    difference = (noisy - clean)[inner] / 255
    assert difference.std() == pytest.approx(0.1, rel=0.2) and abs(difference.mean()) < 0.03


def test_valid_boundary(made):
    folder, source = made[0] / "valid", read_levels(made[0] / "in" / "rgb.png")
    hr, lr = (read_levels(folder / kind / "rgb.png") for kind in ("hr", "lr"))
    kernel = np.load(folder / "kernels" / "rgb.npy")
    assert kernel.shape == (7, 7) and hr.shape == (26, 34, 3) and lr.shape == (13, 17, 3)
    np.testing.assert_array_equal(hr, source[3 : 3 + 26, 3 : 3 + 34])
    wanted = correlated(source, kernel, 1)[3:29:2, 3:37:2]
    assert np.abs(lr - wanted).max() < 0.501
    np.testing.assert_allclose(ndimage.center_of_mass(kernel), (7 + 2) / 2 - 1, atol=1e-4)  # 'aligned'


@pytest.mark.long
def test_variance_range(families):
    (line,) = read_json(families, "narrow", "manifest.json")
    assert all(0.2 <= x <= 0.3 for x in line["parameters"]["variances"])


@pytest.mark.long
def test_families(families):
    lines = {run: read_json(families, run, "manifest.json") for run in ("motion", "line", "mixture")}
    assert [line["family"] for line in lines["motion"]] == ["motion"] and "pull" in lines["motion"][0]["parameters"]
    assert [line["family"] for line in lines["line"]] == ["line"] and "length" in lines["line"][0]["parameters"]
    assert {line["family"] for line in lines["mixture"]} == {"gaussian", "motion"}
