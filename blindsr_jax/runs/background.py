"""Writes results in a thread of its own, while the next group computes."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Writer:
    """Runs tasks in order in one thread, since matplotlib knows no other way; an error comes out at the next call."""

    def __init__(self):
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._tasks: deque[Future] = deque()

    def submit(self, function: Callable, *args) -> None:
        """Adds a task."""
        self._tasks.append(self._pool.submit(function, *args))

    def check(self) -> None:
        """Raises the error of a task that has ended with one."""
        while self._tasks and self._tasks[0].done():
            self._tasks.popleft().result()

    def wait(self) -> None:
        """Waits until all tasks have ended; raises the first error."""
        while self._tasks:
            self._tasks.popleft().result()

    def close(self) -> None:
        """Waits until all tasks have ended, whatever becomes of them; then raises the first error."""
        self._pool.shutdown()
        self.wait()
