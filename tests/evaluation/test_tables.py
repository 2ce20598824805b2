import csv
import json
import math

import numpy as np

from blindsr_jax.evaluation import tables

KEYS = ("psnr",)


def cell(case, config, seed, psnr):
    return {"case": case, "config": config, "seed": seed, "psnr": psnr}


CELLS = [
    cell("a", "x", 0, 20.0),
    cell("a", "x", 1, 22.0),
    cell("b", "x", 0, 30.0),
    cell("b", "x", 1, 36.0),
    cell("a", "y", 0, 25.0),
]


def find(rows, case, config):
    return next((row for row in rows if (row["case"], row["config"]) == (case, config)), None)


def test_a_case_is_averaged_over_its_seeds():
    row = find(tables.aggregate(CELLS, keys=KEYS), "a", "x")
    assert row["seeds"] == 2 and row["psnr"] == 21
    np.testing.assert_allclose(row["psnr_se"], 1.0)  # std 1.414 / sqrt 2


def test_the_last_row_averages_cases_and_its_error_is_over_seeds():
    row = find(tables.aggregate(CELLS, keys=KEYS), tables.MEAN, "x")
    # Seed 0 gives (20 + 30) / 2, seed 1 (22 + 36) / 2.
    assert row["psnr"] == 27 and row["seeds"] == 2
    np.testing.assert_allclose(row["psnr_se"], 2.0)


def test_a_config_without_all_cases_has_no_mean():
    assert find(tables.aggregate(CELLS, keys=KEYS), tables.MEAN, "y") is None


def test_groups_are_averaged_apart():
    rows = tables.aggregate(CELLS, keys=KEYS, groups=("b",))
    assert find(rows, "mean of b", "x")["psnr"] == 33 and find(rows, "mean of b", "y") is None


def test_the_gap_is_to_the_own_ceiling_or_to_the_only_one():
    def psnr(config, value):
        return {"case": "a", "config": config, "seed": 0, "psnr_y": value}

    only = tables.add_gaps([psnr("x", 20.0), psnr("y", 21.0), psnr("x:ceiling", 24.0)])
    assert [cell["gap"] for cell in only] == [4, 3, 0]
    both = tables.add_gaps([psnr("x", 20.0), psnr("x:ceiling", 24.0), psnr("y:ceiling", 30.0), psnr("z", 1.0)])
    assert [cell["gap"] for cell in both] == [4, 0, 0, None]


def test_one_seed_has_no_error_and_nothing_has_no_mean():
    assert tables.summarize([3.0]) == (3.0, None)
    assert tables.summarize([None, math.inf]) == (None, None)


def test_files(tmp_path):
    text = tables.write_tables(str(tmp_path), CELLS, keys=KEYS)
    assert "| a | x | 2 | 21 ± 1 |" in text and "| a | y | 1 | 25 |" in text
    assert (tmp_path / "table.md").read_text() == text
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert rows[0]["psnr"] == "21.0" and rows[0]["case"] == "a"
    assert json.loads((tmp_path / "table.json").read_text())["cells"] == CELLS
    failure = {"case": "z", "config": "x", "seed": 0, "status": "failed", "message": "cannot read <z>"}
    tables.write_tables(str(tmp_path), CELLS, keys=KEYS, failures=[failure])
    page = (tmp_path / "index.html").read_text()
    assert "<td>cannot read &lt;z&gt;</td>" in page and page.index("<h2>failures</h2>") < page.index("<h2>solves</h2>")


def test_mean_interval_is_that_of_students_t():
    mean, half = tables.mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    np.testing.assert_allclose(half, 2.776445 * np.sqrt(2.5 / 5), rtol=1e-6)  # t(0.975, 4 degrees of freedom)
