"""One file with the images of a training."""

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from blindsr_jax.runs import cli
from blindsr_jax.training import driver, packs


@pytest.fixture
def folders(tmp_path):
    """A folder a source with an image of one gray level each."""
    for level, name in enumerate(("a/train", "b/train", "a/val")):
        (tmp_path / name).mkdir(parents=True)
        PIL.Image.fromarray(np.full((8, 9, 3), level, np.uint8)).save(tmp_path / name / "same.png")
    return tmp_path


@pytest.fixture
def pack(folders):
    place = str(folders / "data.zip")
    parts = {"train": [f"{folders}/a/train/*.png", f"{folders}/b/train/*.png"], "val": [f"{folders}/a/val/*.png"]}
    assert packs.write(place, parts) == 3
    return place


def test_a_training_reads_its_part(pack):
    found = driver.read_images(pack, "input")
    assert [int(x[0, 0, 0]) for x in found] == [0, 1] and found[0].shape == (8, 9, 3)
    assert [int(x[0, 0, 0]) for x in driver.read_images(pack, "validation")] == [2]
    assert driver.data_name(pack, "input") == "a/train, b/train"
    assert driver.data_name(pack, "validation") == "a/val"


def test_the_same_images_give_the_same_bytes(pack, folders):
    other = str(folders / "again.zip")
    packs.write(
        other, {"train": [f"{folders}/a/train/*.png", f"{folders}/b/train/*.png"], "val": [f"{folders}/a/val/*"]}
    )
    with open(pack, "rb") as first, open(other, "rb") as second:
        assert first.read() == second.read()


def test_what_is_no_pack_is_named(folders):
    place = folders / "bad.zip"
    for data in (None, b"no archive"):
        if data is not None:
            place.write_bytes(data)
        with pytest.raises(cli.UsageError, match="bad.zip.*pack"):
            driver.read_images(str(place), "input")
    packs.write(str(place), {"val": [f"{folders}/a/val/*.png"]})
    with pytest.raises(cli.UsageError, match="no images below train/"):
        driver.read_images(str(place), "input")


def test_a_pattern_without_files_leaves_an_older_pack(pack, folders):
    before = (folders / "data.zip").read_bytes()
    with pytest.raises(io.InputError):
        packs.write(pack, {"train": [f"{folders}/none/*.png"]})
    assert (folders / "data.zip").read_bytes() == before
    assert sorted(p.name for p in folders.iterdir()) == ["a", "b", "data.zip"]
