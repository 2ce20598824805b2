"""A training as a run of a launch: images from files, a folder that can be resumed, metrics, signals.

`train` is for what `engine` trains: a launch defines a task, how to validate and how to write the weights. `run` is the
loop over epochs in a folder, for any training. Importing this module defines the flags that trainings share.
"""

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

import blindsr_jax
from blindsr_jax import io
from blindsr_jax.io import documents
from blindsr_jax.runs import checkpoints, cli, locks, ownership, report, resume, schemas, views
from blindsr_jax.runs.signals import Stopper
from blindsr_jax.solvers import batch
from blindsr_jax.solvers.loop import Progress
from blindsr_jax.training import engine, packs, patches
from blindsr_jax.weights import archive

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
RESTART = flags.DEFINE_bool("restart", False, "Start afresh, and delete what an earlier run left in --workdir.")
CHECKPOINT_SECONDS = flags.DEFINE_float(
    "checkpoint_seconds", 30.0, "About how many seconds apart the state is saved.", lower_bound=0.0
)
STATE = ownership.STATE
_BEGIN = time.perf_counter()  # nearly that of the process


class Job(NamedTuple):
    """What a launch trains."""

    config: Any  # `num_epochs` and the like as `settings` reads them, `seed`, `validate_every`
    task: engine.Task
    data: Any  # pytree of arrays
    validate: Callable[[Any], Mapping[str, float]]  # averaged parameters -> scores, the same names each time
    names: tuple[str, ...]  # of these scores
    write: Callable[[str, Any, dict[str, Any]], None]  # (folder, averaged parameters, note): the launch's own files
    outputs: tuple[str, ...]  # names of these files


def show_all(bar: tqdm, progress: Progress) -> None:
    """What the last epoch measured: beside the bar, and in a line where there is no terminal."""
    last = {name: f"{x[-1]:.4g}" for name, x in progress.trace.items() if not np.isnan(x[-1])}
    bar.set_postfix(last)
    if not os.isatty(2):
        print(f"epoch {progress.step} of {bar.total}: {last}", flush=True)


class Training(NamedTuple):
    """A training as the loop over its epochs sees it."""

    num_epochs: int
    write_every: int  # epochs
    names: tuple[str, ...]  # of all that is measured, 'loss' among them
    begin: Callable[[], Any]  # the state before the first epoch
    advance: Callable[[int, Any], tuple[Any, Mapping[str, float]]]  # (epochs done, state) -> state, what was measured
    write: Callable[[Progress], None]  # the launch's own files
    show: Callable[[tqdm, Progress], None] = show_all  # what the last epoch measured
    seconds: float | None = None  # it ends after so many at the latest, over all runs of the folder
    tune: Callable[[Any, float], Any] = lambda state, share: state  # before an epoch: state, share that is over

    def share(self, progress: Progress) -> float:
        """How much of the training is over, from 0 to 1."""
        spent = float(progress.trace["seconds"].sum()) / self.seconds if self.seconds else 0.0
        return min(max(progress.step / self.num_epochs, spent), 1.0)


def settings(config: Any) -> engine.Settings:
    """The settings among a config's values; they are checked on the way.

    Raises:
      UsageError: one is missing or wrong.
    """
    with cli.usage_errors(ValueError, TypeError, KeyError):
        found = engine.Settings(**{name: config[name] for name in engine.Settings._fields})
        engine.optimizer(found)
        if found.batch_size % (count := jax.local_device_count()):
            raise ValueError(f"config.batch_size is {found.batch_size}, expected a multiple of the {count} devices")
    return found


def read_images(pattern: str, flag: str) -> list[np.ndarray]:
    """All images that match a pattern, of a folder or of a pack, as (H, W, 1 or 3) uint8; bad ones are left out.

    Raises:
      UsageError: there is none.
    """
    found = []
    try:
        with packs.unpacked(pattern, flag) as files:
            paths = io.find_inputs(files)
            for path in tqdm(paths, desc="reading", unit="image", disable=None, leave=False):
                try:
                    found.append(np.round(255 * io.read_image(path).pixels).astype(np.uint8))
                except io.InputError as error:
                    print(f"left out: {error}", flush=True)
    except io.InputError as error:
        raise cli.UsageError(f"--{flag}={pattern}: {error}") from error
    if not found:
        raise cli.UsageError(f"--{flag}={pattern}: none of {len(paths)} files is an image, some were expected")
    return found


def pieces(pattern: str, flag: str, *, least: int) -> np.ndarray:
    """Images as pieces for `patches.random_patch`.

    Raises:
      UsageError: there is no image that is large enough.
    """
    try:
        return patches.cut(read_images(pattern, flag), least=least)
    except ValueError as error:
        raise cli.UsageError(f"--{flag}={pattern}: {error}") from error


def data_name(pattern: str, flag: str) -> str:
    """What the images of a flag are: the last two folders of each source."""
    return ", ".join(packs.sources(pattern, flag)) if packs.is_pack(pattern) else packs.source(pattern)


def plain(config: Any) -> dict[str, Any]:
    """A config in JSON's types."""
    return json.loads(config.to_json_best_effort())


def check_ownership(folder: str, config: Any, outputs: tuple[str, ...]) -> None:
    """Refuses a folder of somebody's, before anything is written.

    Raises:
      NotOursError: files of our names stand there that are of no earlier training like this one, or an input does.
    """

    def is_training(place):
        """By the names in its config.json, of which other versions have a few more or less, else by its metrics."""
        if (old := ownership.read_json(os.path.join(place, "config.json"))) is not None:
            return isinstance(old, dict) and "num_epochs" in old and len(old.keys() & new) >= 0.75 * len(old)
        with contextlib.suppress(OSError), open(os.path.join(place, "metrics.jsonl"), "rb") as file:
            return file.read(11) == b'{"epoch": 1'
        return False

    new = plain(config).keys()
    names = ("config.json", *outputs, "metrics.jsonl", "index.html")
    layout = ownership.Layout("training", names, (STATE,), is_training)
    ownership.check_inputs(_inputs(config), folder, outputs=layout.places)
    ownership.check_folder(folder, layout)
    report.check_page(folder)


def _inputs(config: Any) -> list[str | os.PathLike]:
    """The files that a training reads; where a pattern matches none, whoever reads it says so."""
    patterns = [flags.FLAGS[name].value for name in ("input", "validation") if name in flags.FLAGS]
    patterns = [os.path.join(p, "*") if os.path.isdir(p) else p for p in (*patterns, config.get("kernels")) if p]
    found = [config.start] if config.get("start") else []
    for pattern in patterns:
        with contextlib.suppress(io.InputError):
            found += io.find_inputs(pattern)
    return found


def check_folder(folder: str, config: Any, outputs: tuple[str, ...]) -> None:
    """Refuses a folder that holds another training, or deletes that one if --restart says so.

    Raises:
      UsageError: it holds one with other values.
    """
    place, new = os.path.join(folder, "config.json"), plain(config)
    if RESTART.value:
        ownership.remove_state(os.path.join(folder, STATE))
        for name in (*outputs, "metrics.jsonl", "index.html", "config.json"):
            if os.path.exists(os.path.join(folder, name)):
                os.remove(os.path.join(folder, name))
    if not os.path.exists(place):
        return
    if (old := documents.read(place, schemas.TRAINING)) is None:
        raise cli.UsageError(
            f"--workdir={folder}: its config.json is damaged, expected that of a training, another folder, or --restart"
        )
    if differing := resume.differences(old, new, "config.{}"):
        names = ", ".join(differing)
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


def write_page(folder: str, trace: Mapping[str, np.ndarray], num_epochs: int) -> None:
    """index.html: what was measured, by epoch; a table of first, best and last values, and a curve of each quantity."""
    known = {name: np.asarray(x)[np.isfinite(x)] for name, x in trace.items()}
    rows = [
        {
            "quantity": name.replace("_", " "),
            "first": x[0],
            "last": x[-1],
            "smallest": x.min(),
            "largest": x.max(),
            "measured": len(x),
        }
        for name, x in known.items()
        if name != "seconds" and len(x)
    ]
    rows = [{key: x if isinstance(x, str | int) else float(x) for key, x in row.items()} for row in rows]
    done, minutes = len(trace["seconds"]), float(np.nansum(trace["seconds"])) / 60
    curves = views.curves({name: x for name, x in trace.items() if name != "seconds"}) | {"unit": "epoch"}
    title = f"training: {done} of {num_epochs} epochs in {minutes:.1f} min"
    report.write_page(os.path.join(folder, "index.html"), title=title, curves=curves, tables={"by epoch": rows})


def _restore(folder: str, training: Training) -> Progress:
    """Where an earlier run stopped, or the beginning."""
    trace = {name: jax.ShapeDtypeStruct((), np.float32) for name in (*training.names, "seconds")}
    found = checkpoints.restore(os.path.join(folder, STATE), jax.eval_shape(training.begin), trace)
    return found[0] if found else Progress(0, 0, training.begin(), {name: np.zeros(0, np.float32) for name in trace})


def _advance(training: Training, progress: Progress, begin: float) -> Progress:
    """One epoch, whose seconds count from `begin`; what it has not measured is NaN in the trace."""
    state = training.tune(progress.state, training.share(progress))
    state, found = training.advance(progress.step, state)
    new = {**found, "seconds": time.perf_counter() - begin}
    trace = {name: np.append(old, np.float32(new.get(name, np.nan))) for name, old in progress.trace.items()}
    if not np.isfinite(new["loss"]):
        number = progress.step + 1
        raise cli.UsageError(f"the loss of epoch {number} is not finite, try a smaller --config.learning_rate")
    return Progress(0, progress.step + 1, state, trace)


def _run_epochs(folder: str, training: Training, stopper: Stopper) -> Progress:
    """Runs the epochs that are left."""
    progress, saved, total = _restore(folder, training), time.monotonic(), training.num_epochs
    last = _BEGIN  # where time is all that counts, so does that between epochs
    if progress.step:
        print(f"{progress.step} of {total} epochs were done before", flush=True)
    if training.share(progress) == 1:  # the state may be newer than what is derived from it
        training.write(progress)
        write_page(folder, progress.trace, training.num_epochs)
    with tqdm(total=total, initial=progress.step, desc="training", unit="epoch", disable=None) as bar:
        while training.share(progress) < 1:
            if stopper.number is not None:
                checkpoints.save(os.path.join(folder, STATE), progress)
                stopper.check()
            progress = _advance(training, progress, last if training.seconds else time.perf_counter())
            last = time.perf_counter()
            bar.update()
            training.show(bar, progress)
            write_metrics(folder, progress.trace)
            over = training.share(progress) == 1
            if progress.step % training.write_every == 0 or over:
                training.write(progress)
                write_page(folder, progress.trace, training.num_epochs)
            if over or time.monotonic() - saved > CHECKPOINT_SECONDS.value:
                checkpoints.save(os.path.join(folder, STATE), progress)
                saved = time.monotonic()
    return progress


def run(config: Any, outputs: tuple[str, ...], prepare: Callable[[str], Training]) -> tuple[str, Progress]:
    """Trains in --workdir to the end, from where an earlier run of the same folder stands.

    Args:
      config: a folder holds one training, which is one with the same values of all of these.
      outputs: names of the files that `write` of the training makes.
      prepare: the folder -> the training; called when the folder is this process's.

    Returns:
      The folder, and where the training stands in the end.

    Raises:
      NotOursError: the folder holds files of somebody's where this training writes.
      UsageError: the folder cannot be used, `prepare` refuses, or the loss is not finite.
      StoppedError: a signal has come; the state is saved.
    """
    check_ownership(WORKDIR.value, config, outputs)
    folder, stopper = cli.make_workdir(WORKDIR.value), Stopper()
    try:
        with locks.hold(folder):
            check_folder(folder, config, outputs)
            training = prepare(folder)
            io.write_json(os.path.join(folder, "config.json"), plain(config))
            return folder, _run_epochs(folder, training, stopper)
    except locks.LockedError as error:
        raise cli.UsageError(f"--workdir={folder}: {error}") from error


def note(config: Any, progress: Progress, *, steps: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Where weights came from, for their metadata: JSON values, to which a launch adds name, data and metrics.

    Args:
      config: of the training.
      progress: where the training stands; its trace has 'seconds'.
      steps: that it has made.
      metrics: what it has measured so far.
    """
    return {
        "config": plain(config),
        "seed": config.seed,
        "metrics": dict(metrics),
        "epochs": progress.step,
        "steps": steps,
        "seconds": float(progress.trace["seconds"].sum()),
        "device": jax.devices()[0].device_kind,
        "versions": {"blindsr_jax": blindsr_jax.__version__, "jax": jax.__version__},
    }


def write_weights(place: str, data: bytes) -> None:
    """Writes weights NAME.npz as `archive.Format.to_bytes` makes them, and their metadata beside them as NAME.json."""
    io.write_bytes(place, data)
    io.write_json(f"{os.path.splitext(place)[0]}.json", archive.read_metadata(place))


def _note(job: Job, found: engine.Settings, progress: Progress) -> dict[str, Any]:
    """How averaged parameters came about."""
    trace = progress.trace
    done = np.flatnonzero([not np.isnan(x) for x in trace[job.names[0]]]) if job.names else []
    metrics = {
        "loss": float(trace["loss"][-1]),
        "validation": {name: float(trace[name][done[-1]]) for name in job.names} if len(done) else {},
    }
    return note(job.config, progress, steps=progress.step * found.steps_per_epoch, metrics=metrics)


def _training(job: Job, folder: str) -> Training:
    """What `engine` trains, for `run`."""
    found, key, every = settings(job.config), jax.random.key(job.config.seed), job.config.validate_every
    epoch = functools.partial(engine.run_epoch, task=job.task, settings=found, mesh=batch.device_mesh())

    def begin():
        return engine.init(jax.random.fold_in(key, 2**31), job.task, found)

    def advance(number, state):
        state, measured = epoch(key, state, job.data)
        new = {name: float(x) for name, x in measured.items()}
        if (number + 1) % every == 0 or number + 1 == found.num_epochs:
            new |= job.validate(state.average)
        return state, new

    def write(progress):
        job.write(folder, jax.device_get(progress.state.average), _note(job, found, progress))

    def tune(state, share):
        return engine.set_rate(state, found, share) if found.schedule == "clock" else state

    names = (*jax.eval_shape(epoch, key, jax.eval_shape(begin), job.data)[1], *job.names)
    seconds = job.config.get("seconds")
    return Training(found.num_epochs, every, names, begin, advance, write, seconds=seconds, tune=tune)


def train(job: Job) -> str:
    """Trains to the end, from where an earlier run of the same folder stands; returns the folder.

    Raises:
      UsageError: the folder cannot be used or a setting is wrong.
      StoppedError: a signal has come; the state is saved.
    """
    return run(job.config, job.outputs, functools.partial(_training, job))[0]
