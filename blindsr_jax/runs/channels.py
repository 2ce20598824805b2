"""Messages between two processes: JSON objects, one a line, over TCP.

What arrives is not trusted: a message has a limited size, is never code, and whoever sends anything else is cut off.
Nothing here waits without a limit. A process that ends, however it does, ends its connections, so the other side
notices at once; a machine or a network that goes away is noticed by the probes of the system.
"""

import json
import socket
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import wait
from typing import Any

SHORT, LONG = 2**16, 2**28  # bytes of a message from somebody unknown, and from one of the run: a plan names all inputs
SILENCE_SECONDS = 60  # a machine that has not answered the probes for so long is gone
SEND_SECONDS = 60  # for the other side to take a message
_LONGEST = 1000  # characters of a sentence that another process sent


class LostError(Exception):
    """The other process has ended or cannot be reached; the message is one sentence."""


def clean(value: Any) -> str:
    """A sentence from another process as one line that is safe to print."""
    text = " ".join(str(value).split())[:_LONGEST]
    return "".join(character if character.isprintable() else "_" for character in text)


class Channel:
    """One end of a connection; `is_lost` once the other end is gone and all that it sent has been read."""

    def __init__(self, connection: socket.socket):
        connection.setblocking(False)
        _probe(connection)
        self.is_lost, self.limit = False, SHORT
        self._socket, self._buffer, self._is_at_end = connection, bytearray(), False
        self._searched = 0  # bytes of the buffer that hold no end of a line

    def fileno(self) -> int:
        """For `multiprocessing.connection.wait`."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Sends an object that JSON can hold; that nobody takes it shows in `is_lost` only."""
        if self.is_lost:
            return
        try:
            self._socket.settimeout(SEND_SECONDS)
            self._socket.sendall(json.dumps(message).encode() + b"\n")
            self._socket.setblocking(False)
        except TimeoutError:
            self.close()
        except OSError:
            pass  # it has gone; what it sent before can still be read

    def poll(self) -> dict[str, Any] | None:
        """The next message, if one has come."""
        if self.is_lost:
            return None
        self._fill()
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if self._is_at_end or len(self._buffer) > self.limit:
                self.close()
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self.close()
            return None
        return message

    def _fill(self) -> None:
        """Reads what is there, up to a little more than a message may have."""
        while len(self._buffer) <= self.limit and not self._is_at_end:
            try:
                data = self._socket.recv(SHORT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self._is_at_end = not data
            self._buffer += data

    def receive(self, check: Callable[[], None], seconds: float) -> dict[str, Any]:
        """The next message.

        Args:
          check: called about five times a second; what it raises passes through.
          seconds: to wait at most.

        Raises:
          LostError: the other end is gone, or has sent nothing for so long.
        """
        end = time.monotonic() + seconds
        while True:
            check()
            if (message := self.poll()) is not None:
                return message
            if self.is_lost:
                raise LostError("it has been lost")
            if time.monotonic() > end:
                raise LostError(f"it has not answered for {seconds:.0f} s")
            wait([self], 0.2)

    def close(self) -> None:
        """Ends the connection."""
        self.is_lost = True
        self._socket.close()


def dismiss(channels: Iterable[Channel], sentence: str, seconds: float) -> None:
    """Tells others to end, and why.

    Args:
      channels: to the others; closed in the end.
      sentence: for their users.
      seconds: to wait until they have ended: whoever closes first could cut off the sentence.
    """
    channels, end = list(channels), time.monotonic() + seconds
    for channel in channels:
        channel.send({"end": sentence})
    while True:
        for channel in channels:
            while channel.poll() is not None:
                pass
        left = [channel for channel in channels if not channel.is_lost]
        if not left or time.monotonic() >= end:
            break
        wait(left, 0.2)
    for channel in left:
        channel.close()


def _probe(connection: socket.socket) -> None:
    """Has the system find out whether the other machine is still there; not every system has all of these options."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": SILENCE_SECONDS // 2,
        "TCP_KEEPINTVL": SILENCE_SECONDS // 6,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 1000 * SILENCE_SECONDS,
    }
    for name, value in options.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
