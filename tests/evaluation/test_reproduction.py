"""Tables of papers: every protocol can be built, printed numbers stand beside whole sets only, rows are honest."""

import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.evaluation import ablation_figure, benchmark_sets, expected, paper_tables, published, reproduction
from blindsr_jax.evaluation.benchmark_sets import Group, Part
from blindsr_jax.evaluation.protocols import TABLES
from blindsr_jax.evaluation.reproduction import Plan
from blindsr_jax.imaging.degradation import degrade

PLACES = [(name, scale) for name, table in TABLES.items() for scale in table.scales]


def plan(name="dkp_gaussian", *, limit=None, crop=None, num_seeds=1, weights=None, **budget):
    return Plan(TABLES[name], Part(limit, crop), num_seeds, weights=weights or {}, **budget)


@pytest.mark.parametrize("name, scale", PLACES)
def test_every_method_has_a_config_that_is_checked(name, scale):
    table = TABLES[name]
    files = {m.label: f"{m.label}_x{{scale}}.npz" for m in table.methods if m.needs}
    whole = plan(name, weights=files)
    methods = reproduction.choose(whole, None)
    assert len(methods) == len(table.methods) == len({m.label for m in methods})
    for family in table.families:
        configs = reproduction.groups_configs(whole, Group(table.datasets[0], scale, family), methods)
        assert configs and all(config.boundary == "circular" for config in configs.values())
        for method in methods:
            if method.needs and reproduction.name_of(method) in configs:
                *parts, last = method.needs.split(".")
                node = configs[reproduction.name_of(method)]
                for part in parts:
                    node = node[part]
                assert node[last] == f"{method.label}_x{scale}.npz"


def test_what_needs_a_file_is_left_out_without_one_and_unknown_methods_are_refused():
    assert "Diff-DKP" not in [m.label for m in reproduction.choose(plan(), None)]
    with pytest.raises(ValueError, match="'nope' is no method of dkp_gaussian, expected one of Bicubic"):
        reproduction.choose(plan(), ["nope"])
    with pytest.raises(ValueError, match="'nope'"):
        reproduction.choose(plan(weights={"nope": "x"}), None)


def test_fewer_steps_are_fewer_in_joint_methods_and_in_stages():
    short = plan("fkp_main", num_steps=7)
    for method in short.table.methods:
        before, after = (reproduction.make_config(p, method, 2).num_steps for p in (plan("fkp_main"), short))
        assert after <= 14 and (after < before or before <= 14), method.label


def test_narrower_networks_are_narrower_in_joint_methods_and_in_stages():
    narrow = plan("kernel_estimators", channels=8)
    methods = {method.label: method for method in narrow.table.methods}
    assert reproduction.make_config(narrow, methods["DIPFKP"], 2).estimators.dip_fkp.channels == 8
    assert "channels" not in reproduction.make_config(narrow, methods["KENet"], 2).restorers.usrnet
    joint = plan(channels=24)
    image = {m.label: reproduction.make_config(joint, m, 4).image for m in reproduction.choose(joint, None)}
    assert (image["DIP-DKP"].channels, image["DIP-DKP"].skip_channels) == (24, 3)  # of 128 and 16
    assert image["diff_dkp"].name == "diffusion"


def test_printed_numbers_are_those_of_the_papers():
    dkp = published.dkp("gaussian")
    assert dkp["DIP-DKP", "Set5", 4, "gaussian"] == (28.03, 0.8039, None)
    assert ("DIP-DKP", "Urban100", 4, "gaussian") not in dkp and len(dkp) == 35
    assert published.dkp("motion")["Diff-DKP", "Urban100", 4, "motion"] == (22.26, 0.5862, None)
    assert published.KENET["KENet+USRNet", "BSD100", 4, "gaussian"] == (27.04, 0.7224, None)
    assert published.ESTIMATORS["KENet", "Set5", 2, "gaussian"].kernel_psnr == 51.04
    assert published.NETWORK["7 x 10000 units", "not stated", None, "not stated"].psnr_y == 27.93


def cells(name, images, psnr, seed=0):
    values = {"status": "ok", "ssim_y": 0.8, "kernel_psnr": 50.0, "seconds": 1.0}
    return [
        {"case": f"c{i}", "config": name, "seed": seed, "psnr_y": psnr + i, **values, "peak_memory_mb": 1}
        for i in range(images)
    ]


SET5 = Group("Set5", 4, "gaussian")


def rows_of(whole, images, psnr=26.0):
    methods = {reproduction.name_of(m): m for m in reproduction.choose(whole, ["DIP-DKP", "dip_dkp (true kernel)"])}
    found = cells("DIP-DKP", images, psnr) + cells("DIP-DKP", images, psnr + 1, seed=1)
    found += cells("dip_dkp (true kernel):ceiling", images, psnr)
    return paper_tables.make_rows(whole, SET5, found, methods)


def test_a_whole_set_stands_beside_the_printed_numbers_with_a_difference_and_its_error():
    first, ceiling, *printed = rows_of(plan(num_seeds=2), 5)
    assert (first["method"], first["images"], first["seeds"], first["measured"]) == ("DIP-DKP", 5, 2, True)
    np.testing.assert_allclose(first["psnr_y"], 28.5)
    np.testing.assert_allclose(first["psnr_y_se"], np.std([0, 1, 2, 3, 4], ddof=1) / np.sqrt(5))
    np.testing.assert_allclose(first["psnr_y_seed_se"], 0.5)
    np.testing.assert_allclose(first["difference"], 28.5 - 28.03)
    assert first["difference_se"] == first["psnr_y_se"] and first["printed_ssim_y"] == 0.8039
    assert ceiling["kernel_psnr"] is None and "difference" not in ceiling
    assert {row["method"] for row in printed} == set(published._DKP["gaussian"]) - {"DIP-DKP"}
    assert not any(row["measured"] for row in printed)


@pytest.mark.parametrize("part", [{"limit": 5}, {"crop": 96}, {"num_steps": 10}, {"channels": 8}, {}])
def test_a_part_of_a_set_never_stands_beside_them(part):
    short = plan(**part)
    rows = rows_of(short, 5 if part else 4)
    assert len(rows) == 2 and not any(key.startswith(("printed", "difference")) for row in rows for key in row)
    about = paper_tables.header(short, [SET5], {SET5: [{}] * (5 if part else 4)}, ["Set14"])
    text = paper_tables.to_markdown(short, about, rows, [])
    before, _, after = text.partition("## Printed")
    assert "28.03" not in before and "DIP-DKP | 28.03 | 0.8039" in after and "not to be compared" in after
    assert "not there: Set14" in before and about["device"] in before


def test_numbers_of_an_unknown_set_are_always_apart():
    whole = plan("dkp_network")
    method = reproduction.choose(whole, ["1 x 10 units"])[0]
    rows = paper_tables.make_rows(whole, SET5, cells(method.label, 5, 20.0), {method.label: method})
    assert len(rows) == 1 and "difference" not in rows[0]


def test_the_figure_of_an_ablation_has_a_curve_for_each_number_of_layers_and_errors_over_seeds():
    whole = plan("dkp_network", num_seeds=2)
    chosen = reproduction.choose(whole, ["1 x 10 units", "1 x 100 units", "3 x 10 units"])
    found = [x for m in chosen for seed in (0, 1) for x in cells(m.label, 2, 20.0 + seed, seed)]
    rows = paper_tables.make_rows(whole, SET5, found, {m.label: m for m in chosen})
    curves = ablation_figure.curves(whole.table, rows)
    assert curves == {"1 layer": [(10, 21.0, 0.5), (100, 21.0, 0.5)], "3 layers": [(10, 21.0, 0.5)]}
    assert ablation_figure.printed_curves(whole.table)["3 layers"][1] == (100, 28.97, 0.0)
    assert ablation_figure.printed_curves(TABLES["dkp_samples"]) == {}  # which L its columns have is not known


@pytest.mark.parametrize(
    "change, words",
    [
        ({}, []),
        ({"psnr_y": 20.5}, ["c0, x, 0: psnr_y is 20.5, 20.0 were expected"]),
        ({"psnr_y": 20.0001, "seconds": 9.0}, []),
        ({"case": "other"}, ["c0, x, 0: it was not measured"]),
    ],
)
def test_a_table_that_was_measured_again_is_compared_with_the_earlier_one(change, words):
    old = {"about": {"crop": 96, "jax": "0.1", "data": [1]}, "cells": cells("x", 1, 20.0)}
    new = {"about": old["about"] | {"jax": "0.2"}, "cells": [old["cells"][0] | change]}
    assert expected.differences(old, new) == words
    new["about"] = {**new["about"], "data": [2]}
    assert expected.differences(old, new) == ["data differs", *words]


@pytest.fixture
def data(tmp_path):
    pixels = np.random.default_rng(0).random((61, 50, 3)).astype(np.float32)
    for name in ("a", "b"):
        (tmp_path / "Set5" / "HR").mkdir(parents=True, exist_ok=True)
        io.write_image(tmp_path / "Set5" / "HR" / f"{name}.png", io.Image(pixels))
    return tmp_path


def make(data, part, name="kenet_main"):
    errors = []
    options = {"data": str(data), "folder": str(data / "out"), "on_error": lambda *words: errors.append(words)}
    return benchmark_sets.make(TABLES[name], SET5, part, **options), errors


def test_a_set_is_made_once_with_hashes_and_made_again_where_a_file_is_another(data):
    found, errors = make(data, Part(None, 42))
    assert not errors and [case.name for case in found] == ["Set5_x4_gaussian__a", "Set5_x4_gaussian__b"]
    case = found[0]
    assert case.hr.shape == (40, 40, 3) and case.lr.shape == (10, 10, 3) and case.kernel.shape == (21, 21)
    blurred = np.asarray(degrade(case.hr, case.kernel.astype(np.float32), scale=4, boundary="circular"))
    assert (np.abs(np.floor(255 * blurred) - 255 * case.lr) < 1.01).all()
    variances = np.linalg.eigvalsh(np.cov(np.indices((21, 21)).reshape(2, -1), aweights=case.kernel.ravel()))
    assert 0.1 < variances[0] <= variances[1] < 4.6  # KENet's range
    place = data / "out" / "Set5_x4_gaussian"
    manifest = (place / "manifest.json").read_text()
    times = {path: path.stat().st_mtime_ns for path in place.rglob("*.*")}
    (place / "lr" / "b.png").write_bytes(b"damaged")
    again, _ = make(data, Part(None, 42))
    np.testing.assert_array_equal(again[1].lr, found[1].lr)
    assert (place / "manifest.json").read_text() == manifest
    assert (place / "lr" / "a.png").stat().st_mtime_ns == times[place / "lr" / "a.png"]
    assert len(make(data, Part(1, 42))[0]) == 1


def test_sets_that_are_not_there_are_named(data):
    groups, missing = benchmark_sets.usable(str(data), TABLES["dkp_gaussian"], None)
    assert groups == [SET5] and missing == ["Set14", "BSD100", "Urban100"]
    with pytest.raises(io.InputError, match="'Set6' is no set of dkp_gaussian"):
        benchmark_sets.usable(str(data), TABLES["dkp_gaussian"], ["Set6"])
    with pytest.raises(io.InputError, match="Set14/HR"):
        benchmark_sets.usable(str(data), TABLES["dkp_gaussian"], ["Set14"])
