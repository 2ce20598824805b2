"""SIGINT and SIGTERM as a wish to stop at the next good place."""

import os
import signal
import sys
import threading


class StoppedError(Exception):
    """The run ends here, with what is done saved: its message is one sentence, its `code` the exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class Stopper:
    """Notes the first SIGINT or SIGTERM; a second SIGINT ends the process at once, as a kill would.

    To be made in the main thread, once; it stays for the rest of the process. Python's own handlers wait while compiled
    code runs, which can take a minute; so a thread listens for the second SIGINT.
    """

    def __init__(self):
        self.number = None
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=_listen, args=(reader,), daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number, frame) -> None:
        del frame
        self.number = self.number or number

    def check(self) -> None:
        """Raises StoppedError if a signal has come."""
        if self.number is not None:
            name = signal.Signals(self.number).name
            message = f"stopped by {name} with the state saved, the same command goes on from there"
            raise StoppedError(message, 128 + self.number)


def _listen(reader: int) -> None:
    """Counts the SIGINTs that come as bytes."""
    count = 0
    while number := os.read(reader, 1):
        count += number[0] == signal.SIGINT
        if count == 1 and sys.stderr.isatty():
            print("\nstopping after this chunk; once more stops at once", file=sys.stderr, flush=True)
        if count > 1:
            os._exit(128 + signal.SIGINT)
