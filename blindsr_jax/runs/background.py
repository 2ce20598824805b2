"""A thread for what need not be waited for: results are written while the next group computes."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BackgroundThread:
    """Runs tasks in order in one thread, since matplotlib knows no other way; an error comes out at the next call.

    Attributes:
      error: the last one that has come out, or None.
    """

    def __init__(self):
        """Starts it with the first task."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._tasks: deque[Future] = deque()
        self.error: BaseException | None = None

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        """Adds a task."""
        self._tasks.append(self._pool.submit(function, *args))

    def check(self) -> None:
        """Raises the error of a task that has ended with one."""
        while self._tasks and self._tasks[0].done():
            self._end_first()

    def wait(self) -> None:
        """Waits until all tasks have ended; raises the first error."""
        while self._tasks:
            self._end_first()

    def close(self) -> None:
        """Waits until all tasks have ended, whatever becomes of them; then raises the first error."""
        self._pool.shutdown()
        self.wait()

    def _end_first(self) -> None:
        try:
            self._tasks.popleft().result()
        except BaseException as error:
            self.error = error
            raise
