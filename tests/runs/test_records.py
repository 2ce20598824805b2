"""The record of an image: one list of keys, and the document that it is written as."""

import dataclasses
import json

from blindsr_jax import io
from blindsr_jax.imaging.problem import Result, Status
from blindsr_jax.runs import outputs, records
from tests.runs.test_workdir import new_record

# The words that other programs rely on, in their order; `uncertainty` stands only where a method knows it.
CONTRACT = (
    "name", "status", "message", "scale", "boundary", "kernel_center", "config", "seed", "seconds", "compile_seconds",
    "steps", "loss", "confidence", "versions", "input", "sha256", "outputs",
    "families", "width_px", "width_px_80", "direction_deg", "direction_deg_80",
    "noise_std", "jpeg_quality", "residual_rms_255",
)  # fmt: skip


def test_a_new_record_has_every_key_of_the_contract_in_order():
    document = new_record(input="/a.png").to_json()
    assert tuple(document) == CONTRACT
    assert document["status"] == "failed" and document["seconds"] is document["outputs"] is None
    assert json.loads(json.dumps(document)) == document


def test_a_key_that_takes_no_null_is_left_out_while_it_is_not_known():
    assert "input" not in new_record().to_json() and "uncertainty" not in new_record().to_json()
    assert list(new_record(input="/a", uncertainty=0.5).to_json())[-1] == "uncertainty"


def test_a_record_comes_back_from_its_file_with_keys_of_another_version(tmp_path):
    record = new_record(status=Status.OK, input="/a.png", others={"new": [{"a": 1}]})
    records.write_record(str(tmp_path), record)
    (found,) = records.read_records(str(tmp_path)).values()
    assert found == record and found.status is Status.OK and found.to_json() == record.to_json()


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    old = {key: value for key, value in new_record().to_json().items() if key not in ("sha256", "outputs")}
    io.write_json(records.record_path(str(tmp_path), "a"), old)
    assert records.read_records(str(tmp_path))["a"] == new_record()


def test_notes_are_added_and_nothing_is_not():
    assert new_record(message="a").noted("", "b", Status.OK.sentence).message == "a; b"
    assert new_record().noted(Status.RECOVERED.sentence).message == Status.RECOVERED.sentence


def test_which_words_stand_for_an_image():
    assert [status.value for status in Status if status.has_image] == ["ok", "recovered"]


def test_the_files_of_a_solve_have_the_names_that_other_programs_rely_on():
    names = [row.file("a") for row in outputs.OUTPUTS]
    assert names == [
        "images/a.png", "inputs/a.png", "kernels/a.png", "figures/a.png", "kernels/a.npy", "kernels/a_std.npy",
        "uncertainty/a.png", "uncertainty/a.npy", "kernel_maps/a.png", "kernel_maps/a.npy",
        "views/a.png", "views/a.jpg", "views/a.js",
    ]  # fmt: skip
    assert outputs.ALWAYS == ("images", "inputs", "kernels")
    assert [row.kind for row in outputs.OUTPUTS if row.needs == "figure"] == ["figures"]  # unless --nofigures
    captions = [caption for caption, _ in outputs.pictures("w", new_record())]
    assert captions == [
        "LR image, enlarged by bicubic", "result, x2", "kernel", "uncertainty", "kernels of the parts",
        "residual of the receipt",
    ]  # fmt: skip


def test_a_new_file_is_one_row(tmp_path, monkeypatch):
    row = outputs.Output("notes", ".txt", lambda path, solved: io.write_text(path, solved.name), needs="state")
    monkeypatch.setattr(outputs, "OUTPUTS", (row,))
    assert outputs.write(str(tmp_path), _solved(None)) == {}
    promised = outputs.write(str(tmp_path), _solved("any"))
    assert promised["notes/a.txt"]["bytes"] == 1 and (tmp_path / "notes/a.txt").read_text() == "a"
    record = new_record(status=Status.OK, outputs=promised)
    assert outputs.has(str(tmp_path), record)
    outputs.remove(str(tmp_path), "a")
    assert not outputs.has(str(tmp_path), record)
    assert outputs.has(str(tmp_path), dataclasses.replace(record, outputs={}))


def _solved(state):
    return outputs.Solved("a", 2, None, Result(None, None, {}, Status.OK, state))
