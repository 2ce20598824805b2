"""Cells of a table are made once, and made again where what they are made from is another."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from blindsr_jax import io
from blindsr_jax.evaluation import cases, cells


def case(name="case", seed=0):
    rng = np.random.default_rng(seed)
    return cases.Case(name, rng.random((4, 5, 3)), rng.random((8, 10, 3)), np.ones((3, 3)) / 9, 2)


def fill(folder, wanted, run):
    return [(cell.stem, content, is_new) for cell, content, is_new in cells.fill(str(folder), wanted, run)]


def scored(cell):
    return {
        "case": cell.case.name,
        "config": cell.name,
        "seed": cell.seed,
        "status": "ok",
        "psnr_y": 30.0,
        "seconds": 1.0,
        "peak_memory_mb": 9,
    }


def table(config=0, border=None, seed=0, files=None):
    configs = {"a": ConfigDict({"value": config}), "b:x/y": ConfigDict({"value": 1})}
    return cells.all_cells([case(seed=seed)], configs, num_seeds=2, border=border, files=files)


def test_a_finished_cell_is_not_run_again_and_a_changed_one_is(tmp_path):
    first = fill(tmp_path, table(), scored)
    assert [stem for stem, _, _ in first] == ["case__a__0", "case__b-x-y__0", "case__a__1", "case__b-x-y__1"]
    assert all(is_new for _, _, is_new in first)

    def news(wanted):
        return [stem for stem, _, is_new in fill(tmp_path, wanted, scored) if is_new]

    assert news(table()) == []
    assert news(table(config=2)) == ["case__a__0", "case__a__1"]
    assert news(table(config=2, files={"a": "hash"})) == ["case__a__0", "case__a__1"] == news(table(config=2))
    assert len(news(table(config=2, border=3))) == len(news(table(config=2, border=3, seed=1))) == 4
    (tmp_path / "case__a__1.json").write_text("{")
    assert news(table(config=2, border=3, seed=1)) == ["case__a__1"]


def test_an_error_ends_one_cell_only_and_is_not_kept(tmp_path):
    def run(cell):
        if cell.name == "a":
            raise RuntimeError("too large")
        return scored(cell)

    found = fill(tmp_path, table(), run)
    assert [isinstance(content, RuntimeError) for _, content, _ in found] == [True, False, True, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case__b-x-y__0.json", "case__b-x-y__1.json"]


def test_what_is_wrong_with_a_folder_of_cases_is_named(tmp_path):
    with pytest.raises(io.InputError, match="holds no case"):
        cases.read_cases(tmp_path)
    (tmp_path / "one").mkdir()
    for name, shape in (("lr", (4, 4, 3)), ("hr", (8, 8, 3))):
        io.write_image(tmp_path / "one" / f"{name}.png", io.Image(np.zeros(shape, np.float32)))
    with pytest.raises(io.InputError, match="one' has no kernel"):
        cases.read_cases(tmp_path)
    io.write_kernel(tmp_path / "one" / "kernel.npy", np.eye(3) / 3)
    (found,) = cases.read_cases(tmp_path)
    assert (found.name, found.scale, found.lr.shape, found.hr.shape) == ("one", 2, (4, 4, 3), (8, 8, 3))


def test_sets_are_read_in_the_layouts_of_the_releases_and_of_the_degradation(tmp_path):
    pixels = np.random.default_rng(0).random((18, 21, 3)).astype(np.float32)
    for place, scale, kernel in (("DIPDKP_lr_x4", 4, "DIPDKP_gt_k_x4"), ("DIPFKP_lr_x2", 2, "DIPFKP_gt_k_x2")):
        (tmp_path / "released" / kernel).mkdir(parents=True)
        (tmp_path / "released" / place).mkdir()
        lr = pixels[: 18 // scale * scale : scale, : 21 // scale * scale : scale]
        io.write_image(tmp_path / "released" / place / "a.png", io.Image(lr))
        io.write_kernel_mat(tmp_path / "released" / kernel / "a.mat", np.eye(3))
    (tmp_path / "released" / "HR").mkdir()
    io.write_image(tmp_path / "released" / "HR" / "a.png", io.Image(pixels))
    found = cases.read_cases(tmp_path / "released")
    assert [(c.name, c.scale, c.hr.shape) for c in found] == [
        ("a_x4_DIPDKP", 4, (16, 20, 3)),  # a rest of the scale is cut off the HR image
        ("a_x2_DIPFKP", 2, (18, 20, 3)),
    ]
    (tmp_path / "released" / "DIPFKP_gt_k_x2" / "a.mat").unlink()
    with pytest.raises(io.InputError, match=r"DIPFKP_gt_k_x2' has no kernel, a\.npy or a\.mat"):
        cases.read_cases(tmp_path / "released")
    for kind, shape in (("lr", (6, 7, 3)), ("hr", (18, 21, 3))):
        (tmp_path / "set" / kind).mkdir(parents=True)
        io.write_image(tmp_path / "set" / kind / "b.png", io.Image(np.zeros(shape, np.float32)))
    (tmp_path / "set" / "kernels").mkdir()
    io.write_kernel(tmp_path / "set" / "kernels" / "b.npy", np.eye(3))
    assert [(c.name, c.scale) for c in cases.read_cases(tmp_path / "set")] == [("b", 3)]
