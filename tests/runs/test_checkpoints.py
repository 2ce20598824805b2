"""A state comes back bit for bit, or not at all."""

import os
import shutil
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.methods.interfaces import State
from blindsr_jax.runs import checkpoints
from blindsr_jax.solvers.loop import Progress


def make(step=6, fill=1.5, impl=None):
    """A progress with all that a state may hold: nested tuples, nothing, typed keys, scalars, empty arrays."""
    image = {"w": jnp.full((3, 2), fill), "count": jnp.int32(step), "none": None, "empty": jnp.zeros((0, 4))}
    kernel = (jax.random.split(jax.random.key(7, impl=impl), 3), jnp.asarray([True, False]), jnp.float16(0.1))
    state = State(image, kernel, jnp.linspace(0, 1, 5), jnp.asarray(np.nan))
    return Progress(0, step, state, {"loss": np.arange(step, dtype=np.float32), "residual": np.ones(step, np.float32)})


def like(progress):
    trace = {name: jax.ShapeDtypeStruct((), values.dtype) for name, values in progress.trace.items()}
    return jax.eval_shape(lambda: progress.state), trace


def plain(tree):
    return [np.asarray(jax.random.key_data(x) if checkpoints._is_key(x) else x) for x in jax.tree.leaves(tree)]


@pytest.mark.parametrize("impl", [None, "rbg"])
def test_a_state_comes_back(tmp_path, impl):
    progress = make(impl=impl)._replace(attempt=1)
    checkpoints.save(tmp_path / "a", progress, seconds=2.5)
    found, seconds = checkpoints.restore(tmp_path / "a", *like(progress))
    assert (found.attempt, found.step, seconds) == (1, 6, 2.5)
    assert jax.tree.structure(found.state) == jax.tree.structure(progress.state)
    for old, new in zip(jax.tree.leaves(progress.state), jax.tree.leaves(found.state), strict=True):
        assert old.dtype == new.dtype and old.shape == new.shape
    for old, new in zip(plain(progress[2:]), plain(found[2:]), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(isinstance(values, np.ndarray) for values in found.trace.values())


def test_large_leaves_are_written_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_LARGE", 20)
    assert "leaf2" in checkpoints._large(jax.tree.leaves(make().state))
    test_a_state_comes_back(tmp_path, None)
    test_a_newer_one_that_is_damaged_gives_way(tmp_path / "more")


def test_only_answers_that_come_too_late_are_hushed(monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    checkpoints._hush_late_answers.__wrapped__()
    late, other = (SimpleNamespace(exc_value=RuntimeError(text)) for text in ("Event loop is closed", "another"))
    sys.unraisablehook(late)
    sys.unraisablehook(other)
    assert said == [other]


def test_a_host_of_a_pod_writes_its_states_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    monkeypatch.setattr(jax, "process_index", lambda: 3)
    checkpoints.save(tmp_path, make())
    assert checkpoints.restore(tmp_path, *like(make()))[0].step == 6
    assert (jax.process_count(), jax.process_index()) == (4, 3)


def test_the_newest_one_stays(tmp_path):
    for attempt, step in ((0, 6), (0, 12), (1, 2)):
        checkpoints.save(tmp_path, make(step)._replace(attempt=attempt))
    assert os.listdir(tmp_path) == ["1-000000002"]


def test_a_newer_one_that_is_damaged_gives_way(tmp_path):
    """Killed between writing the new one and deleting the old one, or within the writing."""
    checkpoints.save(tmp_path / "a", make(6))
    checkpoints.save(tmp_path / "b", make(12, fill=2.0))
    shutil.copytree(tmp_path / "b/0-000000012", tmp_path / "a/0-000000012")
    shutil.copytree(tmp_path / "b/0-000000012", tmp_path / "a/0-000000018.orbax-checkpoint-tmp")
    assert checkpoints.restore(tmp_path / "a", *like(make(6)))[0].step == 12
    for path in (tmp_path / "a/0-000000012/d").iterdir():
        path.write_bytes(b"")
    assert checkpoints.restore(tmp_path / "a", *like(make(6)))[0].step == 6


@pytest.mark.parametrize("name", ["1-000000006", "7-000000006", "0-000000005", "0-000000007", "0-099999999"])
def test_a_renamed_state_counts_as_damaged(tmp_path, name):
    checkpoints.save(tmp_path, make(6))
    (tmp_path / "0-000000006").rename(tmp_path / name)
    assert checkpoints.restore(tmp_path, *like(make(6))) is None


def test_a_folder_beside_the_states_is_none(tmp_path):
    checkpoints.save(tmp_path, make(6))
    for name in ("1-²", "0-6", "a-000000006", "1-" + "9" * 200, "1-00000000a"):
        (tmp_path / name).mkdir()
    assert checkpoints.restore(tmp_path, *like(make(6)))[0].step == 6


def test_a_state_is_on_the_disk_before_the_one_before_it_goes(tmp_path, monkeypatch):
    checkpoints.save(tmp_path, make(6))
    found = []
    monkeypatch.setattr(
        checkpoints.durable, "sync_tree", lambda place: found.append((place, sorted(os.listdir(tmp_path))))
    )
    checkpoints.save(tmp_path, make(12))
    assert found == [(str(tmp_path / "0-000000012"), ["0-000000006", "0-000000012"])]


def test_a_state_of_another_program_is_not_used(tmp_path):
    checkpoints.save(tmp_path, make())
    state, trace = like(make())
    larger = state._replace(image=jax.ShapeDtypeStruct((4,), jnp.float32))  # orbax would cut it
    assert checkpoints.restore(tmp_path, larger, trace) is None
    assert checkpoints.restore(tmp_path, state._replace(image=None), trace) is None
    assert checkpoints.restore(tmp_path, state, trace) is not None


def test_no_state(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        assert not checkpoints.exists(folder) and checkpoints.restore(folder, *like(make())) is None


def test_an_error_of_the_disk_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        checkpoints.save(tmp_path / "file/below", make())
