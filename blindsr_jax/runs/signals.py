"""SIGINT and SIGTERM as a wish to stop at the next good place."""

import contextlib
import os
import signal
import sys
import threading

_SAID_SECONDS = 1.0  # the longest that a stop waits for the line that announced it


class StoppedError(Exception):
    """The run ends here, with what is done saved: its message is one sentence, its `code` the exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class Stopper:
    """Notes the first SIGINT or SIGTERM, and says on stderr what it waits for; a second SIGINT ends the process.

    It does so at once, as a kill would. To be made in the main thread, once; it stays for the rest of the process.
    Python's own handlers wait while compiled code runs, which can take minutes; so a thread listens for signals, too.

    Attributes:
      number: of the signal that is to be obeyed, or None.
      waiting: what a signal has to wait for, e.g. 'a.png to be read'; whoever works keeps it up to date.
    """

    def __init__(self):
        self.number: int | None = None
        self.waiting = "the current step"
        self._has_come, self._is_said = False, threading.Event()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(reader,), daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number, frame) -> None:
        del frame
        self._has_come = True
        self.number = self.number or number

    def check(self) -> None:
        """Raises StoppedError if a signal has come."""
        if self.number is not None:
            if self._has_come:
                self._is_said.wait(_SAID_SECONDS)
            name = signal.Signals(self.number).name
            message = f"stopped by {name} with the state saved, the same command goes on from there"
            raise StoppedError(message, 128 + self.number)

    def _listen(self, reader: int) -> None:
        """Takes the signals as bytes: answers the first one, and counts the SIGINTs."""
        interrupts = 0
        while number := os.read(reader, 1):
            interrupts += number[0] == signal.SIGINT
            if interrupts > 1:
                os._exit(128 + signal.SIGINT)
            if number[0] in (signal.SIGINT, signal.SIGTERM) and not self._is_said.is_set():
                self._say(number[0])
                self._is_said.set()

    def _say(self, number: int) -> None:
        begin = "\n" if sys.stderr.isatty() else ""  # below a progress bar
        begin += f"{os.path.basename(sys.argv[0])}: {signal.Signals(number).name} has come"
        text = f"{begin}, waiting for {self.waiting}; a second Ctrl-C ends at once\n"
        # Nobody may read it any more. Past Python's buffer: what is left there when a write fails is tried again at the
        # end of the process, whose exit code it then changes.
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding, "backslashreplace"))
