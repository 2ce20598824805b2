"""Many images with a few bad ones; images that memory does not hold."""

import numpy as np
import PIL.Image
import pytest

from tests.launch.commands import TINY, command, read_json
from tests.launch.conftest import levels
from tests.launch.test_interrupted import outputs

# Drawing figures would take most of the time; one file has numbers that no solver survives.
BEFORE = """
import numpy as np
from blindsr_jax import io
from blindsr_jax.runs import report
report.write_figure = lambda path, **_: io.write_bytes(path, b"figure")
read = io.read_image
def read_image(path, **options):
    image = read(path, **options)
    return image._replace(pixels=image.pixels + np.float32("nan")) if path.stem == "b_numbers" else image
io.read_image = read_image
"""
BAD = {
    "b_empty": "the file is empty",
    "b_nan": "NaN",
    "b_numbers": "stopped being finite or exploded, in a second try too, try a smaller --config.image.learning_rate or "
    "--config.kernel.learning_rate",
    "b_small": "too few",
    "b_text": "not an image",
}


def gray(seed, shape=(11, 13)):
    return PIL.Image.fromarray(levels(1, shape, seed)[..., 0])


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cached):
    """A run of 14 images and one of the 9 good ones."""
    place = tmp_path_factory.mktemp("mishaps")
    for i in range(9):
        gray(i).save(place / f"{'ac'[i % 2]}{i}.png")
    (place / "b_text.png").write_text("this is not an image")
    (place / "b_empty.png").write_bytes(b"")
    np.save(place / "b_nan.npy", np.full((11, 13, 1), np.nan, np.float32))
    gray(0, (3, 40)).save(place / "b_small.png")
    gray(0).save(place / "b_numbers.png")

    def words(pattern, workdir):
        return command("solve", TINY, f"--input={place}/{pattern}", "--scale=2", f"--workdir={place / workdir}")

    argvs = words("[abc]*.*", "mixed"), words("[ac]*.png", "clean")
    return place, *cached(*({"argv": argv, "before": BEFORE} for argv in argvs))


def test_five_bad_images_of_fourteen_are_explained(runs):
    place, mixed, clean = runs
    assert (mixed.code, clean.code) == (1, 0) and clean.err == "", (mixed, clean)
    assert len(mixed.err.splitlines()) == 5 and "Traceback" not in mixed.err
    records = {record["name"]: record for record in read_json(place, "mixed/results.json")}
    assert len(records) == 14
    bad = {name: record for name, record in records.items() if record["status"] != "ok"}
    assert {name: record["status"] for name, record in bad.items()} == {
        name: "diverged" if name == "b_numbers" else "failed" for name in BAD
    }
    assert all(BAD[name] in record["message"] for name, record in bad.items())


def test_the_other_nine_are_those_of_a_clean_run(runs):
    place, *_ = runs
    (mixed, records), (clean, alone) = outputs(place / "mixed"), outputs(place / "clean")
    assert mixed == clean and len(clean) == 8 * 9
    assert [record for record in records if record["name"] not in BAD] == alone


# The first image would need too much; another finds that out on the way.
LITTLE = "from blindsr_jax.solvers import memory; memory.available = lambda: 1e5"
EXHAUSTED = """
import jax
from blindsr_jax.runs import pipeline
def solve_group(*args, **options):
    raise jax.errors.JaxRuntimeError("%s: Out of memory allocating 123 bytes.")
pipeline.solve_group = solve_group
"""


@pytest.mark.parametrize(
    "code, flags",
    [
        (LITTLE, ()),
        pytest.param(LITTLE.replace("1e5", "1e8"), ("--config.kernel.num_samples=400000",), marks=pytest.mark.long),
        pytest.param(EXHAUSTED % "RESOURCE_EXHAUSTED", (), marks=pytest.mark.long),
        (EXHAUSTED % "INTERNAL: error", ()),
    ],
    ids=["before", "random kernels", "on the way", "on a CPU's way"],
)
def test_an_image_too_large_for_memory_says_so(tmp_path, cached, code, flags):
    gray(0).save(tmp_path / "a.png")
    words = f"--input={tmp_path}/a.png", "--scale=2", f"--workdir={tmp_path}/out"
    (run,) = cached({"argv": command("solve", TINY, *words, *flags), "before": code})
    assert run.code == 1 and run.err.count("\n") == 1, run
    message = read_json(tmp_path, "out/records/a.json")["message"]
    for part in (
        "13 x 11 pixels at scale 2",
        "GB of memory are needed and",
        "GB are available",
        "--config.image.channels (now 4)",
    ):
        assert part in message, message


def test_a_method_without_rates_and_second_try_is_told_of_neither(tmp_path, cached):
    gray(0).save(tmp_path / "b_numbers.png")
    words = "--config=configs/pipeline.py:mean+cubic+gaussian", "--config.estimators.mean.num_samples=16", "--scale=2"
    argv = command("solve", *words, f"--input={tmp_path}/*.png", f"--workdir={tmp_path}/out")
    (run,) = cached({"argv": argv, "before": BEFORE})
    assert run.code == 1, run
    (record,) = read_json(tmp_path, "out/results.json")
    assert record["status"] == "diverged" and record["message"] == "the losses stopped being finite or exploded"
