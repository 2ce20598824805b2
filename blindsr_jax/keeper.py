"""Times the solve of one image and keeps its state on disk, so that it can go on after an interruption."""

import shutil
import time
from collections.abc import Callable

import jax

from blindsr_jax import checkpoints, resume, workdir
from blindsr_jax.problem import Problem
from blindsr_jax.solve import Progress, Solver
from blindsr_jax.stopping import Stopper


class Keeper:
    """The state and the clock of one image."""

    def __init__(
        self,
        folder: str,
        job: resume.Job,
        digest: str | None,
        *,
        every: float,
        stopper: Stopper,
        compiled: Callable[[], float],
    ):
        """Starts the clock.

        Args:
          folder: working folder.
          job: the image.
          digest: SHA-256 of its input.
          every: seconds between two states; longer where writing them would take more than a twentieth of the time, and
            0 for a state after each chunk.
          stopper: a signal is answered after the next chunk, when its state has been saved.
          compiled: seconds spent on compiling so far, see `cli.CompileClock`.
        """
        self._folder, self._job, self._digest = folder, job, digest
        self._place = resume.state_folder(folder, job.name)
        self._every, self._stopper, self._compiled = every, stopper, compiled
        self._begin, self._compiled_before, self._seconds_before = time.perf_counter(), compiled(), 0.0
        self._is_noted, self._due = False, time.perf_counter() + every

    def compile_seconds(self) -> float:
        """Seconds of compiling, of this process."""
        return self._compiled() - self._compiled_before

    def seconds(self) -> float:
        """Seconds of the solve without compiling, those before an interruption included."""
        return self._seconds_before + time.perf_counter() - self._begin - self.compile_seconds()

    def restore(self, key: jax.Array, problem: Problem, solver: Solver, kernel: jax.Array | None) -> Progress | None:
        """Where an earlier run stood; None if there is nothing that can be used."""
        if not checkpoints.exists(self._place) or resume.noted_sha256(self._place) != self._digest:
            return None
        state = jax.eval_shape(solver.init, key, problem, kernel)
        trace = jax.eval_shape(solver.step, key, state, problem, jax.numpy.int32(0))[1]
        found = checkpoints.restore(self._place, state, trace)
        if found is None:
            return None
        progress, self._seconds_before = found
        return progress

    def save(self, progress: Progress) -> None:
        """Saves a progress if it is time to.

        Raises:
          StoppedError: a signal has come, or the folder cannot be written.
        """
        begin = time.perf_counter()
        if begin >= self._due or self._stopper.number is not None:
            with workdir.writing(self._folder):
                if not self._is_noted:
                    resume.write_input(self._folder, self._job.name, self._job.path, self._digest)
                    self._is_noted = True
                checkpoints.save(self._place, progress, seconds=self.seconds())
            end = time.perf_counter()
            self._due = end + (max(self._every, 20 * (end - begin)) if self._every else 0)
        self._stopper.check()

    def drop(self) -> None:
        """Deletes the state: the record is written."""
        shutil.rmtree(self._place, ignore_errors=True)
