"""A table of a paper by one command, two other programs in it by their cards, gone on with after an interruption."""

import importlib.util
import json

import numpy as np
import PIL.Image
import pytest
from scipy import ndimage
from skimage import restoration

from blindsr_jax import io
from tests.launch.commands import command, forked, launch, read_json, usage_error

METHODS = "--methods=Bicubic,Richardson-Lucy (true kernel)"
GROUP = "Set5_x4_gaussian"


def scene(shape, seed):
    noise = np.random.default_rng(seed).standard_normal((*shape, 3))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0), mode="wrap")
    return np.uint8(128 + 100 * smooth / np.abs(smooth).max())


def other_programs(place):
    """Richardson-Lucy by a script that knows the kernel, and a bicubic that knows of no kernel's centre."""
    for name in ("lucy", "bicubic"):
        (place / name).mkdir()
    for path in sorted((place / "out/data" / GROUP / "lr").glob("*.png")):
        lr = PIL.Image.open(path).convert("RGB")
        plain = lr.resize((4 * lr.width, 4 * lr.height), PIL.Image.Resampling.BICUBIC)
        plain.save(place / "bicubic" / path.name)
        wide = np.roll(np.asarray(plain, np.float64) / 255, -3, (0, 1))  # where the kernel's convention puts it
        kernel = np.load(path.parents[1] / "kernels" / f"{path.stem}.npy")
        kernel = np.clip(ndimage.shift(kernel, 1.5), 0, None)[::-1, ::-1]  # from 7.5 to the middle
        wide = np.pad(wide, ((38, 38), (38, 38), (0, 0)), "wrap")
        found = np.stack([restoration.richardson_lucy(wide[..., c], kernel / kernel.sum(), 30) for c in range(3)], -1)
        io.write_image(place / "lucy" / path.name, io.Image(np.clip(found, 0, 1)[38:-38, 38:-38].astype(np.float32)))
    cards = {"lucy": {"name": "A script", "reference": "scikit-image"}, "bicubic": {"name": "Pillow"}}
    cards["bicubic"]["grid"] = "half_pixel"
    for name, card in cards.items():
        (place / f"{name}.json").write_text(json.dumps({"folder": name, "pattern": "{stem}.png", **card}))
    return f"--rivals={place}/lucy.json,{place}/bicubic.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("reproduce")
    (place / "in/Set5/HR").mkdir(parents=True)
    for seed, name in enumerate(("a", "b")):
        PIL.Image.fromarray(scene((66, 58), seed)).save(place / f"in/Set5/HR/{name}.png")
    flags = [f"--data={place}/in", f"--workdir={place}/out", METHODS, "--crop=56", "--table=dkp_gaussian"]
    first = launch("reproduce", *flags)
    flags += [other_programs(place), "--scores=registered_psnr_y"]
    return place, flags, first, launch("reproduce", *flags)


def by_method(place):
    return {row["method"]: row for row in read_json(place, "out/table.json")["rows"]}


def test_a_table_has_all_rows_and_says_what_it_was_measured_on(made):
    place, _, first, again = made
    assert first.code == again.code == 0, (first, again)
    rows = by_method(place)
    assert list(rows) == ["Bicubic", "Richardson-Lucy (true kernel)", "A script", "Pillow"]
    assert all(row["images"] == 2 and row["psnr_y_se"] > 0 and row["set"] == "Set5" for row in rows.values())
    text = (place / "out/table.md").read_text()
    for words in ("Set5 2 of 5", "not there: Set14, BSD100, Urban100", "middle 56 x 56", "seeds: 1", "cpu, "):
        assert words in text
    before, _, after = text.partition("## Printed")
    assert "28.03" not in before and "28.03" in after  # a part of a set has no printed number beside it
    assert "PSNR-Y, registered" in before and "Richardson-Lucy (true kernel)" in (place / "out/index.html").read_text()
    header, *lines = (place / "out/table.csv").read_text().splitlines()
    assert header.startswith("set,scale,kernels,method,measured,images,seeds,psnr_y,") and len(lines) == 4


def test_the_same_done_by_hand_has_the_same_score(made):
    rows = by_method(made[0])
    assert abs(rows["A script"]["psnr_y"] - rows["Richardson-Lucy (true kernel)"]["psnr_y"]) < 0.5
    assert abs(rows["Pillow"]["psnr_y"] - rows["Bicubic"]["psnr_y"]) < 0.5  # only as it was moved
    assert rows["A script"]["psnr_y"] > rows["Bicubic"]["psnr_y"] + 1


def test_a_second_run_goes_on_and_a_set_has_a_manifest_of_hashes(made):
    place, flags, first, again = made
    assert [line.endswith("dB") for line in first.out.splitlines()].count(True) == 4
    assert [line.endswith("dB") for line in again.out.splitlines()].count(True) == 4  # for the new column
    assert not [line for line in launch("reproduce", *flags).out.splitlines() if line.endswith("dB")]
    manifest = read_json(place, f"out/data/{GROUP}/manifest.json")
    assert [line["name"] for line in manifest] == ["a", "b"] and manifest[0]["crop"] == 56
    assert {len(line[key]) for line in manifest for key in ("sha256", "hr_sha256", "kernel_sha256")} == {64}
    (place / f"out/cells/{GROUP}__b__Bicubic__0.json").unlink()
    run = launch("reproduce", *flags)
    assert [line.split(":")[0] for line in run.out.splitlines() if line.endswith("dB")] == [f"{GROUP}__b__Bicubic__0"]


def test_the_same_again_is_the_same_and_another_table_is_not(made):
    place, flags, *_ = made
    (place / "old.json").write_bytes((place / "out/table.json").read_bytes())
    run = launch("reproduce", *flags, f"--expect={place}/old.json")
    assert run.code == 0 and "the same data and scores" in run.out and "8 cells" in run.out
    old = read_json(place, "old.json")
    old["cells"][0]["psnr_y"] += 0.01
    old["about"]["data"][GROUP][1]["sha256"] = "0"
    (place / "old.json").write_text(json.dumps(old))
    run = launch("reproduce", *flags, f"--expect={place}/old.json")
    assert run.code == 1 and "data differs" in run.err and "psnr_y is" in run.err


@pytest.mark.skipif(importlib.util.find_spec("flip_evaluator") is not None, reason="the package is installed")
def test_a_score_without_its_package_is_left_out_in_a_sentence(made):
    run = launch("reproduce", *made[1], "--scores=flip")
    assert run.code == 0 and "--scores=flip: its package is not installed" in run.err


def test_a_missing_result_of_another_program_is_said_and_the_rest_goes_on(made):
    place, flags, *_ = made
    (place / "bicubic/b.png").rename(place / "away.png")
    run = launch("reproduce", *flags)
    (place / "away.png").rename(place / "bicubic/b.png")
    assert run.code == 1 and "bicubic/b.png" in run.err and "| Pillow | 1 |" in run.out


def test_refusals(made, tmp_path):
    place, flags, *_ = made
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/table.md").write_text("mine")
    (tmp_path / "card.json").write_text('{"name": "DIP-DKP", "folder": "."}')
    fresh = f"--workdir={tmp_path}/new"
    calls = {
        "--table": ["--table=nope"],
        "holds none of the sets": [f"--data={tmp_path}", fresh],
        "'Set6' is no set": ["--sets=Set6", fresh],
        "'nope' is no method": ["--methods=nope", fresh],
        "--weights=x": ["--weights=x", fresh],
        "nothere_x4.npz": [f"--weights=Diff-DKP={tmp_path}/nothere_x{{scale}}.npz", "--methods=Diff-DKP", fresh],
        "another row": [f"--rivals={tmp_path}/card.json", fresh],
        "nothere.json": [f"--rivals={tmp_path}/nothere.json", fresh],
        "expected the same flags or another folder": ["--crop=48"],
        "table.md": [f"--workdir={tmp_path}/mine"],
        "is an input": [f"--data={place}/out", f"--workdir={place}/out"],
        "--crop": ["--crop=8", fresh],
        "the table.json of an earlier run was expected": [f"--expect={tmp_path}/card.json"],
    }
    (place / "out/Set5").symlink_to(place / "out/data")
    (place / "out/data/HR").symlink_to(place / f"out/data/{GROUP}/hr")
    runs = forked(*(command("reproduce", *flags, *more) for more in calls.values()))
    (place / "out/Set5").unlink()
    (place / "out/data/HR").unlink()
    for words, run in zip(calls, runs, strict=True):
        assert words in usage_error(run), words
    assert (tmp_path / "mine/table.md").read_text() == "mine" and not (tmp_path / "new").exists()
