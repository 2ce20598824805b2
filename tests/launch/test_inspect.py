"""launch/inspect.py: a table and JSON, bad files beside good ones, and Python's own module of that name."""

import json

import numpy as np
import PIL.Image
import pytest

from tests.launch.commands import command, forked, python


def write(folder):
    rng = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(rng.integers(30, 220, (20, 25, 3), dtype=np.uint8)).resize((100, 80))
    coarse.save(folder / "soft.jpg", quality=75)
    noisy = np.asarray(coarse, float) + rng.normal(0, 10, (80, 100, 3))
    PIL.Image.fromarray(np.uint8(noisy.clip(0, 255))).save(folder / "noisy.png")
    PIL.Image.new("L", (64, 64), 128).save(folder / "flat.png")
    (folder / "broken.png").write_text("this is not an image")


@pytest.mark.long
def test_what_is_seen(tmp_path):
    write(tmp_path)
    file = tmp_path / "seen.json"
    (run,) = forked(command("inspect", f"--input={tmp_path}/*.*g", f"--json={file}"))
    assert run.code == 1 and "broken.png" in run.err and run.err.count("\n") == 1, run
    seen = {x["name"]: x for x in json.loads(file.read_text())}
    assert seen["soft.jpg"]["jpeg_quality"] == 75 and seen["noisy.png"]["jpeg_quality"] is None
    assert 8 < seen["noisy.png"]["noise_std"] < 12
    assert seen["flat.png"]["blur"] == "unseen" and seen["flat.png"]["noise_std"] is not None
    assert "100x80x3" in run.out and "flat.png" in run.out


def test_bad_files_beside_good_ones_and_a_list_of_its_own(tmp_path):
    """Of images too small to see a blur in: the network takes no part."""
    PIL.Image.new("L", (16, 20), 128).save(tmp_path / "gray.png")
    PIL.Image.new("RGB", (23, 30), (9, 99, 200)).save(tmp_path / "soft.jpg", quality=75)
    (tmp_path / "broken.png").write_text("this is not an image")
    file = tmp_path / "seen.json"
    words = command("inspect", f"--input={tmp_path}/*.*g", f"--json={file}")
    run, again, taken = forked(words, words, command("inspect", words[1], f"--json={tmp_path}/soft.jpg"))
    assert run.code == 1 and "broken.png" in run.err and run.err.count("\n") == 1, run
    seen = {x["name"]: x for x in json.loads(file.read_text())}
    assert set(seen) == {"gray.png", "soft.jpg"} and seen["soft.jpg"]["jpeg_quality"] == 75
    assert {x["blur"] for x in seen.values()} == {"unseen"} and "16x20x1" in run.out and "gray.png" in run.out
    assert again.out == run.out and again.code == 1  # its own list is replaced
    assert taken.code == 2 and "soft.jpg" in taken.err
    assert (tmp_path / "soft.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_python_has_its_own_module_of_that_name_while_a_launch_runs():
    run = python(*command("inspect", "--help"))
    assert run.code == 0 and "--json" in run.out, run
    code = "import sys; sys.path.insert(0, 'launch'); import inspect; print(inspect.signature(len))"
    assert python("-c", code).out == "(obj, /)\n"
