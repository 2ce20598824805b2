"""A document is of the right kinds throughout, or it counts as missing; never a traceback."""

import json
import os

import pytest

from blindsr_jax import io
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.io import documents
from blindsr_jax.runs import records, schemas
from tests.launch.damage import ANY, VALUES

RECORD = records.new_record("zzz", spec=make_spec(scale=2), config="c", seed=3, input="/a.png").to_json()
CELL = {"case": "a", "config": "c", "seed": 0, "status": "ok", "seconds": 1.5, "peak_memory_mb": 3, "digest": "d"}
LINE = {
    "name": "a", "source": "a.png", "family": "gaussian", "parameters": {}, "seed": 1, "scale": 2, "kernel_size": 11,
    "noise_std": 0.0, "boundary": "circular", "kernel_center": "release", "sha256": "0",
}  # fmt: skip
LATER = {
    "input", "sha256", "outputs", "families", "width_px", "width_px_80", "direction_deg", "direction_deg_80",
    "noise_std", "jpeg_quality", "residual_rms_255",
}  # fmt: skip
DOCUMENTS = {
    "record": (records.RECORD, RECORD | {"uncertainty": 0.5}),
    "records": (records.RECORDS, [RECORD, RECORD]),
    "config of a solve": (schemas.RUN, {"config": "c", "flags": {"scale": 2}, "kernel_sha256": None, "num_steps": 4}),
    "note of a state": (schemas.NOTE, {"name": "a", "input": "/a.png", "sha256": None}),
    "lock": (schemas.LOCK, {"pid": 2**30, "host": "h", "boot": "b", "start": "1"}),
    "manifest": (schemas.MANIFEST, [LINE]),
    "cell": (documents.object_of(schemas.CELL_KEYS | {"psnr_y": schemas.SCORE}), CELL | {"psnr_y": 30.5}),
    "scores": (schemas.SCORES, {"images": [{"name": "a"}], "mean": {"psnr_y": 3.5, "ssim_y": None}}),
}


def refused(path, kind):
    """What `require` says of a document that `read` takes for a missing one."""
    assert documents.read(path, kind) is None
    with pytest.raises(io.InputError) as caught:
        documents.require(path, kind, "something else was expected")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 500
    return str(caught.value)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_comes_back_with_keys_that_the_reader_does_not_know(tmp_path, name):
    kind, document = DOCUMENTS[name]
    if isinstance(document, dict):
        document = document | {"new": [{"a": 1}]}
    io.write_json(tmp_path / "a.json", document)
    assert documents.read(tmp_path / "a.json", kind) == document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_no_document_of_ours_counts_as_missing(tmp_path, name):
    kind, document = DOCUMENTS[name]
    for damage, data in ANY.items():
        if isinstance(document, list) and damage == "list":
            continue  # a list of nothing
        (tmp_path / "a.json").write_bytes(data)
        assert refused(tmp_path / "a.json", kind), damage


@pytest.mark.parametrize("key", [key for key in RECORD if key not in LATER])
def test_a_record_without_a_key_of_the_contract_counts_as_missing(tmp_path, key):
    (tmp_path / "a.json").write_text(json.dumps({k: v for k, v in RECORD.items() if k != key}))
    assert repr(key) in refused(tmp_path / "a.json", records.RECORD)


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    old = {key: value for key, value in RECORD.items() if key not in LATER}
    (tmp_path / "a.json").write_text(json.dumps(old))
    assert documents.read(tmp_path / "a.json", records.RECORD) == old


WRONG = {
    "name": (None, 3, "", "a/b", "../../victim", "a\nb", "\ud800", "\udce9", "a" * 256, []),
    "status": (None, "done", 3, []),
    "message": (None, 3, []),
    "scale": (None, 0, 9, 2.5, True, "2", 2**70),
    "boundary": (None, "open", {}),
    "kernel_center": ("middle", []),
    "config": (None, {}),
    "seed": (None, -1, 2**32, 2**70, 0.5),
    "seconds": ("1", True, 10**400),
    "compile_seconds": ({}, -(10**400)),
    "steps": (None, -1, 2**70),
    "loss": ("small", []),
    "confidence": ("high",),
    "versions": (None, [], {"jax": 1}),
    "input": (None, 3, [], {}),
    "sha256": (3, []),
    "outputs": (3, [], {"a": None}, {"a": {"bytes": 0, "sha256": ""}}, {"a": {"bytes": 2**70, "sha256": ""}}),
    "uncertainty": (None, "much"),
    "families": (3, [], {"disc": "likely"}, {"disc": None}),
    "width_px": ("wide", [1.0]),
    "width_px_80": (3, ["1"], {}),
    "direction_deg": ("up", []),
    "direction_deg_80": (3, [None], {}),
    "noise_std": ("low", []),
    "jpeg_quality": (0, 101, 1.5, "high"),
    "residual_rms_255": ("none", []),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_record_with_a_value_of_another_kind_counts_as_missing(tmp_path, key):
    assert set(WRONG) == {*RECORD, "uncertainty"}
    for value in WRONG[key]:
        (tmp_path / "a.json").write_text(json.dumps(RECORD | {key: value}))
        assert repr(key) in refused(tmp_path / "a.json", records.RECORD), value


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_value_of_any_kind_in_the_place_of_another_is_no_traceback(tmp_path, name):
    kind, document = DOCUMENTS[name]
    entry = document[0] if isinstance(document, list) else document
    for key in entry:
        for value in VALUES:
            changed = entry | {key: value}
            (tmp_path / "a.json").write_text(json.dumps([changed] if isinstance(document, list) else changed))
            found = documents.read(tmp_path / "a.json", kind)
            assert found is None or (found[0] if isinstance(document, list) else found)[key] == value


@pytest.mark.parametrize("pid", [None, "1", True, 0, -1, 2**31, 2**70, 1.0])
def test_a_lock_of_no_process_counts_as_missing(tmp_path, pid):
    (tmp_path / "a.json").write_text(json.dumps({"pid": pid}))
    assert "'pid'" in refused(tmp_path / "a.json", schemas.LOCK)


def test_messages_may_hold_any_character(tmp_path):
    message = "\ud800 \udce9 \x1b[2J \u2028 =1+1"
    io.write_json(tmp_path / "a.json", RECORD | {"message": message, "name": "\u3000\u00a0é", "input": "/caf\udce9"})
    assert documents.read(tmp_path / "a.json", records.RECORD)["message"] == message


def test_no_more_is_read_than_a_document_may_have(tmp_path):
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(2**40)  # without blocks on the disk
    assert "limit" in refused(tmp_path / "a.json", records.RECORD)
    (tmp_path / "b.json").write_bytes(b" " * documents.DOCUMENT_BYTES + b"{}")
    assert "limit" in refused(tmp_path / "b.json", schemas.TRAINING)
    assert documents.read(tmp_path / "b.json", schemas.TRAINING, limit=documents.LIST_BYTES) == {}


def test_what_is_no_file_counts_as_missing(tmp_path):
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    os.symlink("loop.json", tmp_path / "loop.json")
    for name in ("folder", "pipe", "loop", "none"):
        refused(tmp_path / f"{name}.json", documents.anything)


def test_nesting_has_an_end_that_is_not_that_of_the_stack(tmp_path):
    for levels, is_read in ((32, True), (33, False), (900, False)):
        (tmp_path / "a.json").write_text("[" * levels + "]" * levels)
        assert (documents.read(tmp_path / "a.json", documents.anything) is not None) == is_read
