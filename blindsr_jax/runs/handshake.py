"""How the processes of a run find each other: the others connect to process 0 and say who they are.

A handshake of our own rather than that of JAX's runtime, which aborts the process where it fails (SIGABRT). Over TCP
rather than by files in the common working folder: a connection ends with its process, so nobody has to guess from the
age of a file on a network disk whether somebody lives, a process with another working folder can be told so, and
nothing is left behind. Whoever connects and is not a process of this program is left aside.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any

from blindsr_jax.runs.channels import Channel, clean, dismiss

PROTOCOL = 1
ANSWER_SECONDS = 10  # for whoever is at the other end to say who it is
_FAREWELL_SECONDS = 5
_MOST_STRANGERS = 64  # connections at once that have not said who they are


class JoinError(Exception):
    """The processes do not come together; the message is one sentence."""


def split_address(address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; an IPv6 address may stand in brackets.

    Raises:
      JoinError: it is something else.
    """
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 2**16:
        raise JoinError(f"--coordinator_address={address} is not valid, expected HOST:PORT with a port from 1 to 65535")
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    """A server at the port of an address, on all addresses of this machine, of IPv6 too where it has those."""
    _, port = split_address(address)
    families = [{"family": socket.AF_INET6, "dualstack_ipv6": True}] if socket.has_dualstack_ipv6() else []
    for options in (*families, {}):
        try:
            server = socket.create_server(("", port), **options)
            break
        except OSError as error:
            reason = error
    else:
        raise JoinError(
            f"--coordinator_address={address} cannot be listened at ({reason.strerror or reason}): another program or "
            "another process 0 may hold the port, expected HOST:PORT of a free port of the machine of process 0"
        ) from reason
    with server:
        server.setblocking(False)
        yield server


def gather(address: str, count: int, seconds: float) -> dict[int, Channel]:
    """In process 0: waits until the others have come.

    Args:
      address: HOST:PORT; the port is listened at.
      count: processes of the run.
      seconds: to wait at most.

    Returns:
      A channel for each other process, by its index.

    Raises:
      JoinError: not all come, or one comes that does not fit; those that have come are told the same.
    """
    end = time.monotonic() + seconds
    joined: dict[int, Channel] = {}
    strangers: dict[Channel, float] = {}  # and until when they may be silent
    with _listening(address) as server:
        try:
            while len(joined) < count - 1:
                if time.monotonic() > end:
                    raise JoinError(_missing(joined, count, seconds))
                wait([server, *strangers, *joined.values()], 0.2)
                _accept(server, strangers)
                for channel in list(strangers):
                    if not _greet(channel, joined, count, end) and time.monotonic() < strangers[channel]:
                        continue
                    del strangers[channel]
                    if channel not in joined.values():
                        channel.close()
                for index, channel in list(joined.items()):
                    if channel.poll() is not None or channel.is_lost:  # it may come again
                        channel.close()
                        del joined[index]
        except JoinError as error:
            dismiss([*joined.values(), *strangers], str(error), _FAREWELL_SECONDS)
            raise
    for channel in strangers:
        channel.close()
    for channel in joined.values():
        channel.send({"welcome": count})
    return joined


def _accept(server: socket.socket, strangers: dict[Channel, float]) -> None:
    """Takes those who have connected."""
    with contextlib.suppress(OSError):  # nobody is left, or one has gone again
        while len(strangers) < _MOST_STRANGERS:
            strangers[Channel(server.accept()[0])] = time.monotonic() + ANSWER_SECONDS


def _greet(channel: Channel, joined: dict[int, Channel], count: int, end: float) -> bool:
    """Looks at who has connected, and puts those of the run into `joined`; returns whether it has said anything."""
    hello = channel.poll()
    if hello is None:
        return channel.is_lost
    index = hello.get("index")
    if "blindsr_jax" not in hello or type(index) is not int:
        return True
    if hello["blindsr_jax"] != PROTOCOL:
        raise JoinError("the processes run different versions of this program, expected the same version in each")
    if hello.get("count") != count:
        told = clean(hello.get("count"))
        raise JoinError(f"--num_processes is {count} in process 0 and {told} in process {index}, expected one number")
    if not 0 < index < count or (index in joined and not joined[index].is_lost):
        raise JoinError(f"--process_id={index} was given to two processes, expected one of each from 0 to {count - 1}")
    joined[index] = channel
    channel.send({"noted": end - time.monotonic()})
    return True


def _missing(joined: dict[int, Channel], count: int, seconds: float) -> str:
    missing = [str(index) for index in range(1, count) if index not in joined]
    names = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
    return f"--join_seconds={seconds:g} have passed and of {count} processes these have not come: {names}"


def reach(address: str, count: int, index: int, seconds: float) -> Channel:
    """In the other processes: connects to process 0, and waits until all have come.

    Args:
      address: HOST:PORT of process 0.
      count: processes of the run.
      index: of this process.
      seconds: to try at most.

    Raises:
      JoinError: nobody answers, or somebody else, or not all come, or process 0 says that this one does not fit.
    """
    host, port = split_address(address)
    end = time.monotonic() + seconds
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=max(0.1, min(5.0, end - time.monotonic())))
        except (socket.gaierror, UnicodeError) as error:
            raise JoinError(
                f"--coordinator_address={address} has a host that is not known ({error}), expected HOST:PORT of "
                "process 0"
            ) from error
        except OSError as error:
            reason = f"does not answer ({error.strerror or error})"
        else:
            with contextlib.ExitStack() as stack:
                channel = Channel(connection)
                stack.callback(channel.close)
                reason = "does not answer"
                if connection.getsockname() != connection.getpeername():  # a free port may connect to itself
                    channel.send({"blindsr_jax": PROTOCOL, "index": index, "count": count})
                    reason = _welcomed(channel, end, seconds)
                if reason is None:
                    stack.pop_all()
                    return channel
        if time.monotonic() > end:
            raise JoinError(
                f"--join_seconds={seconds:g} have passed and --coordinator_address={address} {reason}, expected "
                "process 0 there and all processes started within that time"
            )
        time.sleep(0.2)


def _welcomed(channel: Channel, end: float, seconds: float) -> str | None:
    """Waits for the word of process 0; returns None once all have come, else what stands against it."""
    reason, limit = "answers as something other than process 0", min(end, time.monotonic() + ANSWER_SECONDS)
    while time.monotonic() < limit:
        message = channel.poll()
        if message is None:
            if channel.is_lost:
                return reason
            wait([channel], 0.2)
        elif "end" in message:
            raise JoinError(clean(message["end"]))
        elif "welcome" in message:
            return None
        elif "noted" in message:
            # Process 0 decides how long it waits, and names who is missing; so a little longer than it.
            reason, limit = "still waits for other processes", time.monotonic() + _seconds(message["noted"], seconds)
        else:
            return reason
    return reason


def _seconds(left: Any, most: float) -> float:
    return (min(max(left, 0), most) if isinstance(left, int | float) else most) + _FAREWELL_SECONDS
