"""Other programs by a card alone: what is read of it, where their images and kernels lie, what is refused."""

import json

import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.evaluation import rivals
from blindsr_jax.evaluation.benchmark_sets import Group
from blindsr_jax.evaluation.cases import Case
from blindsr_jax.imaging.problem import make_spec

GROUP = Group("Set5", 2, "gaussian")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "results" / "Set5_x2_gaussian").mkdir(parents=True)
    return tmp_path


def write(place, **values):
    path = place / "card.json"
    path.write_text(json.dumps({"name": "Other", "folder": "results", **values}))
    return path


def case(size=40):
    hr = np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.float32) / 255
    kernel = np.zeros((11, 11))
    kernel[4:6, 4:6] = 0.25  # 'release'
    return Case("Set5_x2_gaussian__a", hr[::2, ::2], hr, kernel, 2)


def spec():
    return make_spec(scale=2, boundary="circular", kernel_center="release")


@pytest.mark.parametrize("grid", rivals.GRIDS)
def test_an_image_of_the_usual_grid_is_moved_and_one_of_the_data_is_not(place, grid):
    found = case()
    image = found.hr if grid == "data" else np.roll(found.hr, 1, (0, 1))  # it shows each thing s - 1 pixels later
    io.write_image(place / "results/Set5_x2_gaussian/a.png", io.Image(image))
    card = rivals.read_card(write(place, grid=grid))
    assert rivals.score(card, GROUP, found, spec())["psnr_y"] == float("inf")
    other = card._replace(grid="half_pixel" if grid == "data" else "data")
    assert rivals.score(other, GROUP, found, spec())["psnr_y"] < 20


def test_kernels_of_another_convention_are_brought_to_ours(place):
    found = case()
    found = found._replace(kernel=found.kernel * np.linspace(1, 2, 11)[:, None] / 1.45)
    io.write_image(place / "results/Set5_x2_gaussian/a.png", io.Image(found.hr))
    turned = np.roll(found.kernel, 1, (0, 1))[::-1, ::-1]  # 'aligned', for a convolution
    io.write_kernel(place / "results/a.npy", turned)
    card = rivals.read_card(write(place, kernels="{stem}.npy", kernel_center="aligned", kernel_flipped=True))
    assert rivals.score(card, GROUP, found, spec())["kernel_psnr"] > 100
    assert rivals.score(card._replace(kernel_flipped=False), GROUP, found, spec())["kernel_psnr"] < 60
    assert rivals.score(card._replace(kernels=None), GROUP, found, spec()).keys().isdisjoint({"kernel_psnr"})


@pytest.mark.parametrize(
    "values, words",
    [
        ({"name": 3}, "'name': a name was expected"),
        ({"folder": "nowhere"}, "nowhere' is not a folder"),
        ({"pattern": "{nope}.png"}, "{nope} is unknown, expected {set}"),
        ({"pattern": "{stem.__class__}.png"}, "is unknown"),
        ({"pattern": "{stem"}, "braces do not match"),
        ({"pattern": "a.png"}, "{stem} is missing"),
        ({"grid": "centre"}, "one of data, half_pixel"),
        ({"kernel_flipped": 1}, "true or false"),
        ({"colour": "red"}, "the key 'colour' is unknown, expected one of name, folder"),
    ],
)
def test_what_is_wrong_with_a_card_is_named(place, values, words):
    with pytest.raises(io.InputError) as error:
        rivals.read_card(write(place, **values))
    assert words in str(error.value) and "card.json" in str(error.value)


def test_what_is_wrong_with_a_result_is_named(place):
    card = rivals.read_card(write(place))
    with pytest.raises(io.InputError, match=r"a\.png"):
        rivals.score(card, GROUP, case(), spec())
    io.write_image(place / "results/Set5_x2_gaussian/a.png", io.Image(case(42).hr))
    with pytest.raises(io.InputError, match="42 x 42 pixels, 40 x 40 were expected"):
        rivals.score(card, GROUP, case(), spec())
