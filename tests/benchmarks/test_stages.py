"""A report keeps to its time, and an error ends a stage only where it is one of this machine."""

import json

import jax
import pytest

from blindsr_jax.benchmarks import stages
from blindsr_jax.benchmarks.stages import Clock, Report, Stage, run_stage


def parts(number, error=None):
    yield from ([{"row": i}] for i in range(number))
    if error is not None:
        raise error


def run(stage, clock=None, oom=False):
    return run_stage(stage, clock or Clock(1e6, 1.0), is_out_of_memory=lambda error: oom)


def test_what_does_not_fit_into_the_time_is_not_begun():
    found = run(Stage("a", parts(3), 2), Clock(1.5, 1.0))
    assert not found.rows and found.note.startswith("skipped")


def test_a_stage_ends_early_when_its_parts_prove_slow(monkeypatch):
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(stages.time, "monotonic", lambda: next(now))
    found = run(Stage("a", parts(9), 1), Clock(120.0, 1.0))
    assert 0 < len(found.rows) < 9 and found.note.startswith("ended early")


@pytest.mark.parametrize("error", [ValueError("no\nsuch value"), ImportError("no skimage")])
def test_what_a_machine_lacks_ends_its_stage_and_keeps_what_was_measured(error):
    found = run(Stage("a", parts(2, error), 1))
    assert len(found.rows) == 2 and found.note == f"not possible: {' '.join(str(error).split())}"


def test_lack_of_memory_ends_a_stage_and_other_errors_of_jax_all():
    error = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")
    assert run(Stage("a", parts(1, error), 1), oom=True)[:2] == ([{"row": 0}], "out of memory")
    with pytest.raises(jax.errors.JaxRuntimeError):
        run(Stage("a", parts(1, error), 1))


def test_a_report_is_on_disk_after_each_stage(tmp_path, capsys):
    report = Report(str(tmp_path))
    report.add("first", seconds=1.25, table="| a |", rows=[{"a": 1}])
    report.add("second", seconds=0, note="skipped")
    found = json.loads((tmp_path / "report.json").read_text())["stages"]
    assert found["first"] == {"seconds": 1.2, "note": "", "rows": [{"a": 1}]} and found["second"]["note"] == "skipped"
    text = (tmp_path / "report.md").read_text()
    assert text.index("## first") < text.index("| a |") < text.index("## second")
    assert "first: done (1 s)" in capsys.readouterr().out
