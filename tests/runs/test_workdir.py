import errno
import json

import pytest

from blindsr_jax.imaging.problem import Status, make_spec
from blindsr_jax.runs import records, workdir
from blindsr_jax.runs.signals import StoppedError


def new_record(name="a", **known):
    return records.new_record(name, spec=make_spec(scale=2), config="c", seed=3, **known)


def test_failure_replaces_what_an_earlier_run_left(tmp_path):
    for kind, name in (("images", "a.png"), ("kernels", "a.npy"), ("kernels", "a.png"), ("images", "b.png")):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / name).write_bytes(b"old")
    record = new_record(status=Status.OK, message="a note", input="/a.png")
    records.write_record(str(tmp_path), record)
    record = workdir.write_failure(str(tmp_path), record, "cannot read it")
    assert record.status == "failed" and record.message == "a note; cannot read it"
    assert json.loads((tmp_path / "records/a.json").read_text()) == record.to_json()
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert left == ["images/b.png", "records/a.json"]


@pytest.mark.parametrize("code, stops", [(errno.ENOSPC, True), (errno.EFBIG, True), (errno.ENAMETOOLONG, False)])
def test_a_full_disk_stops_a_run_and_a_long_name_does_not(code, stops):
    with pytest.raises(StoppedError if stops else OSError) as caught, workdir.writing("there"):
        raise OSError(code, "reason")
    assert not stops or ("'there' cannot be written (reason)" in str(caught.value) and caught.value.code == 1)
