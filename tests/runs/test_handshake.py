import socket
import threading

import pytest

from blindsr_jax.runs import handshake
from blindsr_jax.runs.handshake import JoinError, gather, reach, split_address
from tests.small_peers import all_closed, at_once, free_port  # noqa: F401


@pytest.fixture
def address():
    return f"localhost:{free_port()}"


def connect(address):
    """A connection to whoever listens there by and by."""
    while True:
        try:
            return socket.create_connection(split_address(address))
        except ConnectionRefusedError:
            threading.Event().wait(0.02)


def assert_refused(outcomes, *words):
    assert [type(outcome) for outcome in outcomes] == [JoinError] * len(outcomes), outcomes
    for outcome in outcomes:
        assert "\n" not in str(outcome) and [word for word in words if word not in str(outcome)] == [], outcome


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", socket.gethostname()])
def test_processes_come_together(host):
    address = f"{host}:{free_port()}"
    leader, *others = at_once(
        lambda: gather(address, 4, 60), *(lambda i=i: reach(address, 4, i, 60) for i in (1, 2, 3))
    )
    assert sorted(leader) == [1, 2, 3], (leader, others)
    for index, channel in leader.items():
        channel.send({"you": index})
    assert [channel.receive(lambda: None, 10)["you"] for channel in others] == [1, 2, 3]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_may_stand_in_brackets():
    address = f"[::1]:{free_port()}"
    leader, other = at_once(lambda: gather(address, 2, 60), lambda: reach(address, 2, 1, 60))
    assert list(leader) == [1] and not isinstance(other, Exception), (leader, other)


@pytest.mark.parametrize("address", ["here", ":1", "here:", "here:x", "here:0", "here:65536", "here:-1", "here:²", ""])
def test_an_address_that_is_none(address):
    for call in (lambda: gather(address, 2, 1), lambda: reach(address, 2, 1, 1)):
        assert_refused(at_once(call), f"--coordinator_address={address} ", "HOST:PORT")


def test_a_host_that_nobody_knows():
    assert_refused(at_once(lambda: reach("nowhere.invalid:1", 2, 1, 60)), "nowhere.invalid:1", "HOST:PORT")
    assert_refused(at_once(lambda: reach(f"{'x' * 70}.invalid:1", 2, 1, 60)), "HOST:PORT")


def test_two_numbers_of_processes(address):
    calls = lambda: gather(address, 2, 60), lambda: reach(address, 3, 1, 60)
    assert_refused(at_once(*calls), "--num_processes", "2 in process 0", "3 in process 1")


def test_one_index_twice(address):
    calls = lambda: gather(address, 3, 60), *[lambda: reach(address, 3, 1, 60)] * 2
    assert_refused(at_once(*calls), "--process_id=1")


def test_an_index_out_of_range(address):
    calls = lambda: gather(address, 3, 60), lambda: reach(address, 3, 0, 60)
    assert_refused(at_once(*calls), "--process_id=0")


def test_two_versions_of_the_handshake(address, monkeypatch):
    def other():
        with connect(address) as connection:
            connection.sendall(b'{"blindsr_jax": 2, "index": 1, "count": 2}\n')
            return connection.recv(1000)

    refused, answer = at_once(lambda: gather(address, 2, 60), other)
    assert_refused([refused], "version")
    assert b"version" in answer


def test_a_process_that_does_not_come_is_named_to_all(address):
    calls = lambda: gather(address, 4, 1), lambda: reach(address, 4, 2, 1)
    assert_refused(at_once(*calls), "--join_seconds=1", "1, 3")


def test_process_0_does_not_come(address):
    assert_refused(at_once(lambda: reach(address, 2, 1, 1)), "--join_seconds=1", address, "refused")


def test_a_port_that_is_taken(address):
    with socket.create_server(("127.0.0.1", split_address(address)[1])):
        assert_refused(at_once(lambda: gather(address, 2, 60)), address, "free port")


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b'{"ready": true}\n', b'{"noted": "x"}\n'])
def test_something_else_answers(address, greeting, monkeypatch):
    """Silent, talkative, speaking JSON, and speaking nearly our words."""
    monkeypatch.setattr(handshake, "_FAREWELL_SECONDS", 0.5)
    kept = []
    with socket.create_server(("", split_address(address)[1])) as server:

        def answer():
            while True:
                try:
                    kept.append(server.accept()[0])
                    kept[-1].sendall(greeting)
                except OSError:
                    return

        thread = threading.Thread(target=answer)
        thread.start()
        outcomes = at_once(lambda: reach(address, 2, 1, 1))
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in kept:
        connection.close()
    assert_refused(outcomes, "--join_seconds=1", address)


def test_strangers_are_left_aside(address, monkeypatch):
    monkeypatch.setattr(handshake, "ANSWER_SECONDS", 0.3)
    visits = b"", b"GET / HTTP/1.0\r\n\r\n", b'{"index": 1}\n', b'{"blindsr_jax": 1, "index": "1"}\n', b"x" * 10**5

    def strangers():
        connections = [connect(address) for _ in visits]
        for connection, data in zip(connections, visits, strict=True):
            connection.sendall(data)
        connections[1].close()
        ends = []
        for connection in connections[2:]:
            try:
                ends.append(connection.recv(1000))
            except ConnectionResetError:
                ends.append(b"")
        return reach(address, 2, 1, 60), ends, connections

    leader, (other, ends, connections) = at_once(lambda: gather(address, 2, 60), strangers)
    assert list(leader) == [1] and ends == [b""] * 3
    leader[1].send({"a": 1})
    assert other.receive(lambda: None, 10) == {"a": 1}
    for connection in connections:
        connection.close()


def test_a_process_that_is_lost_before_all_have_come_may_come_again(address):
    def again():
        with connect(address) as connection:
            connection.sendall(b'{"blindsr_jax": 1, "index": 1, "count": 3}\n')
            assert b"noted" in connection.recv(1000)
        threading.Event().wait(0.5)
        return reach(address, 3, 1, 60)

    leader, one, two = at_once(
        lambda: gather(address, 3, 60), again, lambda: threading.Event().wait(1) or reach(address, 3, 2, 60)
    )
    assert sorted(leader) == [1, 2], (leader, one, two)
