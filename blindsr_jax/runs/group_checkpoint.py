"""Times the solve of a group of images and keeps their states on disk, so that it can go on after an interruption."""

import time
from collections.abc import Callable, Sequence

from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.runs import checkpoints, ownership, resume, workdir
from blindsr_jax.runs.signals import Stopper
from blindsr_jax.runs.task import ImageTask
from blindsr_jax.solvers.batch import unstack
from blindsr_jax.solvers.loop import Progress, shapes


def restore(folder: str, task: ImageTask, solver: Solver) -> ImageTask:
    """The task where an earlier run stood, or as it is if there is nothing that can be used."""
    place, attempt = resume.state_folder(folder, task.name), task.attempt
    if not checkpoints.exists(place) or resume.noted_sha256(place) != task.record.sha256:
        return task
    found = checkpoints.restore(place, *shapes(attempt.key, attempt.problem, attempt.kernel, solver))
    if found is None:
        return task
    progress, seconds = found
    return task._replace(seconds=seconds, attempt=attempt._replace(number=progress.attempt, progress=progress))


def drop(folder: str, name: str) -> None:
    """Deletes the state of an image whose record is written."""
    ownership.remove_state(resume.state_folder(folder, name))


class GroupCheckpointer:
    """The states and the clock of a group."""

    def __init__(
        self,
        folder: str,
        tasks: Sequence[ImageTask],
        *,
        every: float,
        stopper: Stopper,
        compiled: Callable[[], float],
    ):
        """Starts the clock.

        Args:
          folder: working folder.
          tasks: those of the group.
          every: seconds between two states; longer where writing them would take more than a twentieth of the time, and
            0 for a state after each call of the program.
          stopper: a signal is answered when the program has returned and its state has been saved.
          compiled: seconds spent on compiling so far, see `CompileClock`.
        """
        self._folder, self._tasks = folder, tasks
        self._every, self._stopper, self._compiled = every, stopper, compiled
        self._begin, self._compiled_before = time.perf_counter(), compiled()
        self._is_noted, self._due = False, time.perf_counter() + every

    def compile_seconds(self) -> float:
        """Seconds of compiling of this process, per image of the group."""
        return (self._compiled() - self._compiled_before) / len(self._tasks)

    def seconds(self, i: int) -> float:
        """Seconds of image i without compiling: those before, and its share of the group's."""
        share = (time.perf_counter() - self._begin) / len(self._tasks)
        return self._tasks[i].seconds + share - self.compile_seconds()

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
        for i, one in enumerate(unstack(progress, len(self._tasks))):
            task = self._tasks[i]
            if not self._is_noted:
                resume.write_input(self._folder, task.name, task.path, task.record.sha256)
            checkpoints.save(resume.state_folder(self._folder, task.name), one, seconds=self.seconds(i))
        self._is_noted = True
