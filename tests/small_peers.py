"""Processes of a run as threads of a test."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from blindsr_jax.runs.channels import Channel
from blindsr_jax.runs.distributed import Peers


@pytest.fixture(autouse=True)
def all_closed(monkeypatch):
    """Closes what a test has opened."""
    opened, init = [], Channel.__init__

    def noted(self, connection):
        opened.append(self)
        init(self, connection)

    monkeypatch.setattr(Channel, "__init__", noted)
    yield
    for channel in opened:
        channel.close()


def free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def ends() -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return one, server.accept()[0]


def two_peers() -> tuple[Peers, Peers]:
    one, other = map(Channel, ends())
    return Peers(0, 2, {1: one}), Peers(1, 2, {0: other})


def at_once(*calls) -> list:
    """What each call returns, or the exception that it raises."""

    def outcome(call):
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))
