"""A training as a run of a launch: images from files, a folder that can be resumed, metrics, signals.

A launch defines `task`, how to validate and how to write the weights; all else is here. Importing this module defines
the flags that trainings share.
"""

import functools
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

import blindsr_jax
from blindsr_jax import batch, checkpoints, cli, io, locks
from blindsr_jax.solve import Progress
from blindsr_jax.stopping import Stopper
from blindsr_jax.training import bank, engine

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
RESTART = flags.DEFINE_bool("restart", False, "Start afresh, and delete what an earlier run left in --workdir.")
CHECKPOINT_SECONDS = flags.DEFINE_float(
    "checkpoint_seconds", 30.0, "About how many seconds apart the state is saved.", lower_bound=0.0
)
STATE = "state"


class Job(NamedTuple):
    """What a launch trains."""

    config: Any  # `num_epochs` and the like as `settings` reads them, `seed`, `validate_every`
    task: engine.Task
    data: Any  # pytree of arrays
    validate: Callable[[Any], Mapping[str, float]]  # averaged parameters -> scores, the same names each time
    names: tuple[str, ...]  # of these scores
    write: Callable[[str, Any, dict[str, Any]], None]  # (folder, averaged parameters, note): the launch's own files
    outputs: tuple[str, ...]  # names of these files


def settings(config: Any) -> engine.Settings:
    """The settings among a config's values; they are checked on the way.

    Raises:
      UsageError: one is missing or wrong.
    """
    try:
        found = engine.Settings(**{name: config[name] for name in engine.Settings._fields})
        engine.optimizer(found)
        if found.batch_size % (count := jax.local_device_count()):
            raise ValueError(f"config.batch_size is {found.batch_size}, expected a multiple of the {count} devices")
    except (ValueError, TypeError, KeyError) as error:
        raise cli.UsageError(cli.one_line(error)) from error
    return found


def read_images(pattern: str, flag: str) -> list[np.ndarray]:
    """All images that match a pattern, or of a folder, as (H, W, 1 or 3) uint8; bad files are named and left out.

    Raises:
      UsageError: there is none.
    """
    pattern = os.path.join(pattern, "*") if os.path.isdir(pattern) else pattern
    found = []
    try:
        paths = io.find_inputs(pattern)
    except io.InputError as error:
        raise cli.UsageError(f"--{flag}={pattern}: {error}") from error
    for path in tqdm(paths, desc="reading", unit="image", disable=None, leave=False):
        try:
            found.append(np.round(255 * io.read_image(path).pixels).astype(np.uint8))
        except io.InputError as error:
            print(f"left out: {error}", flush=True)
    if not found:
        raise cli.UsageError(f"--{flag}={pattern}: none of {len(paths)} files is an image, some were expected")
    return found


def pieces(pattern: str, flag: str, *, least: int) -> np.ndarray:
    """Images as pieces for `bank.random_patch`.

    Raises:
      UsageError: there is no image that is large enough.
    """
    try:
        return bank.cut(read_images(pattern, flag), least=least)
    except ValueError as error:
        raise cli.UsageError(f"--{flag}={pattern}: {error}") from error


def data_name(pattern: str) -> str:
    """The last two folders of a pattern, which say what the images are without saying where."""
    folder = pattern if os.path.isdir(pattern) else os.path.dirname(pattern)
    return "/".join(os.path.normpath(folder).split(os.sep)[-2:])


def plain(config: Any) -> dict[str, Any]:
    """A config in JSON's types."""
    return json.loads(config.to_json_best_effort())


def check_folder(folder: str, config: Any, outputs: tuple[str, ...]) -> None:
    """Refuses a folder that holds another training, or empties it if --restart says so.

    Raises:
      UsageError: it holds one with other values.
    """
    place, new = os.path.join(folder, "config.json"), plain(config)
    if RESTART.value:
        shutil.rmtree(os.path.join(folder, STATE), ignore_errors=True)
        for name in (*outputs, "metrics.jsonl", "config.json"):
            if os.path.exists(os.path.join(folder, name)):
                os.remove(os.path.join(folder, name))
    if not os.path.exists(place):
        return
    try:
        with open(place) as file:
            old = json.load(file)
    except ValueError:
        old = {}
    if differing := sorted(name for name in {*old, *new} if old.get(name) != new.get(name)):
        names = ", ".join(f"config.{name}" for name in differing)
        raise cli.UsageError(
            f"--workdir={folder}: it holds a training with other values of {names}, expected the same ones, another "
            "folder, or --restart"
        )


def write_metrics(folder: str, trace: Mapping[str, np.ndarray]) -> None:
    """metrics.jsonl, one line an epoch; whole or not at all, so that a resumed run shows each epoch once."""
    count = len(next(iter(trace.values())))
    rows = [{name: float(f"{x[i]:.7g}") for name, x in trace.items() if not np.isnan(x[i])} for i in range(count)]
    lines = [json.dumps({"epoch": i + 1, **row}) for i, row in enumerate(rows)]
    io.write_text(os.path.join(folder, "metrics.jsonl"), "\n".join(lines) + "\n")


class _Run:
    """One run of `train`."""

    def __init__(self, job: Job, folder: str):
        self.job, self.folder, self.settings = job, folder, settings(job.config)
        self.key = jax.random.key(job.config.seed)
        self.mesh = batch.device_mesh()
        self.epoch = functools.partial(engine.run_epoch, task=job.task, settings=self.settings, mesh=self.mesh)

    def begin(self) -> engine.TrainState:
        return engine.init(jax.random.fold_in(self.key, 2**31), self.job.task, self.settings)

    def restore(self) -> Progress:
        """Where an earlier run stopped, or the beginning."""
        like = jax.eval_shape(self.begin)
        names = jax.eval_shape(self.epoch, self.key, like, self.job.data)[1]
        trace = {name: jax.ShapeDtypeStruct((), np.float32) for name in (*names, *self.job.names, "seconds")}
        found = checkpoints.restore(os.path.join(self.folder, STATE), like, trace)
        return found[0] if found else Progress(0, 0, self.begin(), {name: np.zeros(0, np.float32) for name in trace})

    def save(self, progress: Progress) -> None:
        checkpoints.save(os.path.join(self.folder, STATE), progress)

    def advance(self, progress: Progress) -> Progress:
        """One epoch, and a validation if one is due."""
        begin, number, job = time.perf_counter(), progress.step + 1, self.job
        state, found = self.epoch(self.key, progress.state, job.data)
        new = {name: float(x) for name, x in found.items()}
        if number % job.config.validate_every == 0 or number == self.settings.num_epochs:
            new |= job.validate(state.average)
        new["seconds"] = time.perf_counter() - begin
        trace = {name: np.append(old, np.float32(new.get(name, np.nan))) for name, old in progress.trace.items()}
        return Progress(0, number, state, trace)

    def write(self, progress: Progress) -> None:
        """What the launch makes of the averaged parameters, with a note of how they came about."""
        trace, config = progress.trace, self.job.config
        done = np.flatnonzero([not np.isnan(x) for x in trace[self.job.names[0]]]) if self.job.names else []
        scores = {name: float(trace[name][done[-1]]) for name in self.job.names} if len(done) else {}
        note = {
            "config": plain(config),
            "epochs": progress.step,
            "steps": progress.step * self.settings.steps_per_epoch,
            "loss": float(trace["loss"][-1]),
            "validation": scores,
            "seconds": float(trace["seconds"].sum()),
            "device": jax.devices()[0].device_kind,
            "versions": {"blindsr_jax": blindsr_jax.__version__, "jax": jax.__version__},
        }
        self.job.write(self.folder, jax.device_get(progress.state.average), note)

    def all(self, stopper: Stopper) -> Progress:
        """Runs the epochs that are left."""
        progress, saved, total = self.restore(), time.monotonic(), self.settings.num_epochs
        if progress.step:
            print(f"{progress.step} of {total} epochs were done before", flush=True)
        if progress.step == total:  # the state may be newer than what is derived from it
            self.write(progress)
        with tqdm(total=total, initial=progress.step, desc="training", unit="epoch", disable=None) as bar:
            while progress.step < total:
                if stopper.number is not None:
                    self.save(progress)
                    stopper.check()
                progress = self.advance(progress)
                if not np.isfinite(progress.trace["loss"][-1]):
                    number = progress.step
                    raise cli.UsageError(
                        f"the loss of epoch {number} is not finite, try a smaller --config.learning_rate"
                    )
                last = {name: f"{x[-1]:.4g}" for name, x in progress.trace.items() if not np.isnan(x[-1])}
                bar.update()
                bar.set_postfix(last)
                if not os.isatty(2):
                    print(f"epoch {progress.step} of {total}: {last}", flush=True)
                write_metrics(self.folder, progress.trace)
                if progress.step % self.job.config.validate_every == 0 or progress.step == total:
                    self.write(progress)
                if progress.step == total or time.monotonic() - saved > CHECKPOINT_SECONDS.value:
                    self.save(progress)
                    saved = time.monotonic()
        return progress


def train(job: Job) -> str:
    """Trains to the end, from where an earlier run of the same folder stands; returns the folder.

    Raises:
      UsageError: the folder cannot be used or a setting is wrong.
      StoppedError: a signal has come; the state is saved.
    """
    folder, stopper = cli.make_workdir(WORKDIR.value), Stopper()
    try:
        with locks.hold(folder):
            check_folder(folder, job.config, job.outputs)
            run = _Run(job, folder)
            io.write_json(os.path.join(folder, "config.json"), plain(job.config))
            run.all(stopper)
    except locks.LockedError as error:
        raise cli.UsageError(f"--workdir={folder}: {error}") from error
    return folder
