"""From files to files: reads images, groups them by shape, solves group by group, hands the results to the writer."""

import dataclasses
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TextIO

import jax
import numpy as np
from tqdm import tqdm

from blindsr_jax import io
from blindsr_jax.imaging.problem import Problem, Result, Spec
from blindsr_jax.inference.kernel_flip import flip_test
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import Solver, min_lr_side
from blindsr_jax.runs import cli, distributed, group_checkpoint, resume, workdir
from blindsr_jax.runs.background import Writer
from blindsr_jax.runs.group_checkpoint import Keeper, Kept
from blindsr_jax.runs.records import Record, new_record
from blindsr_jax.runs.signals import StoppedError, Stopper
from blindsr_jax.solvers import memory
from blindsr_jax.solvers.batch import Trial, has_another_try, is_out_of_memory, solve_group
from blindsr_jax.solvers.pace import Pace

FLIPPED = (
    "the known kernel explains this image better when it is turned by 180 degrees: it seems to be meant as a true "
    "convolution, a cross-correlation kernel was expected (--flip_kernel turns it; if it is given, leave it out)"
)
MOST_AT_ONCE = 64  # images of a group, a device
MEMORY_SHARE = 0.8  # of what is free, for a group: the estimate is rough, and a group that fails is paid for
MOST_WAITING = 512  # images that are read and wait for others of their shape


class Run(NamedTuple):
    """What all images of a run share."""

    name: str  # of the config
    config: Any
    spec: Spec
    solver: Solver
    kernel: np.ndarray | None  # (k, k)
    folder: str
    seed: int
    group_size: int | None  # None: as many as memory holds, and one on a CPU
    checkpoint_seconds: float
    memory_check: bool
    white_level: float | None  # the value of white in the files; None: as their types say
    kernel_notes: tuple[str, ...]  # what was done to the known kernel
    stopper: Stopper
    clock: cli.CompileClock
    peers: distributed.Peers = distributed.Peers()

    @property
    def steps(self) -> dict[str, int]:
        """How long a solve and its chunks are."""
        return {"num_steps": self.config.num_steps, "chunk_steps": self.config.chunk_steps}


class Item(NamedTuple):
    """An image that has been read."""

    kept: Kept
    label: str  # what its lines begin with
    record: Record
    source: io.Image
    trial: Trial


def say(text: str, file: TextIO | None = None) -> None:
    """Prints a line, from either thread, beside a progress bar if there is one."""
    file = file or sys.stdout
    tqdm.write(cli.printable(text) + "\n", file=file, end="")
    file.flush()


def check_size(source: io.Image, run: Run, path: os.PathLike) -> None:
    """Refuses an image that is too small for its kernel or for the network."""
    h, w, _ = source.pixels.shape
    spec = run.spec
    least = min_lr_side(spec, run.solver)
    if min(h, w) < least:
        raise io.InputError(
            f"cannot solve {str(path)!r}: {w} x {h} pixels are too few for a kernel of {spec.kernel_size} at scale "
            f"{spec.scale} and for the network, sides of at least {least} were expected"
        )


def too_large(item: Item, run: Run, needed: float, free: float) -> io.InputError:
    """What to say of an image that memory does not hold."""
    h, w, _ = item.trial.problem.lr.shape
    channels = run.config.image.get("channels")
    options = f"take fewer --config.image.channels (now {channels}) or crop it" if channels else "crop it"
    return io.InputError(
        f"cannot solve {str(item.kept.job.path)!r}: {w} x {h} pixels at scale {run.spec.scale} are solved whole, "
        f"{memory.in_words(needed, free)}, {options}"
    )


class Pipeline:
    """Takes images one by one; `num_failed` of them have failed so far."""

    def __init__(self, run: Run, num_jobs: int, on_record: Callable[[Record], None]):
        """Makes an empty one.

        Args:
          run: what the images share.
          num_jobs: images that will be added.
          on_record: called with each new record, in the writer's thread.
        """
        self.num_failed = 0
        self._run, self._on_record, self._writer = run, on_record, Writer()
        self._waiting: dict[Any, list[Item]] = {}  # by `Trial.place`
        self._sizes: dict[Any, int] = {}  # images of a shape at once
        self._widths: dict[Any, int] = {}  # of the last program of a shape
        self._paces: dict[Any, Pace] = {}  # of each program
        self._needed: dict[Any, int] = {}  # bytes an image of a shape
        self._num_left = num_jobs

    def add(self, job: resume.Job, label: str) -> None:
        """Reads an image, and solves those of its kind once there are enough of them."""
        run, label = self._run, self._run.peers.label + label
        distributed.obey(run.peers, run.stopper)
        run.stopper.waiting = f"{job.name} to be read"
        run.stopper.check()
        self._writer.check()
        path = os.path.abspath(job.path)
        record = new_record(job.name, spec=run.spec, config=run.name, seed=run.seed, input=path)
        if job.name != job.path.stem:
            reason = "is taken, too long or not plain text"
            record = record.noted(f"the stem of {job.path.name!r} {reason}, its results are named {job.name!r}")
        try:
            item = self._read(job, label, record)
        except StoppedError:
            raise
        except Exception as error:  # whatever ails one image, the others go on
            self._num_left -= 1
            self._writer.submit(self._write_failure, record, label, cli.failure(job.path, error))
            return
        run.stopper.check()
        self._put(item)

    def close(self, *, is_complete: bool) -> None:
        """Solves the images that still wait, if the run goes on, and waits until all is written."""
        try:
            while is_complete and self._waiting:
                self._solve(self._waiting.pop(next(iter(self._waiting))))
        finally:
            self._run.stopper.waiting = "the finished results to be written"
            self._writer.close()

    def _read(self, job: resume.Job, label: str, record: Record) -> Item:
        run = self._run
        source = io.fill_hidden(io.read_image(job.path, white_level=run.white_level))
        record = dataclasses.replace(record, sha256=source.sha256).noted(*source.notes, *run.kernel_notes)
        check_size(source, run, job.path)
        problem = Problem(jax.numpy.asarray(source.pixels), run.spec)
        if run.kernel is not None and flip_test(problem, run.kernel).verdict == "flipped":
            record = record.noted(FLIPPED)
            say(f"{job.name}: {FLIPPED}", sys.stderr)
        trial = Trial(cli.image_key(run.seed, job.name), problem, run.kernel)
        item = Item(Kept(job, source.sha256), label, record, source, trial)
        self._check_memory(item)
        kept, trial = group_checkpoint.restore(run.folder, item.kept, trial, run.solver)
        return item._replace(kept=kept, trial=trial)

    def _bytes_of(self, trial: Trial) -> int:
        """The estimate for one image."""
        key, problem, kernel, *_ = trial
        shape = problem.lr.shape
        if shape not in self._needed:
            run = self._run
            self._needed[shape] = memory.estimate(key, problem, run.solver, **run.steps, kernel=kernel)
        return self._needed[shape]

    def _certainly_fits(self, trial: Trial, count: int, free: float) -> bool:
        """Whether the estimate for another shape with as many colours says so: it spares tracing the program for each.

        A part of what a solve takes grows with its pixels, the rest is the same for all.
        """
        shape, spec = trial.problem.lr.shape, self._run.spec
        pixels = math.prod(spec.canvas_shape(shape))
        bounds = [
            needed * max(1.0, pixels / math.prod(spec.canvas_shape(other)))
            for other, needed in self._needed.items()
            if other[-1] == shape[-1]
        ]
        return count * memory.SLACK * min(bounds, default=math.inf) < free

    def _check_memory(self, item: Item) -> None:
        """Refuses an image that is too large, and says so where one nearly is."""
        free = memory.available()
        if self._certainly_fits(item.trial, 1, free):
            return
        needed = self._bytes_of(item.trial)
        if needed > free and self._run.memory_check:
            raise too_large(item, self._run, needed, free)
        if needed > free / 2:
            say(f"{item.kept.job.name}: {memory.in_words(needed, free)}", sys.stderr)

    def _size(self, trial: Trial) -> int:
        """How many images like this one to solve at once."""
        shape, wanted = trial.problem.lr.shape, self._run.group_size
        if shape not in self._sizes:
            is_cpu, num_devices = jax.default_backend() == "cpu", jax.local_device_count()
            most = wanted or (1 if is_cpu else MOST_AT_ONCE * num_devices)
            share = 1 if is_cpu else num_devices  # the CPUs that jax can be told to see are one memory
            free = MEMORY_SHARE * share * memory.available()
            if most > 1 and self._run.memory_check and not self._certainly_fits(trial, most, free):
                most = max(1, min(most, int(free / self._bytes_of(trial))))
            # Groups of one size share a program: 100 images are 50 and 50 rather than 64 and 36.
            self._sizes[shape] = most if wanted else math.ceil(self._num_left / math.ceil(self._num_left / most))
        return self._sizes[shape]

    def _width(self, group: Sequence[Item]) -> int:
        """What a group is to be filled up to.

        On a CPU to its full size, so that the bits of an image do not depend on what an interruption left of its group;
        on an accelerator if that is cheaper than compiling another program.
        """
        shape, count = group[0].trial.problem.lr.shape, len(group)
        if jax.default_backend() == "cpu":
            return self._sizes[shape]
        last = self._widths.get(shape, 1)
        self._widths[shape] = last if 0.75 * last <= count <= last else count
        return self._widths[shape]

    def _put(self, item: Item) -> None:
        group = self._waiting.setdefault(item.trial.place, [])
        group.append(item)
        if len(group) >= self._size(item.trial):
            self._solve(self._waiting.pop(item.trial.place))
        elif sum(map(len, self._waiting.values())) >= MOST_WAITING:
            self._solve(self._waiting.pop(max(self._waiting, key=lambda place: len(self._waiting[place]))))

    def _solve(self, group: Sequence[Item]) -> None:
        """Solves a group and hands over what is finished; a group that memory does not hold is halved."""
        clock = Keeper(
            self._run.folder,
            [item.kept for item in group],
            every=self._run.checkpoint_seconds,
            stopper=self._run.stopper,
            compiled=self._run.clock.seconds,
        )
        try:
            results = self._run_group(group, clock)
        except StoppedError:
            raise
        except Exception as error:  # whatever ails one image, the others go on
            if len(group) == 1:
                self._fail(group[0], error)
                return
            if is_out_of_memory(error):
                self._sizes[group[0].trial.problem.lr.shape] = len(group) // 2
            # Out of here: the error holds on to what is to be freed.
            results = None
        if results is None:
            half = len(group) // 2
            self._solve(group[:half])
            self._solve(group[half:])
            return
        seconds, compiled = [clock.seconds(i) for i in range(len(group))], clock.compile_seconds()
        self._writer.wait()  # for the group before: results must not pile up
        for i, (item, result) in enumerate(zip(group, results, strict=True)):
            spent = (item.record.compile_seconds or 0.0) + compiled
            item = item._replace(record=dataclasses.replace(item.record, compile_seconds=spent))
            item = item._replace(kept=item.kept._replace(seconds=seconds[i]))
            if has_another_try(item.trial, result, self._run.solver):
                self._put(item._replace(trial=item.trial.again()))
            else:
                self._hand_over(item, result)

    def _run_group(self, group: Sequence[Item], clock: Keeper) -> list[Result]:
        run, width, more = self._run, self._width(group), f" and {len(group) - 1} more" if len(group) > 1 else ""
        label, name = group[0].label + more, group[0].kept.job.name + more
        pace = self._paces.setdefault((*group[0].trial.place[:3], width), Pace())
        program = f"the program for {name} to be compiled"
        run.stopper.waiting = program if pace.is_new else f"the start of {name}"
        with tqdm(total=run.config.num_steps, desc=label, unit="step", disable=None, leave=False) as bar:

            def on_chunk(done, trace):
                self._writer.check()
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

            options = {"width": width, "on_chunk": on_chunk, "save": clock.save}
            options |= {"pace": pace, "before_call": before_call}
            return solve_group([item.trial for item in group], run.solver, **run.steps, **options)

    def _fail(self, item: Item, error: Exception) -> None:
        if is_out_of_memory(error):
            error = too_large(item, self._run, self._bytes_of(item.trial), memory.available())
        self._num_left -= 1
        message = cli.failure(item.kept.job.path, error)
        self._writer.submit(self._write_failure, item.record, item.label, message)

    def _hand_over(self, item: Item, result: Result) -> None:
        self._num_left -= 1
        loss = result.trace["loss"]
        seconds, compiled = round(item.kept.seconds, 3), round(item.record.compile_seconds, 3)
        known = {"steps": len(loss), "loss": float(loss[-1]), "seconds": seconds, "compile_seconds": compiled}
        item = item._replace(record=dataclasses.replace(item.record, **known))
        image, kernel = jax.device_get((result.image, result.kernel))
        self._writer.submit(self._write_result, item, result._replace(image=image, kernel=kernel, state=None))

    def _write_result(self, item: Item, result: Result) -> None:
        """In the writer's thread: all files of an image, and its line."""
        folder, record = self._run.folder, item.record
        try:
            with workdir.writing(folder):
                resume.write_input(folder, record.name, item.kept.job.path, record.sha256)
                told = {"second_try": item.trial.attempt > 0, "rates": build.rate_options(self._run.config)}
                record = workdir.write_result(folder, record, item.source, result, **told)
        except StoppedError:
            raise
        except Exception as error:
            self._write_failure(record, item.label, cli.failure(item.kept.job.path, error))
            return
        group_checkpoint.drop(folder, record.name)
        self._tell(record, item.label)

    def _write_failure(self, record: Record, label: str, message: str) -> None:
        """In the writer's thread: the record of an image without a result, and its line."""
        self._tell(workdir.write_failure(self._run.folder, record, message), label)

    def _tell(self, record: Record, label: str) -> None:
        self._on_record(record)
        if record.status.has_image:
            say(f"{label}: {record.status} in {record.seconds:.1f} s")
        else:
            self.num_failed += 1
            say(f"{label}: {record.status}, {record.message}", sys.stderr)
