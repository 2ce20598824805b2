"""Solves: the files of the contract, bad input beside good, reproducibility, known kernels."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
import termios
from urllib.parse import unquote

import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Status, make_spec
from blindsr_jax.runs.records import new_record
from tests.launch.commands import ROOT, TINY, command, environment, launch, python, read_json
from tests.launch.conftest import BAD, GOOD, KINDS, KINDS_16, H, W

KEYS = (
    "name status message scale boundary kernel_center config seed seconds compile_seconds "
    "steps loss confidence versions input sha256 outputs families width_px width_px_80 direction_deg direction_deg_80 "
    "noise_std jpeg_quality residual_rms_255"
).split()


@pytest.fixture(scope="module")
def records(solved):
    return {record["name"]: record for record in read_json(solved.workdir, "results.json")}


def test_good_images_finish(solved, records):
    assert solved.run.code == 1, solved.run
    assert {name for name, record in records.items() if record["status"] == "ok"} == GOOD
    assert {name for name, record in records.items() if record["status"] == "failed"} == BAD


def test_output_is_plain_lines(solved):
    out, err = (text.splitlines() for text in (solved.run.out, solved.run.err))
    line_of_success = r"\[\d+/16\] .+: ok in [\d.]+ s(, after \d+ s of compiling)?$"
    assert len(out) == len(GOOD) + 1 and all(re.match(line_of_success, line) for line in out[:-1])
    assert len(err) == len(BAD) and all(re.match(r"\[\d+/16\] .+: failed, cannot ", line) for line in err)
    assert "\r" not in solved.run.out + solved.run.err and "Traceback" not in solved.run.err


@pytest.mark.parametrize(
    "name,words",
    {
        "text.png": "not an image that can be decoded",
        "empty.png": "the file is empty",
        "truncated.png": "truncated or damaged",
        "dangling.png": "no such file",
        "loop.png": "a readable file was expected",
        "nan.npy": "NaN",
        "small.png": "30 x 5 pixels are too few for a kernel of 11 at scale 2",
    }.items(),
)
def test_message_of_a_bad_file(records, name, words):
    message = records[name.split(".")[0]]["message"]
    assert name in message and words in message and "\n" not in message


def test_records(solved, records):
    for name, record in records.items():
        assert list(record) == KEYS
        assert read_json(solved.workdir, "records", name + ".json") == record
        wanted = {"scale": 2, "boundary": "valid", "kernel_center": "aligned", "config": "tiny", "seed": 0}
        assert {key: record[key] for key in wanted} == wanted
        assert record["confidence"] is record["width_px"] is None and record["versions"].keys() >= {
            "blindsr_jax",
            "jax",
        }
        if name in GOOD:
            assert record["steps"] == 4 and 0 < record["seconds"] < 5 and 0 < record["loss"] < 1
    compiled = sum(record["compile_seconds"] > 0.5 for record in records.values() if record["status"] == "ok")
    assert compiled == 2  # once for gray, once for colours


@pytest.mark.parametrize("name", KINDS | KINDS_16)
def test_image_is_of_the_kind_of_the_input(solved, name):
    path = solved.workdir / "images" / f"{name}.png"
    image = io.read_image(path)
    assert image.pixels.shape[:2] == (2 * H, 2 * W)
    assert (image.mode, image.bits) == ((KINDS | KINDS_16)[name], 16 if name in KINDS_16 else 8)
    assert path.read_bytes()[24] == image.bits  # the depth that the PNG header says


@pytest.mark.parametrize("name", sorted(GOOD))
def test_kernel_and_figure(solved, name):
    kernel = np.load(solved.workdir / "kernels" / f"{name}.npy")
    assert kernel.shape == (11, 11) and kernel.dtype == np.float32 and kernel.sum() == pytest.approx(1, abs=1e-6)
    for kind in ("kernels", "figures"):
        with PIL.Image.open(solved.workdir / kind / f"{name}.png") as picture:
            assert min(picture.size) >= 100


def test_nothing_else_is_written(solved):
    stems = {
        kind: {os.path.splitext(f)[0] for f in os.listdir(solved.workdir / kind)} for kind in ("images", "figures")
    }
    assert stems == {"images": GOOD, "figures": GOOD}
    assert {f for f in os.listdir(solved.workdir / "records")} == {f"{name}.json" for name in GOOD | BAD}
    assert not [f for _, _, files in os.walk(solved.workdir) for f in files if f.startswith(".")]


def test_two_inputs_with_one_stem(records):
    assert records["rgb"]["message"] == ""  # rgb.bmp
    assert "'rgb.png'" in records["rgb_2"]["message"] and "'rgb_2'" in records["rgb_2"]["message"]


def test_tables_and_config(solved, records):
    with open(solved.workdir / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [key for key in KEYS if key != "outputs"] and [row["name"] for row in rows] == list(records)
    config = read_json(solved.workdir, "config.json")
    assert config["config"] == "tiny" and config["num_steps"] == 4 and config["image"]["channels"] == 4


def test_page(solved):
    page = (solved.workdir / "index.html").read_text()
    assert "<h2>&lt;b&gt;&amp;</h2>" in page and "<b>" not in page
    assert all(f"<h2>{name}</h2>" in page for name in GOOD | BAD if name.isalnum())
    links = re.findall('src="([^"]+)"', page)
    assert len(links) == 4 * len(GOOD) and "images/%3Cb%3E%26.png" in links
    assert "30 x 5 pixels are too few" in page
    assert "<script>alert" not in page and all((solved.workdir / unquote(link)).is_file() for link in links)


def test_records_say_how_well_the_result_explains_the_input(solved, records):
    for name in GOOD:
        lr = io.read_image(records[name]["input"])
        image, kernel = (
            io.read_image(solved.workdir / f"images/{name}.png").pixels,
            np.load(solved.workdir / f"kernels/{name}.npy"),
        )
        blurred = degrade(jnp.asarray(image), jnp.asarray(kernel), scale=2, boundary="circular")
        inner = (io.fill_hidden(lr).pixels - np.asarray(blurred))[
            3:-2, 3:-2
        ]  # there a kernel of 11 x 11 lies within the result
        assert records[name]["residual_rms_255"] == pytest.approx(255 * np.sqrt(np.mean(inner**2)), abs=1e-3), name


def same_bits(solved, workdir, *, name="gray"):
    places = [
        (folder / f"images/{name}.png", folder / f"kernels/{name}.npy", folder / f"figures/{name}.png")
        for folder in (solved.workdir, workdir)
    ]
    return [first.read_bytes() == second.read_bytes() for first, second in zip(*places, strict=True)]


def test_same_seed_gives_the_same_bits(solved, tmp_path):
    # On a terminal, to see the bar.
    leader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    os.set_blocking(leader, False)
    flags = [TINY, f"--input={solved.inputs}/gray.png", "--scale=2", f"--workdir={tmp_path}"]
    words, env = [sys.executable, *command("solve", *flags)], environment()
    process = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=terminal)
    out = process.communicate()[0].decode()
    assert process.returncode == 0 and out.startswith("[1/1] gray: ok in ")
    assert b"%|" in os.read(leader, 10**5)
    os.close(leader)
    os.close(terminal)
    assert same_bits(solved, tmp_path) == [True] * 3


def test_another_seed_differs_and_options_of_a_half_can_be_set(solved, tmp_path):
    flags = ["--seed=1", "--config.image.gradient_weight=2e-4", "--config.kernel.prior_every=5"]  # the defaults
    run = launch("solve", TINY, f"--input={solved.inputs}/gray.png", "--scale=2", f"--workdir={tmp_path}", *flags)
    assert run.code == 0 and run.err == "", run
    assert same_bits(solved, tmp_path) == [False] * 3
    assert read_json(tmp_path, "records", "gray.json")["seed"] == 1


def test_known_kernel(solved, tmp_path):
    kernel = np.outer(*2 * [np.array([0, 1, 2, 3, 2, 1, 0.5])])
    np.save(tmp_path / "kernel.npy", kernel)
    flags = [f"--kernel={tmp_path}/kernel.npy", f"--workdir={tmp_path}/out", "--nofigures"]
    run = launch("solve", TINY, f"--input={solved.inputs}/gray.png", "--scale=2", *flags)
    assert run.code == 0, run
    np.testing.assert_allclose(np.load(tmp_path / "out/kernels/gray.npy"), kernel / kernel.sum(), rtol=1e-6)
    assert not (tmp_path / "out/figures").exists() and (tmp_path / "out/images/gray.png").exists()
    again = launch("solve", TINY, f"--input={solved.inputs}/gray.png", "--scale=2", *flags)
    assert again.code == 0 and "gray: ok in" not in again.out  # it lacks nothing


PATCHED = """
import runpy, sys
from blindsr_jax import io
def read_image(path, **options):
    raise {"a": RuntimeError("two\\nlines"), "b": MemoryError(), "c": KeyboardInterrupt()}[path.stem]
io.read_image = read_image
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("verbosity", [0, pytest.param(1, marks=pytest.mark.long)])
def test_any_exception_fails_one_image_but_an_interrupt_passes(tmp_path, verbosity):
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(b"any")
    known = {"status": Status.OK, "input": f"{tmp_path}/a.png"}
    record = json.dumps(new_record("a", spec=make_spec(scale=2), config="any", seed=0, **known).to_json())
    for kind, name, text in (("images", "a.png", "of an earlier run"), ("records", "a.json", record)):
        (tmp_path / "out" / kind).mkdir(parents=True)
        (tmp_path / "out" / kind / name).write_text(text)
    flags = [TINY, f"--input={tmp_path}/*.png", "--scale=2", f"--workdir={tmp_path}/out", f"--verbosity={verbosity}"]
    flags.append("--restart")  # of the run whose record stands there
    run = python("-c", PATCHED, *command("solve", *flags))
    assert run.code == 130 and run.err.endswith("solve.py: interrupted\n"), run
    assert ("Traceback" in run.err) == bool(verbosity)
    messages = {record["name"]: record["message"] for record in read_json(tmp_path, "out", "results.json")}
    assert messages == {
        "a": f"cannot finish '{tmp_path}/a.png': RuntimeError, two lines",
        "b": f"cannot finish '{tmp_path}/b.png': MemoryError",
    }
    assert not (tmp_path / "out/images/a.png").exists()
