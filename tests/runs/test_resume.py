"""What a run may go on from, without solving anything."""

import json
from pathlib import Path

import pytest

from blindsr_jax import io
from blindsr_jax.imaging.problem import Status, make_spec
from blindsr_jax.io import durable
from blindsr_jax.runs import outputs, resume, workdir
from blindsr_jax.runs.records import new_record, record_path

FLAGS = {"scale": 2, "seed": 0, "input": "a"}
DOCUMENT = {"config": "c", "flags": FLAGS, "kernel_sha256": None, "steps": 4, "x": {"y": 1}}


@pytest.fixture
def place(tmp_path):
    """A folder of inputs and a working folder."""
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_text(name)
    for kind in workdir.FOLDERS:
        (tmp_path / "out" / kind).mkdir(parents=True)
    return tmp_path


def inputs(place):
    return sorted((place / "in").iterdir())


def plan(place, *, restart=False, **changes):
    return resume.plan(str(place / "out"), DOCUMENT | changes, inputs(place), restart=restart)


def finish(place, job, status="ok", *, has_outputs=True):
    """All files of a finished image; records of earlier versions do not list them."""
    folder = str(place / "out")
    known = {"status": Status(status), "input": str(job.path), "sha256": resume.sha256(job.path)}
    if status in ("ok", "recovered"):
        paths = {row.file(job.name): row.path(folder, job.name) for row in outputs.OUTPUTS if row.needs is None}
        for path in paths.values():
            Path(path).write_text("output")
        known["outputs"] = {name: durable.contents(path)._asdict() for name, path in paths.items()}
    document = new_record(job.name, spec=make_spec(scale=2), config="c", seed=0, **known).to_json()
    io.write_json(record_path(folder, job.name), {k: v for k, v in document.items() if has_outputs or k != "outputs"})


def state(jobs):
    return [(job.path.name, job.name, job.record is not None) for job in jobs]


def test_finished_images_are_known_again(place):
    jobs = plan(place)
    assert state(jobs) == [("a.png", "a", False), ("b.png", "b", False)]
    finish(place, jobs[0])
    assert state(plan(place)) == [("a.png", "a", True), ("b.png", "b", False)]
    (place / "out/inputs/a.png").unlink()  # a record without all its files
    assert state(plan(place))[0] == ("a.png", "a", False)


@pytest.mark.parametrize("status, again", [("ok", False), ("recovered", False), ("diverged", False), ("failed", True)])
def test_only_a_failed_image_is_tried_again(place, status, again):
    finish(place, plan(place)[0], status)
    assert state(plan(place))[0] == ("a.png", "a", not again)


def test_a_finished_image_whose_outputs_are_not_those_of_its_record_is_solved_again(place):
    for job in plan(place):
        finish(place, job)
    images = place / "out/images"
    for damage in (b"", b"outpu", b"output and more"):
        (images / "a.png").write_bytes(damage)
        assert state(plan(place)) == [("a.png", "a", False), ("b.png", "b", True)]
    (images / "a.png").write_text("output")
    assert state(plan(place))[0] == ("a.png", "a", True)
    (place / "out/kernels/a.npy").unlink()
    (place / "out/kernels/a.npy").mkdir()
    assert state(plan(place))[0] == ("a.png", "a", False)


def test_an_output_of_an_earlier_version_must_not_be_empty(place):
    for job in plan(place):
        finish(place, job, has_outputs=False)
    assert state(plan(place)) == [("a.png", "a", True), ("b.png", "b", True)]
    (place / "out/images/a.png").write_text("")
    (place / "out/kernels/b.npy").write_text("")
    assert state(plan(place)) == [("a.png", "a", False), ("b.png", "b", False)]


def test_a_new_file_with_the_same_stem_does_not_take_the_name(place):
    for job in plan(place):
        finish(place, job)
    (place / "in/a.bmp").write_text("another")
    (place / "in/b_2.png").write_text("another")
    assert state(plan(place)) == [
        ("a.bmp", "a_2", False), ("a.png", "a", True), ("b.png", "b", True), ("b_2.png", "b_2", False),
    ]  # fmt: skip


def test_a_folder_of_inputs_can_move(place):
    for job in plan(place):
        finish(place, job)
    (place / "in").rename(place / "moved")
    (place / "in").mkdir()
    for name in ("a.png", "b.png"):
        (place / "moved" / name).rename(place / "in" / name)
    for path in (place / "out/records").iterdir():
        path.write_text(path.read_text().replace("/in/", "/elsewhere/"))
    assert state(plan(place)) == [("a.png", "a", True), ("b.png", "b", True)]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"steps": 5}, "config.steps was 4, is 5"),
        ({"x": {"y": 2}}, "config.x.y was 1, is 2"),
        ({"x": {"y": 1, "z": (3,)}}, "config.x.z was None, is [3]"),
        ({"kernel_sha256": "f"}, "kernel_sha256 was None, is 'f'"),
        ({"flags": {"scale": 3, "seed": 1}}, "scale was 2, is 3; seed was 0, is 1"),
    ],
)
def test_another_run_is_refused(place, changes, words):
    plan(place)
    assert state(plan(place, steps=3))  # nothing is there yet that could differ
    plan(place)
    finish(place, plan(place)[0])
    with pytest.raises(resume.DifferenceError) as caught:
        plan(place, **changes)
    assert words in str(caught.value) and "--restart" in str(caught.value)
    assert state(plan(place))[0] == ("a.png", "a", True)  # the refusal has changed nothing
    assert not any(job.record for job in plan(place, restart=True, **changes))
    assert not list((place / "out/images").iterdir()) and not list((place / "out/records").iterdir())


def test_what_does_not_change_results_may_differ(place):
    finish(place, plan(place)[0])
    assert state(plan(place, config="renamed", flags=FLAGS | {"input": "other"}))[0] == ("a.png", "a", True)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_results_of_an_unknown_run_are_refused(place, text):
    finish(place, plan(place)[0])
    (place / "out/config.json").unlink() if text is None else (place / "out/config.json").write_text(text)
    with pytest.raises(resume.DifferenceError, match="missing or damaged"):
        plan(place)


def test_a_changed_input_is_refused(place):
    for job in plan(place):
        finish(place, job)
    (place / "in/b.png").write_text("changed")
    with pytest.raises(resume.DifferenceError, match="b.png' has changed .*--restart"):
        plan(place)
    assert state(plan(place, restart=True)) == [("a.png", "a", True), ("b.png", "b", False)]


def test_a_failed_input_may_change(place):
    finish(place, plan(place)[0], "failed")
    (place / "in/a.png").write_text("mended")
    assert state(plan(place))[0] == ("a.png", "a", False)


def test_a_half_done_image_keeps_its_name_and_its_input(place):
    plan(place)
    resume.write_input(str(place / "out"), "a", place / "in/a.png", resume.sha256(place / "in/a.png"))
    (place / "in/a.bmp").write_text("another")
    assert state(plan(place))[:2] == [("a.bmp", "a_2", False), ("a.png", "a", False)]
    (place / "in/a.png").write_text("changed")
    with pytest.raises(resume.DifferenceError, match="a.png' has changed"):
        plan(place)
    plan(place, restart=True)
    assert not list((place / "out/state").iterdir())


def test_a_kill_after_the_record_leaves_a_state_that_goes(place):
    """With its note, and as a removal that was cut short leaves it."""
    for has_note in (True, False):
        job = plan(place)[0]
        finish(place, job)
        resume.write_input(str(place / "out"), job.name, job.path, resume.sha256(job.path))
        if not has_note:
            next((place / "out/state").glob("*/input.json")).unlink()
        assert state(plan(place))[0] == ("a.png", "a", True)
        assert not list((place / "out/state").iterdir())


def test_damaged_records_and_what_a_kill_left(place):
    for job in plan(place):
        finish(place, job)
    (place / "out/records/a.json").write_text("{")
    (place / "out/records/b.json").write_text(json.dumps({"name": "other"}))
    left = place / "out/images" / f".{'0' * 32}.tmp"
    left.write_text("half")
    assert not any(job.record for job in plan(place)) and not left.exists()


def test_sha256(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"abc")
    assert resume.sha256(tmp_path / "a").startswith("ba7816bf")
    assert resume.sha256(tmp_path) is resume.sha256(tmp_path / "missing") is resume.sha256("a\0b") is None
    monkeypatch.setattr(resume, "_HUGE", 2)
    assert resume.sha256(tmp_path / "a") == "3 bytes"
