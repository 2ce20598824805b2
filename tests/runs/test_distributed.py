import signal
import time
from types import SimpleNamespace

import pytest

from blindsr_jax.runs import distributed, leading
from blindsr_jax.runs.channels import LostError
from blindsr_jax.runs.distributed import Peers, RefusedError
from blindsr_jax.runs.handshake import JoinError
from blindsr_jax.runs.signals import StoppedError
from tests.small_peers import all_closed, at_once, free_port, two_peers  # noqa: F401


def stopper():
    return SimpleNamespace(check=lambda: None, number=None)


def test_each_item_belongs_to_one_process():
    shares = [Peers(index, 3).share(list(range(8))) for index in range(3)]
    assert shares == [[0, 3, 6], [1, 4, 7], [2, 5]]
    assert Peers(1, 3).label == "process 1: " and Peers().label == "" and Peers().share([1, 2]) == [1, 2]


def test_one_process_joins_nobody():
    assert distributed.join("localhost:1", 1, 0, seconds=1) == Peers()


def test_joined_processes_get_their_shares_of_a_plan():
    address = f"localhost:{free_port()}"
    leader, *others = at_once(*(lambda i=i: distributed.join(address, 3, i, seconds=60) for i in range(3)))
    plan = [[f"[{i}/5000] a\udce9", "/in/a\udce9.png", "a_"] for i in range(5000)]
    distributed.send_plan(leader, plan)
    shares = [leader.share(plan), *(distributed.receive_plan(other, stopper()) for other in others)]
    assert shares == [plan[0::3], plan[1::3], plan[2::3]]


CLUSTERS = {
    "slurm": {
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_NODELIST": "node[01-03]",
        "SLURM_NTASKS": "3",
        "SLURM_PROCID": "2",
        "SLURM_LOCALID": "1",
    },
    "mpi": {
        "OMPI_MCA_orte_hnp_uri": "4096.0;tcp://node01,10.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "3",
        "OMPI_COMM_WORLD_RANK": "2",
        "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    },
}


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_says_where_a_process_stands(name, monkeypatch):
    asked, updated = [], {}
    for key, value in CLUSTERS[name].items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(distributed.handshake, "reach", lambda *args: asked.append(args) or "channel")
    monkeypatch.setattr(distributed.jax.config, "update", lambda key, value: updated.update({key: value}))
    assert distributed.join(seconds=9) == Peers(2, 3, {0: "channel"})
    ((address, *rest),) = asked
    assert rest == [3, 2, 9] and address.startswith("node01:"), asked
    assert updated == {"jax_cuda_visible_devices": "1", "jax_rocm_visible_devices": "1"}


def test_a_broken_cluster_is_one_sentence(monkeypatch):
    for key, value in CLUSTERS["slurm"].items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SLURM_PROCID", "two")
    with pytest.raises(JoinError, match="two"):
        distributed.join(seconds=1)


def test_no_cluster_is_one_sentence():
    with pytest.raises(JoinError, match="--process_id"):
        distributed.join(seconds=1)


def test_a_process_goes_on_until_process_0_stops():
    leader, worker = two_peers()
    wish = stopper()
    distributed.obey(worker, wish)
    distributed.obey(leader, wish)
    assert wish.number is None

    def lead():
        with distributed.together(leader):
            raise StoppedError("stopped", 143)

    def follow():
        while wish.number is None:
            distributed.obey(worker, wish)
        worker.channels[0].close()
        return wish.number

    assert [type(at_once(lead, follow)[0]), wish.number] == [StoppedError, signal.SIGTERM]


@pytest.mark.parametrize("stage", ["plan", "chunk", "done"])
def test_the_loss_of_process_0_ends_the_others_with_one_sentence(stage):
    leader, worker = two_peers()
    wish = stopper()
    leader.channels[1].close()

    def follow():
        with distributed.following(worker):
            if stage == "plan":
                distributed.receive_plan(worker, wish)
            while stage == "chunk":
                distributed.obey(worker, wish)
                if wish.number == signal.SIGTERM:
                    raise StoppedError("stopped by SIGTERM", 143)
                time.sleep(0.01)
            time.sleep(0.1)
            distributed.tell_done(worker)

    (error,) = at_once(follow)
    assert type(error) is StoppedError and error.code == 1 and "process 0 has been lost" in str(error), error


def test_a_signal_to_a_process_is_not_taken_for_the_loss_of_process_0():
    _, worker = two_peers()
    with pytest.raises(StoppedError, match="by hand"), distributed.following(worker):
        raise StoppedError("by hand", 130)
    with pytest.raises(RefusedError), distributed.following(worker):
        raise RefusedError("x")


def test_process_0_waits_for_the_others_and_knows_who_has_not_finished():
    one, two = two_peers(), two_peers()
    leader = Peers(0, 3, {1: one[0].channels[1], 2: two[0].channels[1]})
    workers = [Peers(i, 3, other.channels) for i, other in ((1, one[1]), (2, two[1]))]

    def finish():
        time.sleep(0.3)
        with distributed.together(workers[0]):
            distributed.tell_done(workers[0])

    def give_up():
        with distributed.together(workers[1]):
            raise OSError("disk")

    missing, *_ = at_once(lambda: distributed.wait(leader, stopper()), finish, give_up)
    assert missing == [2]
    assert distributed.wait(Peers(), stopper()) == []


def test_process_0_can_be_stopped_while_it_waits():
    leader, _ = two_peers()

    def check():
        raise StoppedError("stopped", 130)

    with pytest.raises(StoppedError):
        distributed.wait(leader, SimpleNamespace(check=check, number=2))


@pytest.mark.parametrize(
    "plan", [3, [3], [["a", "b"]], [["a", "b", "../c"]], [["a", "b", ""]], [["a", 3, "c"]], {"a": 1}]
)
def test_a_plan_that_is_none_is_refused(plan, monkeypatch):
    leader, worker = two_peers()
    monkeypatch.setattr(leading.agreement, "answer", lambda *_: None)
    leader.channels[1].send({"plan": plan})
    run = SimpleNamespace(peers=worker, stopper=stopper(), folder="nowhere")
    with pytest.raises(RefusedError, match="process 0"):
        leading.follow(run, {})


def test_nothing_is_told_to_a_process_that_has_ended():
    leader, worker = two_peers()
    leader.channels[1].close()
    time.sleep(0.1)
    with pytest.raises(LostError):
        distributed.tell_done(worker)
