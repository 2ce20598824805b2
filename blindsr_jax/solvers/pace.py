"""The number of steps that a call of a compiled program runs: few enough for a signal to be answered in time."""

SECONDS = 1.0  # that a call is to take; with the state to be saved and all else, a signal is answered within five
GROWTH = 4  # of the number of steps, at most, from a call to the next: steps need not all take the same time


class Pace:
    """What the calls of one program have shown of the time that its steps take.

    One may serve several solves by the same program. The first call, which compiles it, runs one step; and so does the
    first one of each stage, since the steps of another stage are other work.
    """

    def __init__(self, seconds: float | None = None):
        """Knows nothing yet; `seconds` is what a call is to take, default SECONDS."""
        self._wanted = SECONDS if seconds is None else seconds
        self._last: dict[int, tuple[int, float]] = {}  # by stage: steps and seconds of the last call

    @property
    def is_new(self) -> bool:
        """Whether no call has ended yet, so that the program may have to be compiled."""
        return not self._last

    def steps(self, stage: int, most: int) -> int:
        """How many steps the next call is to run, from 1 to `most`."""
        if stage not in self._last:
            return 1
        steps, seconds = self._last[stage]
        return int(min(max(1, self._wanted * steps / max(seconds, 1e-9)), GROWTH * steps, most))

    def seconds(self, stage: int, steps: int) -> float | None:
        """How long so many steps take, as far as is known."""
        if stage not in self._last:
            return None
        last, seconds = self._last[stage]
        return seconds * steps / last

    def note(self, stage: int, steps: int, seconds: float) -> None:
        """Takes in how long a call took."""
        self._last[stage] = steps, seconds
