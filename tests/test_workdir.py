import json

from blindsr_jax import workdir
from blindsr_jax.problem import make_spec


def new_record(name="a"):
    return workdir.new_record(name, spec=make_spec(scale=2), config="c", seed=3)


def test_failure_replaces_what_an_earlier_run_left(tmp_path):
    for kind, name in (("images", "a.png"), ("kernels", "a.npy"), ("kernels", "a.png"), ("images", "b.png")):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / name).write_bytes(b"old")
    record = new_record() | {"status": "ok", "message": "a note"}
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
