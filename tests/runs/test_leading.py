"""What process 0 makes of the others, without solving anything."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from blindsr_jax.imaging.problem import Status
from blindsr_jax.runs import distributed, leading, workdir
from blindsr_jax.runs.distributed import Peers
from blindsr_jax.runs.records import new_record, read_records, write_record
from blindsr_jax.runs.resume import Job
from tests import small
from tests.small_peers import all_closed, at_once, two_peers  # noqa: F401


@pytest.fixture
def jobs(tmp_path):
    """One image that is finished, one that has failed and one that is left to process 1."""
    for kind in workdir.FOLDERS:
        (tmp_path / kind).mkdir()
    jobs = [Job(Path("c.png"), "c", None)]
    for name, status in (("b", Status.DIVERGED), ("a", Status.OK)):
        known = {"status": status, "message": "so it is", "input": name}
        record = new_record(name, spec=small.spec(), config="x", seed=0, **known)
        write_record(str(tmp_path), record)
        jobs.insert(0, Job(Path(f"{name}.png"), name, record))
    return jobs


def run_of(folder, peers):
    stopper = SimpleNamespace(check=lambda: None, number=None)
    return SimpleNamespace(folder=str(folder), peers=peers, stopper=stopper)


def test_images_without_a_result_are_counted_whoever_was_to_make_them(tmp_path, jobs):
    assert leading.count_failed(read_records(str(tmp_path)), jobs) == 2


def test_process_0_goes_on_without_a_lost_process_and_names_it(tmp_path, jobs, capfd, monkeypatch):
    leader, worker = two_peers()
    monkeypatch.setattr(leading, "solve_share", lambda tasks, run, on_record: 0)

    def be_lost():
        plan = distributed.receive_plan(worker, run_of(tmp_path, worker).stopper)
        worker.channels[0].close()
        return plan

    jobs.append(Job(Path("d.png"), "d", None))
    failed, plan = at_once(lambda: leading.lead(jobs, run_of(tmp_path, leader)), be_lost)
    assert (failed, plan) == (3, [["[4/4] d", "d.png", "d"]])
    out, err = capfd.readouterr()
    assert out == "2 of 4 finished before\n"
    assert err.splitlines()[0] == "[2/4] b: diverged, so it is" and "process 1" in err.splitlines()[1]
    assert (tmp_path / "results.json").exists()


def test_the_lists_are_written_though_process_0_is_stopped(tmp_path, jobs, monkeypatch):
    def stopped(tasks, run, on_record):
        raise OSError("stopped")

    monkeypatch.setattr(leading, "solve_share", stopped)
    with pytest.raises(OSError):
        leading.lead(jobs, run_of(tmp_path, Peers()))
    assert (tmp_path / "index.html").exists()
