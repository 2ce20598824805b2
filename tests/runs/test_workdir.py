import errno
import json

import pytest

from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.runs import workdir
from blindsr_jax.runs.signals import StoppedError


def new_record(name="a"):
    return workdir.new_record(name, spec=make_spec(scale=2), config="c", seed=3)


def test_failure_replaces_what_an_earlier_run_left(tmp_path):
    for kind, name in (("images", "a.png"), ("kernels", "a.npy"), ("kernels", "a.png"), ("images", "b.png")):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / name).write_bytes(b"old")
    record = new_record() | {"status": "ok", "message": "a note", "input": "/a.png"}
    workdir.write_record(str(tmp_path), record)
    workdir.write_failure(str(tmp_path), record, "cannot read it")
    assert record["status"] == "failed" and record["message"] == "a note; cannot read it"
    assert json.loads((tmp_path / "records/a.json").read_text()) == record
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert left == ["images/b.png", "records/a.json"]


def test_a_name_too_long_for_its_record_does_not_stop_the_others(tmp_path):
    record = new_record("x" * 251)  # 251 + .png is the longest name there is
    workdir.write_failure(str(tmp_path), record, "too long")
    workdir.write_summary(str(tmp_path), [record])
    assert json.loads((tmp_path / "results.json").read_text())[0]["status"] == "failed"


def test_page_without_records(tmp_path):
    workdir.write_summary(str(tmp_path), [])
    assert "no results" in (tmp_path / "index.html").read_text()


def test_summary_is_derived_and_written_when_something_changed(tmp_path):
    folder = str(tmp_path)
    for name in "ab":
        workdir.write_record(folder, new_record(name) | {"input": f"/{'ba'['ab'.index(name)]}"})
    records = workdir.read_records(folder)
    workdir.Summary(folder, records).write()
    assert [record["name"] for record in json.loads((tmp_path / "results.json").read_text())] == ["b", "a"]  # by input
    (tmp_path / "index.html").write_text("with the scores of an evaluation")
    summary = workdir.Summary(folder, records)
    summary.write()
    assert (tmp_path / "index.html").read_text() == "with the scores of an evaluation"
    summary.add(new_record("c"))
    summary.write()
    assert len(json.loads((tmp_path / "results.json").read_text())) == 3
    assert "scores" not in (tmp_path / "index.html").read_text()


def test_what_is_in_the_way_of_the_lists_of_all_images_stops_nothing(tmp_path, capsys):
    (tmp_path / "index.html").mkdir()
    summary = workdir.Summary(str(tmp_path), {})
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


def test_lists_and_page_hold_messages_of_any_characters(tmp_path):
    record = new_record() | {"input": "/caf\udce9.png", "message": "\ud800 \x1b[2J \udcff", "config": "caf\udce9"}
    workdir.write_summary(str(tmp_path), [record])
    assert json.loads((tmp_path / "results.json").read_text()) == [record]
    assert "/caf\\udce9.png" in (tmp_path / "results.csv").read_text()
    assert "<h2>a</h2>" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("code, stops", [(errno.ENOSPC, True), (errno.EFBIG, True), (errno.ENAMETOOLONG, False)])
def test_a_full_disk_stops_a_run_and_a_long_name_does_not(code, stops):
    with pytest.raises(StoppedError if stops else OSError) as caught, workdir.writing("there"):
        raise OSError(code, "reason")
    assert not stops or ("'there' cannot be written (reason)" in str(caught.value) and caught.value.code == 1)
