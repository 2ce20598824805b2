"""From files to files: reads images, solves them in groups, and hands the results to the thread that writes them."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

import jax
import numpy as np
from tqdm import tqdm

from blindsr_jax import io
from blindsr_jax.imaging.problem import Result
from blindsr_jax.inference import jpeg_quality
from blindsr_jax.inference.kernel_flip import flip_test
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import min_lr_side
from blindsr_jax.runs import cli, distributed, group_checkpoint, resume, seeds, workdir
from blindsr_jax.runs.background import BackgroundThread
from blindsr_jax.runs.cli import say
from blindsr_jax.runs.group_checkpoint import GroupCheckpointer
from blindsr_jax.runs.group_size import GroupSizes
from blindsr_jax.runs.records import Record, new_record
from blindsr_jax.runs.signals import StoppedError
from blindsr_jax.runs.task import ImageTask, Run
from blindsr_jax.solvers.batch import solve_group
from blindsr_jax.solvers.groups import GroupQueue
from blindsr_jax.solvers.loop import Attempt
from blindsr_jax.solvers.measured import make_problem
from blindsr_jax.solvers.memory import is_out_of_memory
from blindsr_jax.solvers.pace import Pace

FLIPPED = (
    "the known kernel explains this image better when it is turned by 180 degrees: it seems to be meant as a true "
    "convolution, a cross-correlation kernel was expected (--flip_kernel turns it; if it is given, leave it out)"
)
MOST_WAITING = 512  # images that are read and wait for others of their shape
LARGE = 2**27  # bytes of an image that is written before the next one is begun: writing takes as much memory again


def check_size(source: io.Image, run: Run, path: os.PathLike) -> None:
    """Refuses an image that is too small for its kernel or for the network.

    Raises:
      InputError: it is.
    """
    h, w, _ = source.pixels.shape
    spec = run.spec
    least = min_lr_side(spec, run.solver)
    if min(h, w) < least:
        raise io.InputError(
            f"cannot solve {str(path)!r}: {w} x {h} pixels are too few for a kernel of {spec.kernel_size} at scale "
            f"{spec.scale} and for the network, sides of at least {least} were expected"
        )


def _quietly(prepare: Callable[[], None]) -> None:
    """Prepares; what goes wrong comes out again where an image needs it."""
    with contextlib.suppress(Exception):
        prepare()


class Pipeline:
    """Takes images one by one; `num_failed` of them have failed so far."""

    def __init__(self, run: Run, num_jobs: int, on_record: Callable[[Record], None]):
        """Makes an empty one.

        Args:
          run: what the images share.
          num_jobs: images that will be added.
          on_record: called with each new record, in the background thread.
        """
        self.num_failed = 0
        self._run, self._on_record, self._background = run, on_record, BackgroundThread()
        self._sizes = GroupSizes(run)
        self._queue: GroupQueue[ImageTask] = GroupQueue(
            run.solver,
            size=lambda attempt: self._sizes.size(attempt, self._num_left),
            solve=self._solve,
            finish=self._hand_over,
            fail=self._fail,
            divides=self._goes_on,
            most_waiting=MOST_WAITING,
        )
        self._paces: dict[tuple, Pace] = {}  # of each program
        self._num_left = num_jobs
        self._is_prepared = run.solver.prepare is None

    def add(self, job: resume.Job, label: str) -> None:
        """Reads an image, and solves those of its kind once there are enough of them.

        Raises:
          StoppedError: a signal has come, or the folder cannot be written any more.
        """
        run, label = self._run, self._run.peers.label + label
        distributed.obey(run.peers, run.stopper)
        run.stopper.waiting = f"{job.name} to be read"
        run.stopper.check()
        self._background.check()
        path = os.path.abspath(job.path)
        record = new_record(job.name, spec=run.spec, config=run.name, seed=run.seed, input=path)
        if job.name != job.path.stem:
            reason = "is taken, too long or not plain text"
            record = record.noted(f"the stem of {job.path.name!r} {reason}, its results are named {job.name!r}")
        try:
            source = io.fill_hidden(io.read_image(job.path, white_level=run.white_level))
            record = dataclasses.replace(record, sha256=source.sha256).noted(*source.notes, *run.kernel_notes)
            task = self._prepare(job, label, record, source)
        except StoppedError:
            raise
        except Exception as error:
            self._num_left -= 1
            self._background.submit(self._write_failure, record, label, cli.failure(job.path, error))
            return
        run.stopper.check()
        if not self._is_prepared:
            self._is_prepared = True
            self._background.submit(_quietly, run.solver.prepare)
        self._queue.put(task)

    def close(self, *, is_complete: bool) -> None:
        """Solves the images that still wait, if the run goes on, and waits until all is written.

        Raises:
          StoppedError: as `add`.
        """
        try:
            if is_complete:
                self._queue.drain()
        finally:
            self._run.stopper.waiting = "the finished results to be written"
            self._background.close()

    def _goes_on(self, error: Exception) -> bool:
        """Whether the run goes on after an error of a group: whatever ails one image, the others are solved."""
        return not isinstance(error, StoppedError) and error is not self._background.error

    def _prepare(self, job: resume.Job, label: str, record: Record, source: io.Image) -> ImageTask:
        """The task of an image, at its start or where an earlier run stood."""
        run = self._run
        check_size(source, run, job.path)
        problem = make_problem(source.pixels, run.spec, run.solver, jpeg_steps=source.jpeg_steps)
        if run.kernel is not None and flip_test(problem, run.kernel).verdict == "flipped":
            record = record.noted(FLIPPED)
            say(f"{job.name}: {FLIPPED}", sys.stderr)
        std, steps = problem.noise_std, source.jpeg_steps
        record = dataclasses.replace(
            record,
            noise_std=None if std is None else float(f"{float(std):.4g}"),
            jpeg_quality=None if steps is None else jpeg_quality.from_table(steps),
        )
        attempt = Attempt(seeds.image_key(run.seed, job.name), problem, run.kernel)
        task = ImageTask(job.path, label, record, source, attempt)
        self._sizes.check(task)
        return group_checkpoint.restore(run.folder, task, run.solver)

    def _solve(self, group: Sequence[ImageTask]) -> list[tuple[ImageTask, Result]]:
        """Runs one attempt of each image of a group; the tasks come back with the time that it took."""
        checkpointer = GroupCheckpointer(
            self._run.folder,
            group,
            every=self._run.checkpoint_seconds,
            stopper=self._run.stopper,
            compiled=self._run.clock.seconds,
        )
        results = self._run_group(group, checkpointer)
        seconds, compiled = [checkpointer.seconds(i) for i in range(len(group))], checkpointer.compile_seconds()
        self._background.wait()  # for the group before: results must not pile up
        done = []
        for i, (task, result) in enumerate(zip(group, results, strict=True)):
            record = dataclasses.replace(task.record, compile_seconds=(task.record.compile_seconds or 0.0) + compiled)
            done.append((task._replace(record=record, seconds=seconds[i]), result))
        return done

    def _run_group(self, group: Sequence[ImageTask], checkpointer: GroupCheckpointer) -> list[Result]:
        run, more = self._run, f" and {len(group) - 1} more" if len(group) > 1 else ""
        label, name = group[0].label + more, group[0].name + more
        shape, *kind, _ = group[0].attempt.place
        width = self._sizes.width(shape, len(group), self._queue.sizes[shape])
        pace = self._paces.setdefault((shape, *kind, width), Pace())
        program = f"the program for {name} to be compiled"
        run.stopper.waiting = program if pace.is_new else f"the start of {name}"
        steps = run.steps(shape)
        with tqdm(total=steps["num_steps"], desc=label, unit="step", disable=None, leave=False) as bar:

            def on_chunk(done, trace):
                self._background.check()
                distributed.obey(run.peers, run.stopper)
                bar.update(done - bar.n)
                bar.set_postfix(loss=f"{np.mean(trace['loss'][-1]):.3g}")

            def before_call(steps, seconds):
                if pace.is_new:
                    run.stopper.waiting = f"{program} and a step of it"
                    run.stopper.check()  # nothing has been done yet
                else:
                    known = "" if seconds is None else f", about {max(1, round(seconds))} s"
                    run.stopper.waiting = f"{steps} step{'s' * (steps > 1)} of {name}{known}"

            options = {"width": width, "on_chunk": on_chunk, "save": checkpointer.save}
            options |= {"pace": pace, "before_call": before_call}
            return solve_group([task.attempt for task in group], run.solver, **steps, **options)

    def _fail(self, task: ImageTask, error: Exception) -> None:
        self._num_left -= 1
        if is_out_of_memory(error):
            error = self._sizes.too_large(task)
        self._background.submit(self._write_failure, task.record, task.label, cli.failure(task.path, error))

    def _hand_over(self, task: ImageTask, result: Result) -> None:
        self._num_left -= 1
        loss = result.trace["loss"]
        seconds, compiled = round(task.seconds, 3), round(task.record.compile_seconds or 0.0, 3)
        known = {"steps": len(loss), "loss": float(loss[-1]), "seconds": seconds, "compile_seconds": compiled}
        task = task._replace(record=dataclasses.replace(task.record, **known))
        image, kernel = jax.device_get((result.image, result.kernel))
        self._background.submit(self._write_result, task, result._replace(image=image, kernel=kernel))
        if image.nbytes > LARGE:
            self._background.wait()

    def _write_result(self, task: ImageTask, result: Result) -> None:
        """In the background: all files of an image, and its line."""
        folder, record = self._run.folder, task.record
        try:
            with workdir.writing(folder):
                resume.write_input(folder, task.name, task.path, record.sha256)
                told = {"second_try": task.attempt.number > 0, "rates": build.rate_options(self._run.config)}
                told["has_figure"] = self._run.figures
                record = record.noted(result.message)
                record = workdir.write_result(folder, record, task.source, result, **told)
        except StoppedError:
            raise
        except Exception as error:
            self._write_failure(record, task.label, cli.failure(task.path, error))
            return
        group_checkpoint.drop(folder, task.name)
        self._tell(record, task.label)

    def _write_failure(self, record: Record, label: str, message: str) -> None:
        """In the background: the record of an image without a result, and its line."""
        self._tell(workdir.write_failure(self._run.folder, record, message), label)

    def _tell(self, record: Record, label: str) -> None:
        self._on_record(record)
        if record.status.has_image:
            compiled = record.compile_seconds or 0.0
            waited = f", after {compiled:.0f} s of compiling" if compiled >= 1 else ""
            say(f"{label}: {record.status} in {record.seconds:.1f} s{waited}")
        else:
            self.num_failed += 1
            say(f"{label}: {record.status}, {record.message}", sys.stderr)
