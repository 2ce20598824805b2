"""Files whose names are no text, and files that are replaced while they are read."""

import csv
import hashlib
import os

import pytest

from tests.launch.commands import MEAN, command, read_json, usage_error
from tests.launch.test_interrupted import write_inputs
from tests.launch.test_table import write_case

LATIN = os.fsdecode(b"caf\xe9")
# Replaces an input right after it has been read.
REPLACED = """
import shutil
from blindsr_jax.io import images as image_files
read = image_files.read_bytes
def read_bytes(path, **options):
    data = read(path, **options)
    if str(path) == {path!r}:
        shutil.copy({other!r}, path)
    return data
image_files.read_bytes = read_bytes
"""


def solve(inputs, workdir):
    return command("solve", *MEAN, f"--input={inputs}/*.png", f"--workdir={workdir}")


def test_names_that_are_no_text_stop_no_solve(tmp_path, cached):
    inputs = write_inputs(tmp_path / "in", "az")
    os.rename(inputs / "a.png", inputs / f"{LATIN}.png")
    out = tmp_path / "out"
    runs = cached(solve(inputs, out), solve(inputs, out), command("evaluate", f"--results={out}", "--scale=2"))
    assert [run.code for run in runs] == [0] * 3 and all(run.err == "" for run in runs), runs
    assert runs[1].out.startswith("2 of 2 finished before\n")
    with open(out / "results.csv", newline="", encoding="utf-8") as file:
        assert [row["input"] for row in csv.DictReader(file)] == [f"{inputs}/caf\\udce9.png", f"{inputs}/z.png"]
    records = read_json(out, "results.json")
    assert [record["input"] for record in records] == [f"{inputs}/{LATIN}.png", f"{inputs}/z.png"]
    assert [record["name"] for record in records] == ["caf_", "z"]
    assert "<h2>caf_</h2>" in (out / "index.html").read_text("utf-8")


@pytest.mark.long
def test_names_that_are_no_text_stop_no_other_launch(tmp_path, cached):
    inputs = write_inputs(tmp_path / "in", "az")
    os.rename(inputs / "a.png", inputs / f"{LATIN}.png")
    write_case(tmp_path / "cases" / LATIN, 0)
    table = command("table", f"--cases={tmp_path}/cases", "--configs=configs/pipeline.py:mean+cubic", "--seeds=1")
    degrade = command("degrade", f"--input={inputs}/*.png", "--scale=1", "--kernel_size=3", f"--workdir={tmp_path}/set")
    runs = cached(degrade, [*table, f"--workdir={tmp_path}/table"])
    assert [run.code for run in runs] == [0] * 2 and all(run.err == "" for run in runs), runs
    assert "caf\\udce9" in runs[1].out
    assert (tmp_path / "table/table.md").is_file() and len(read_json(tmp_path, "set/manifest.json")) == 2


@pytest.mark.long
def test_the_digest_in_a_record_is_of_the_pixels_that_were_solved(tmp_path, cached):
    inputs, others = write_inputs(tmp_path / "in", "a"), write_inputs(tmp_path / "others", "bc")
    path, other = inputs / "a.png", others / "c.png"
    first = path.read_bytes()
    before = REPLACED.format(path=str(path), other=str(other))
    run, again = cached({"argv": solve(inputs, tmp_path / "out"), "before": before}, solve(inputs, tmp_path / "out"))
    assert run.code == 0 and run.err == "", run
    assert path.read_bytes() == other.read_bytes() != first
    assert read_json(tmp_path, "out/records/a.json")["sha256"] == hashlib.sha256(first).hexdigest()
    assert "a.png' has changed" in usage_error(again)
