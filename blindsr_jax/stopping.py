"""SIGINT and SIGTERM as a wish to stop at the next good place."""

import signal


class StoppedError(Exception):
    """The run ends here, with what is done saved: its message is one sentence, its `code` the exit code."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class Stopper:
    """Notes the first SIGINT or SIGTERM; a second SIGINT stops at once (KeyboardInterrupt).

    To be made in the main thread; the handlers stay for the rest of the process.
    """

    def __init__(self):
        self.number = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number, frame) -> None:
        del frame
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number

    def check(self) -> None:
        """Raises StoppedError if a signal has come."""
        if self.number is not None:
            name = signal.Signals(self.number).name
            message = f"stopped by {name} with the state saved, the same command goes on from there"
            raise StoppedError(message, 128 + self.number)
