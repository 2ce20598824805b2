import json
from pathlib import Path

import pytest

from blindsr_jax.imaging.problem import Status
from blindsr_jax.io import documents
from blindsr_jax.runs import outputs, workdir
from blindsr_jax.runs.records import read_records, require_records, write_record
from blindsr_jax.runs.summary import Summary, write_summary
from tests.runs.test_workdir import new_record


def test_a_name_too_long_for_its_record_does_not_stop_the_others(tmp_path):
    record = new_record("x" * 251)  # 251 + .png is the longest name there is
    record = workdir.write_failure(str(tmp_path), record, "too long")
    write_summary(str(tmp_path), [record])
    assert json.loads((tmp_path / "results.json").read_text())[0]["status"] == "failed"


def test_page_without_records(tmp_path):
    write_summary(str(tmp_path), [])
    assert "no results" in (tmp_path / "index.html").read_text()


def test_summary_is_derived_and_written_when_something_changed(tmp_path):
    folder = str(tmp_path)
    for name in "ab":
        write_record(folder, new_record(name, input=f"/{'ba'['ab'.index(name)]}"))
    records = read_records(folder)
    Summary(folder, records).write()
    assert [record["name"] for record in json.loads((tmp_path / "results.json").read_text())] == ["b", "a"]  # by input
    (tmp_path / "index.html").write_text("with the scores of an evaluation")
    summary = Summary(folder, records)
    summary.write()
    assert (tmp_path / "index.html").read_text() == "with the scores of an evaluation"
    summary.add(new_record("c"))
    summary.write()
    assert len(json.loads((tmp_path / "results.json").read_text())) == 3
    assert "scores" not in (tmp_path / "index.html").read_text()


def test_what_is_in_the_way_of_the_lists_of_all_images_stops_nothing(tmp_path, capsys):
    (tmp_path / "index.html").mkdir()
    summary = Summary(str(tmp_path), {})
    for name in "ab":
        summary.add(new_record(name))
    assert capsys.readouterr().err == ""
    summary.write()
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(tmp_path) in err and "Traceback" not in err
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2
    (tmp_path / "index.html").rmdir()
    summary.write()
    assert capsys.readouterr().err == "" and "<h2>b</h2>" in (tmp_path / "index.html").read_text()


def test_the_page_believes_the_records_and_does_not_ask_the_disk_for_each_picture(tmp_path, monkeypatch):
    rows = {row.kind: row.file("a") for row in outputs.SHOWN}
    record = new_record(status=Status.OK, outputs={rows["images"]: {"bytes": 1, "sha256": "0"}})
    monkeypatch.setattr(Path, "is_file", lambda path: pytest.fail("asked"))
    monkeypatch.setattr("os.path.isfile", lambda path: pytest.fail("asked"))
    write_summary(str(tmp_path), [record])
    page = (tmp_path / "index.html").read_text()
    assert rows["images"] in page and rows["kernels"] not in page


def test_records_that_are_too_many_for_one_document_are_read_one_by_one(tmp_path, monkeypatch):
    for name in "ab":
        write_record(str(tmp_path), new_record(name, input=f"/{name}"))
    records = read_records(str(tmp_path))
    Summary(str(tmp_path), records).write()
    assert require_records(str(tmp_path)) == [records["a"], records["b"]]
    monkeypatch.setattr(documents, "LIST_BYTES", 100)
    assert require_records(str(tmp_path)) == [records["a"], records["b"]]


def test_lists_and_page_hold_messages_of_any_characters(tmp_path):
    record = new_record(input="/caf\udce9.png", message="\ud800 \x1b[2J \udcff")
    write_summary(str(tmp_path), [record])
    assert json.loads((tmp_path / "results.json").read_text()) == [record.to_json()]
    assert "/caf\\udce9.png" in (tmp_path / "results.csv").read_text()
    assert "<h2>a</h2>" in (tmp_path / "index.html").read_text()
