"""Groups of images in launch/solve.py: bad files, a kill between the states of a group, a group that is too large."""

import numpy as np
import pytest

from blindsr_jax import io
from tests.launch.commands import PLAIN, read_json
from tests.launch.test_interrupted import is_tidy, outputs, words, write_inputs

pytestmark = pytest.mark.long  # the cheap tests of the same laws: those of the functions themselves

# Killed in the first group, after the state of its first image and before that of its second.
KILLED = """
import os, signal
from blindsr_jax.runs import checkpoints
save, calls = checkpoints.save, []
def killed(*args, **options):
    calls.append(args)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    save(*args, **options)
checkpoints.save = killed
"""
# A device that holds one image at a time; and numbers that no solver survives.
ONE = """
import jax
from blindsr_jax.runs import pipeline
solve_group = pipeline.solve_group
def one(trials, *args, **options):
    if len(trials) > 1:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")
    return solve_group(trials, *args, **options)
pipeline.solve_group = one
"""
LOST = """
import numpy as np
from blindsr_jax import io
read = io.read_image
def read_image(path, **options):
    image = read(path, **options)
    return image._replace(pixels=image.pixels + np.float32("nan")) if path.stem == "b" else image
io.read_image = read_image
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cached):
    """Three images and a bad file; a run of its own each with and without groups, and a killed one."""
    place = tmp_path_factory.mktemp("groups")
    inputs = write_inputs(place / "in", "abc")
    (inputs / "bad.png").write_text("this is not an image")

    def command(name, size, before=""):
        return {"argv": words(inputs, place / name, f"--group_size={size}"), "before": PLAIN + before}

    cases = ("one", 1), ("two", 2), ("killed", 2, KILLED), ("killed", 2)
    found = cached(*(command(*case) for case in cases))
    return place, dict(zip(("one", "two", "killed", "resumed"), found, strict=True)), command


def close(first, second):
    """After eight steps the program makes no visible difference."""
    for name in "abc":
        one, two = (io.read_image(place / f"images/{name}.png").pixels for place in (first, second))
        np.testing.assert_allclose(one, two, atol=2 / 255)


def test_a_group_gives_what_its_images_give_alone(runs):
    place, done, _ = runs
    for name in ("one", "two"):
        assert done[name].code == 1 and done[name].err.count("\n") == 1 and "bad.png" in done[name].err, done[name]
        assert is_tidy(place / name)
    close(place / "one", place / "two")
    assert [r["status"] for r in read_json(place, "two/results.json")] == ["ok", "ok", "failed", "ok"]


def test_a_kill_between_the_states_of_a_group_changes_no_bit(runs):
    place, done, _ = runs
    assert done["killed"].code == -9 and done["resumed"].code == 1, done
    assert outputs(place / "killed") == outputs(place / "two") and is_tidy(place / "killed")


@pytest.mark.long
def test_a_group_that_memory_does_not_hold_is_halved(runs, cached):
    place, done, command = runs
    (halved,) = cached(command("halved", 2, ONE))
    assert halved.code == 1 and halved.err == done["one"].err, halved
    assert outputs(place / "halved") == outputs(place / "one")


@pytest.mark.long
def test_lost_numbers_do_not_touch_the_rest_of_the_group(runs, cached):
    place, _, command = runs
    (lost,) = cached(command("lost", 2, LOST))
    records = {record["name"]: record for record in read_json(place, "lost/results.json")}
    assert lost.code == 1 and records["b"]["status"] == "diverged", lost
    (found, _), (wanted, _) = outputs(place / "lost"), outputs(place / "two")
    assert found == {name: data for name, data in wanted.items() if "/b." not in name}
