"""What a record promises is on the disk before the record is."""

import errno
import hashlib
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.imaging.problem import Result, Status, make_spec
from blindsr_jax.io import durable
from blindsr_jax.runs import outputs, workdir
from blindsr_jax.runs.records import new_record, read_records
from blindsr_jax.runs.signals import StoppedError


def source():
    return io.Image(np.full((6, 5, 1), 0.5, np.float32))


def result(uncertainty=None):
    kernel = jnp.full((3, 3), 1 / 9)
    return Result(jnp.full((12, 10, 1), 0.5), kernel, {"loss": np.ones(2)}, Status.OK, None, uncertainty)


def record():
    return new_record("a", spec=make_spec(scale=2), config="c", seed=3, status=Status.OK, input="/a.png")


@pytest.fixture
def events(monkeypatch):
    """What is renamed and what is synced, in order, by path."""
    seen, replace, fsync = [], os.replace, os.fsync

    def noted_replace(old, new):
        replace(old, new)
        seen.append(("renamed", str(new)))

    def noted_fsync(file):
        fsync(file)
        seen.append(("synced", os.readlink(f"/proc/self/fd/{file}")))

    monkeypatch.setattr(os, "replace", noted_replace)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    return seen


@pytest.mark.parametrize("uncertainty", [None, np.full((12, 10), 0.1)])
def test_all_that_a_record_promises_is_on_the_disk_before_the_record(tmp_path, events, uncertainty):
    folder = str(tmp_path)
    new = workdir.write_outputs(folder, record(), source(), result(uncertainty))
    at = events.index(("renamed", f"{folder}/records/a.json"))
    before, after = events[:at], events[at + 1 :]
    assert len(new.outputs) == (8 if uncertainty is None else 10)
    for name in new.outputs:
        path = f"{folder}/{name}"
        assert before.index(("renamed", path)) < before.index(("synced", path))
        assert before.index(("renamed", path)) < len(before) - 1 - before[::-1].index(("synced", os.path.dirname(path)))
    kind, temporary = before[-1]  # the record, under the name that it has before it is whole
    assert kind == "synced" and Path(temporary).parent == tmp_path / "records" and temporary.endswith(".tmp")
    assert ("synced", f"{folder}/records") in after


def test_a_record_holds_size_and_digest_of_each_output(tmp_path):
    new = workdir.write_outputs(str(tmp_path), record(), source(), result())
    files = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*.*")
        if path.suffix != ".json"
    }
    assert new.outputs == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }
    assert read_records(str(tmp_path)) == {"a": new}


def test_a_failure_promises_nothing(tmp_path):
    new = workdir.write_outputs(str(tmp_path), record(), source(), result())
    workdir.write_failure(str(tmp_path), new, "cannot be finished")
    assert read_records(str(tmp_path))["a"].outputs is None


def test_json_replaces_what_was_there_only_when_it_is_on_the_disk(tmp_path, events):
    io.write_json(tmp_path / "a.json", {})
    (_, temporary), renamed, folder = events
    assert temporary.endswith(".tmp") and renamed == ("renamed", f"{tmp_path}/a.json")
    assert folder == ("synced", str(tmp_path))


def test_a_disk_that_is_full_when_files_are_synced_stops_the_run_without_a_record(tmp_path, monkeypatch):
    def fsync(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoppedError), workdir.writing(str(tmp_path)):
        workdir.write_outputs(str(tmp_path), record(), source(), result())
    assert not (tmp_path / "records").exists()


def test_a_file_system_that_cannot_sync_is_no_failure(tmp_path, monkeypatch):
    def fsync(file):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    workdir.write_outputs(str(tmp_path), record(), source(), result())
    assert outputs.has(str(tmp_path), read_records(str(tmp_path))["a"])


def test_size(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    sizes = [durable.size(path) for path in (tmp_path / "a", tmp_path, tmp_path / "none", "a\0b")]
    assert sizes == [3, 0, 0, 0]
