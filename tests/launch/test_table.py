"""Cases x configs x seeds: one table, gone on with after an interruption, the truth only in the ceiling."""

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from tests.launch.commands import command, forked, launch, read_json, usage_error
from tests.launch.conftest import H, W, levels

CONFIGS = "--configs=tests/launch/tiny.py,tests/launch/tiny.py:ceiling"


def write_case(folder, seed):
    folder.mkdir(parents=True)
    PIL.Image.fromarray(levels(3, (H, W), seed)).save(folder / "lr.png")
    PIL.Image.fromarray(levels(3, (2 * H, 2 * W), seed)).save(folder / "hr.png")
    kernel = np.zeros((7, 7))
    kernel[2, 1:5] = 0.25
    io.write_kernel(folder / "kernel.npy", kernel)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    place = tmp_path_factory.mktemp("table")
    for i in range(2):
        write_case(place / "cases" / f"case{i}", i)
    flags = [f"--cases={place}/cases", CONFIGS, "--seeds=2", "--groups=case1", f"--workdir={place}/out"]
    return place, flags, launch("table", *flags)


def test_all_cells_and_both_rows(table):
    place, _, run = table
    assert run.code == 0, run.err
    found = read_json(place, "out/table.json")
    assert len(found["cells"]) == 8 and {c["config"] for c in found["cells"]} == {"tiny", "tiny:ceiling"}
    means = [row for row in found["rows"] if row["case"] == "mean"]
    assert [row["seeds"] for row in means] == [2, 2]
    assert "| mean | tiny:ceiling | 2 |" in run.out
    for name in ("table.md", "table.csv"):
        assert (place / "out" / name).is_file()


def test_groups_and_gaps(table):
    found = read_json(table[0], "out/table.json")
    by_config = {row["config"]: row for row in found["rows"] if row["case"] == "mean of case1"}
    assert by_config["tiny:ceiling"]["gap"] == 0
    difference = by_config["tiny:ceiling"]["psnr_y"] - by_config["tiny"]["psnr_y"]
    np.testing.assert_allclose(by_config["tiny"]["gap"], difference, rtol=1e-6)


def test_only_the_ceiling_has_the_truth(table):
    for cell in read_json(table[0], "out/table.json")["cells"]:
        assert (cell["kernel_mean_error"] < 1e-6) == (cell["config"] == "tiny:ceiling")


def test_a_second_run_goes_on_and_a_changed_case_is_run_again(table):
    place, flags, _ = table
    before = read_json(place, "out/table.json")
    (place / "out/cells/case1__tiny__1.json").unlink()
    (place / "out/cells/case0__tiny__0.json").write_text("{")
    run = launch("table", *flags)
    assert [line.split(":")[0] for line in run.out.splitlines() if line.endswith("dB")] == [
        "case0__tiny__0",
        "case1__tiny__1",
    ]
    for old, new in zip(before["cells"], read_json(place, "out/table.json")["cells"], strict=True):
        assert all(old[key] == new[key] for key in ("case", "config", "seed", "psnr_y", "digest"))


def test_usage_errors(table, tmp_path):
    place = table[0]
    write_case(tmp_path / "odd" / "case", 0)
    PIL.Image.fromarray(levels(3, (H, W + 1))).save(tmp_path / "odd" / "case" / "lr.png")
    write_case(tmp_path / "bare" / "case", 0)
    (tmp_path / "bare" / "case" / "kernel.npy").unlink()
    out = f"--workdir={tmp_path}/out"
    calls = {
        "holds no case": [f"--cases={tmp_path}", CONFIGS, out],
        "nope": [f"--cases={place}/cases", "--configs=nope", out],
        "no whole multiple": [f"--cases={tmp_path}/odd", CONFIGS, out],
        "has no kernel": [f"--cases={tmp_path}/bare", CONFIGS, out],
    }
    for words, run in zip(calls, forked(*(command("table", *flags) for flags in calls.values())), strict=True):
        assert words in usage_error(run)
