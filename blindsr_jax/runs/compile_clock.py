"""A clock of compiling, so that run times can be given without it."""

import time

import jax


class CompileClock:
    """Seconds that this process has spent on tracing and compiling, so that run times can be given without them."""

    def __init__(self):
        self._spans = []
        jax.monitoring.register_event_duration_secs_listener(self._record)

    def _record(self, event: str, seconds: float, **_) -> None:
        if event.startswith("/jax/core/compile/"):
            now = time.perf_counter()
            self._spans.append((now - seconds, now))

    def seconds(self) -> float:
        """Total so far; nested spans count once."""
        total, end = 0.0, float("-inf")
        for first, last in sorted(self._spans):
            total += max(0.0, last - max(first, end))
            end = max(end, last)
        return total
