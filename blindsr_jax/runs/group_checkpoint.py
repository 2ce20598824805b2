"""Times the solve of a group of images and keeps their states on disk, so that it can go on after an interruption."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.runs import checkpoints, ownership, resume, workdir
from blindsr_jax.runs.signals import Stopper
from blindsr_jax.solvers.batch import Trial, unstack
from blindsr_jax.solvers.loop import Progress, shapes


class Kept(NamedTuple):
    """An image whose state is kept."""

    job: resume.Job
    sha256: str | None  # of its input
    seconds: float = 0.0  # spent so far, without compiling


def restore(folder: str, kept: Kept, trial: Trial, solver: Solver) -> tuple[Kept, Trial]:
    """Image and trial where an earlier run stood, or unchanged if there is nothing that can be used."""
    place = resume.state_folder(folder, kept.job.name)
    if not checkpoints.exists(place) or resume.noted_sha256(place) != kept.sha256:
        return kept, trial
    found = checkpoints.restore(place, *shapes(trial.key, trial.problem, trial.kernel, solver))
    if found is None:
        return kept, trial
    progress, seconds = found
    return kept._replace(seconds=seconds), trial._replace(attempt=progress.attempt, progress=progress)


def drop(folder: str, name: str) -> None:
    """Deletes the state of an image whose record is written."""
    ownership.remove_state(resume.state_folder(folder, name))


class Keeper:
    """The states and the clock of a group."""

    def __init__(
        self,
        folder: str,
        images: Sequence[Kept],
        *,
        every: float,
        stopper: Stopper,
        compiled: Callable[[], float],
    ):
        """Starts the clock.

        Args:
          folder: working folder.
          images: those of the group.
          every: seconds between two states; longer where writing them would take more than a twentieth of the time, and
            0 for a state after each call of the program.
          stopper: a signal is answered when the program has returned and its state has been saved.
          compiled: seconds spent on compiling so far, see `cli.CompileClock`.
        """
        self._folder, self._images = folder, images
        self._every, self._stopper, self._compiled = every, stopper, compiled
        self._begin, self._compiled_before = time.perf_counter(), compiled()
        self._is_noted, self._due = False, time.perf_counter() + every

    def compile_seconds(self) -> float:
        """Seconds of compiling of this process, an image of the group."""
        return (self._compiled() - self._compiled_before) / len(self._images)

    def seconds(self, i: int) -> float:
        """Seconds of image i without compiling: those before, and its share of the group's."""
        share = (time.perf_counter() - self._begin) / len(self._images)
        return self._images[i].seconds + share - self.compile_seconds()

    def save(self, progress: Progress) -> None:
        """Saves the progress of the group if it is time to.

        Raises:
          StoppedError: a signal has come, or the folder cannot be written.
        """
        begin = time.perf_counter()
        if begin >= self._due or self._stopper.number is not None:
            with workdir.writing(self._folder):
                self._write(progress)
            end = time.perf_counter()
            self._due = end + (max(self._every, 20 * (end - begin)) if self._every else 0)
        self._stopper.check()

    def _write(self, progress: Progress) -> None:
        for i, one in enumerate(unstack(progress, len(self._images))):
            job, digest, _ = self._images[i]
            if not self._is_noted:
                resume.write_input(self._folder, job.name, job.path, digest)
            checkpoints.save(resume.state_folder(self._folder, job.name), one, seconds=self.seconds(i))
        self._is_noted = True
