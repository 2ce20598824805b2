"""The pipeline in this process, with a solver that compiles in no time."""

import functools
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from blindsr_jax.runs import pipeline, report, resume
from blindsr_jax.runs.signals import StoppedError
from blindsr_jax.runs.task import Run
from blindsr_jax.solvers import memory
from tests import small
from tests.launch.tiny import get_config
from tests.solvers.test_recovery import descent


@functools.cache
def cheap(rate=0.1, retry=None):
    """The descent, with a kernel that can be written."""
    solver = descent(rate, retry)
    kernel = jnp.full((7, 7), 1 / 49)
    return solver._replace(init=lambda key, problem, _: solver.init(key, problem, kernel))


@pytest.fixture
def solve(tmp_path, monkeypatch):
    """Solves images of given heights by name; gives their records, what was said, and the groups with their widths."""
    monkeypatch.setattr(report, "write_figure", lambda path, **_: io.write_bytes(path, b"figure"))
    groups, run_group = [], pipeline.solve_group

    def solve_group(attempts, solver, **options):
        groups.append((len(attempts), options["width"]))
        return found.before(attempts) or run_group(attempts, solver, **options)

    monkeypatch.setattr(pipeline, "solve_group", solve_group)

    def run(heights, *, solver=None, on_record=lambda record: None, check=lambda: None, **options):
        config = get_config()
        config.num_steps = config.chunk_steps = 2
        stopper = SimpleNamespace(check=check, number=None, waiting="")
        values = {
            "kernel": None,
            "seed": 0,
            "group_size": 2,
            "checkpoint_seconds": 100.0,
            "memory_check": True,
            "memory_gb": None,
        }
        values |= {"white_level": None, "kernel_notes": (), "stopper": stopper}
        values |= {"clock": SimpleNamespace(seconds=lambda: 0.0)} | options
        made = Run("x", config, small.spec(), solver or cheap(), folder=str(tmp_path), **values)
        found.pipeline = pipeline.Pipeline(made, len(heights), on_record)
        is_complete = False
        try:
            for name, height in heights.items():
                path = tmp_path / f"{name}.png"
                PIL.Image.fromarray(np.full((height, 12), 99, np.uint8)).save(path)
                found.pipeline.add(resume.Job(path, name, None), name)
            is_complete = True
        finally:
            found.pipeline.close(is_complete=is_complete)
        return {name: json.loads((tmp_path / f"records/{name}.json").read_text()) for name in heights}

    found = SimpleNamespace(run=run, groups=groups, before=lambda attempts: None, folder=Path(tmp_path))
    return found


def statuses(records):
    return {name: record["status"] for name, record in records.items()}


def test_images_are_grouped_by_shape_and_a_group_is_filled_to_its_full_width(solve):
    records = solve.run({"a": 10, "b": 11, "c": 10, "d": 10})
    assert solve.groups == [(2, 2), (1, 2), (1, 2)]  # a and c; then what waited: b, and d
    assert set(statuses(records).values()) == {"ok"} and solve.pipeline.num_failed == 0
    assert {path.name for path in (solve.folder / "images").iterdir()} == {f"{name}.png" for name in "abcd"}


def test_on_a_cpu_images_are_solved_one_by_one_unless_asked_for(solve):
    solve.run({"a": 10, "b": 10}, group_size=None)
    assert solve.groups == [(1, 1), (1, 1)]


def test_a_group_that_memory_does_not_hold_is_halved(solve):
    def before(attempts):
        if len(attempts) > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")

    solve.before = before
    records = solve.run(dict.fromkeys("abcdef", 10), group_size=4)
    assert solve.groups == [(4, 4), (2, 2), *[(1, 1)] * 6]
    assert set(statuses(records).values()) == {"ok"}


def test_an_image_that_memory_does_not_hold_alone_says_so(solve, capsys):
    def before(attempts):
        raise jax.errors.JaxRuntimeError("INTERNAL: Error: Out of memory allocating 123 bytes.")

    solve.before = before
    records = solve.run({"a": 10})
    assert statuses(records) == {"a": "failed"} and solve.pipeline.num_failed == 1
    assert "12 x 10 pixels at scale 2" in records["a"]["message"] and "a.png" in records["a"]["message"]
    assert capsys.readouterr().err.startswith("a: failed, cannot solve")


@pytest.mark.parametrize("is_checked", [True, False])
def test_an_image_that_is_too_large_is_refused_before_it_is_solved(solve, monkeypatch, is_checked):
    monkeypatch.setattr(memory, "available", lambda: 1e3)
    records = solve.run({"a": 10}, memory_check=is_checked)
    assert statuses(records) == {"a": "failed" if is_checked else "ok"}
    assert ("GB of memory are needed" in records["a"]["message"]) == is_checked
    assert solve.groups == ([] if is_checked else [(1, 2)])


def test_an_image_that_is_too_small_is_refused_and_the_others_are_solved(solve):
    records = solve.run({"a": 10, "b": 1, "c": 10})
    assert statuses(records) == {"a": "ok", "b": "failed", "c": "ok"} and "12 x 1 pixels" in records["b"]["message"]


def test_whatever_ails_one_image_of_a_group_the_others_are_solved(solve):
    bad = []

    def before(attempts):
        bad.extend(attempts[1:2] if not bad else [])
        if any(one.key is bad[0].key for one in attempts if bad):
            raise ValueError("ill")

    solve.before = before
    records = solve.run({"a": 10, "b": 10})
    assert statuses(records) == {"a": "ok", "b": "failed"} and "ValueError, ill" in records["b"]["message"]


@pytest.mark.parametrize(
    "solver, status, words",
    [
        (cheap(1e30, cheap()), "recovered", ["a second try with smaller steps"]),
        (cheap(1e30, cheap(1e30)), "diverged", ["in a second try too", "--config.image.learning_rate"]),
        (cheap(1e30), "diverged", []),
    ],
)
def test_a_record_tells_of_a_second_try_only_where_there_was_one(solve, solver, status, words):
    (record,) = solve.run({"a": 10}, solver=solver).values()
    assert record["status"] == status and all(word in record["message"] for word in words)
    assert ("second try" in record["message"]) == bool(words)
    assert (solve.folder / "images/a.png").exists() == (status == "recovered")


def test_an_error_in_the_background_ends_the_run_and_is_no_failure_of_an_image(solve):
    def on_record(record):
        raise RuntimeError("the list is broken")

    with pytest.raises(RuntimeError, match="the list is broken"):
        solve.run({"a": 10, "b": 10, "c": 10, "d": 10}, on_record=on_record)
    records = [json.loads(path.read_text()) for path in (solve.folder / "records").iterdir()]
    assert {record["status"] for record in records} == {"ok"}


def test_a_signal_ends_a_group_and_is_no_failure_of_an_image(solve):
    def before(attempts):
        raise StoppedError("stopped", 130)

    solve.before = before
    with pytest.raises(StoppedError):
        solve.run({"a": 10, "b": 10})
    assert solve.groups == [(2, 2)] and not (solve.folder / "records").exists()


def test_the_digest_of_a_record_is_that_of_the_pixels_which_were_solved(solve, monkeypatch):
    read, digests = io.read_image, {}

    def read_image(path, **options):
        digests[path.stem] = hashlib.sha256(path.read_bytes()).hexdigest()
        image = read(path, **options)
        path.write_bytes(b"another file by now")
        return image

    monkeypatch.setattr(io, "read_image", read_image)
    records = solve.run({"a": 10})
    assert records["a"]["sha256"] == digests["a"] and records["a"]["status"] == "ok"
