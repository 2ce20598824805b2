r"""Solves images: the sharp image and the blur kernel of each.

python launch/solve.py --config=configs/dip_dkp.py --input='photos/*.jpg' --scale=4 --workdir=out/photos

The same command goes on where an interrupted one stopped; new files that match the pattern are solved in addition.
"""

import math
import os
import signal
import sys

for _number in (signal.SIGINT, signal.SIGTERM):  # nothing has begun yet: no traceback out of the imports
    signal.signal(_number, lambda number, frame: os._exit(128 + number))

from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags
from tqdm import tqdm

from blindsr_jax import cli, io, locks, memory, methods, metrics, resume, workdir
from blindsr_jax.batch import is_out_of_memory
from blindsr_jax.config import check_config
from blindsr_jax.keeper import Keeper
from blindsr_jax.kernels import geometry
from blindsr_jax.problem import Problem, Spec
from blindsr_jax.solve import Solver, solve
from blindsr_jax.stopping import StoppedError, Stopper

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The method: a file of configs/.", lock_config=False, accept_new_attributes=True
)
_INPUT = flags.DEFINE_string("input", None, "LR images: a file or a quoted glob.")
_SCALE = flags.DEFINE_integer("scale", None, "Enlargement.", lower_bound=1, upper_bound=8)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
_SEED = flags.DEFINE_integer(
    "seed", 0, "A result depends on it and on the image's name.", lower_bound=0, upper_bound=cli.MAX_SEED
)
_KERNEL = flags.DEFINE_string(
    "kernel", None, "A known kernel (.npy, .mat, .png), centred as kernel_center says: solve for the image alone."
)
_RESTART = flags.DEFINE_bool(
    "restart",
    False,
    "Start afresh what differs from the earlier runs in --workdir: all images (their results are deleted) if the "
    "config, scale, seed or kernel does, else those whose input file has changed. Without it such a run is refused.",
)
_CHECKPOINT_SECONDS = flags.DEFINE_float(
    "checkpoint_seconds", 20.0, "About how many seconds apart the state of a solve is saved.", lower_bound=0.0
)
_MEMORY_CHECK = flags.DEFINE_bool(
    "memory_check", True, "Refuse an image if it is estimated to need more memory than there is."
)
flags.mark_flags_as_required(["config", "input", "scale", "workdir"])


class Run(NamedTuple):
    """What all images of a run share."""

    name: str  # of the config
    config: Any
    spec: Spec
    solver: Solver
    kernel: np.ndarray | None  # (k, k)
    folder: str
    stopper: Stopper
    clock: cli.CompileClock


def prepare(config):
    """Spec, solver, inputs and kernel from the flags; whatever is wrong with them is a usage error."""
    kernel = None
    try:
        check_config(config)
        if _KERNEL.value is not None:
            config.kernel = type(config)({"name": "given"})
            kernel = io.read_kernel(_KERNEL.value)
            if config.kernel_size is None:
                config.kernel_size = kernel.shape[0]
        elif config.kernel.name == "given":
            raise ValueError("config.kernel.name is 'given', expected --kernel=FILE with it")
        spec = methods.build_spec(config, _SCALE.value)
        solver = methods.build_solver(config, spec)
        if kernel is not None:
            kernel = metrics.match_size(kernel, spec.kernel_size)
            kernel = np.asarray(kernel / kernel.sum(), np.float32)
            warn_of_center(kernel, spec)
        return spec, solver, io.find_inputs(_INPUT.value), kernel
    except (ValueError, TypeError) as error:
        raise cli.UsageError(cli.one_line(error)) from error


def warn_of_center(kernel: np.ndarray, spec) -> None:
    """Says so where a known kernel is not centred as the config says: the result would be shifted by the difference."""
    found = np.asarray(geometry.center_of_mass(jax.numpy.asarray(kernel)))
    if np.abs(found - spec.center).max() > 0.75:
        row, column = found.round(2).tolist()
        print(
            f"the kernel of {_KERNEL.value!r} has its centre at ({row}, {column}), where --config.kernel_center="
            f"{spec.kernel_center} means {spec.center}: the result will be shifted",
            file=sys.stderr,
        )


def check_size(source: io.Image, spec, solver, path) -> None:
    """Refuses an image that is too small for its kernel or for the network."""
    h, w, _ = source.pixels.shape
    margin = spec.canvas_shape((0, 0, 1))[0]
    least = -(-max(spec.kernel_size, solver.smallest_side - margin) // spec.scale)
    if min(h, w) < least:
        raise io.InputError(
            f"cannot solve {str(path)!r}: {w} x {h} pixels are too few for a kernel of {spec.kernel_size} at scale "
            f"{spec.scale} and for the network, sides of at least {least} were expected"
        )


def too_large(job: resume.Job, problem: Problem, config, needed: float, free: float) -> io.InputError:
    """What to say of an image that memory does not hold."""
    h, w, _ = problem.lr.shape
    channels = config.image.get("channels")
    options = f"take fewer --config.image.channels (now {channels}) or crop it" if channels else "crop it"
    return io.InputError(
        f"cannot solve {str(job.path)!r}: {w} x {h} pixels at scale {problem.spec.scale} are solved whole, "
        f"{memory.in_words(needed, free)}, {options}"
    )


def check_memory(job: resume.Job, key, problem: Problem, run: Run) -> None:
    """Refuses an image that is too large, and says so where one nearly is."""
    free = memory.available()
    if math.prod(problem.canvas_shape[:2]) * memory.MOST_BYTES_A_PIXEL < free:
        return
    needed = memory.estimate(key, problem, run.solver, **steps_of(run.config), kernel=run.kernel)
    if needed > free and _MEMORY_CHECK.value:
        raise too_large(job, problem, run.config, needed, free)
    if needed > free / 2:
        print(f"{job.name}: {memory.in_words(needed, free)}", file=sys.stderr, flush=True)


def steps_of(config) -> dict[str, int]:
    """How long a solve and its chunks are."""
    return {"num_steps": config.num_steps, "chunk_steps": config.chunk_steps}


def solve_job(job: resume.Job, record: dict, run: Run, bar) -> None:
    """Solves one image, or goes on with it; writes its outputs and its record."""
    record["input"] = os.path.abspath(job.path)
    source = io.read_image(job.path)
    record["sha256"] = resume.sha256(job.path)  # now that it is known to be of a reasonable size
    workdir.add_note(record, *source.notes)
    check_size(source, run.spec, run.solver, job.path)
    keeper = Keeper(
        run.folder,
        job,
        record["sha256"],
        every=_CHECKPOINT_SECONDS.value,
        stopper=run.stopper,
        compiled=run.clock.seconds,
    )

    def on_chunk(done, trace):
        bar.update(done - bar.n)
        bar.set_postfix(loss=f"{trace['loss'][-1]:.3g}")

    key, problem = cli.image_key(_SEED.value, job.name), Problem(jax.numpy.asarray(source.pixels), run.spec)
    check_memory(job, key, problem, run)
    progress = keeper.restore(key, problem, run.solver, run.kernel)
    options = {"kernel": run.kernel, "on_chunk": on_chunk, "save": keeper.save, "progress": progress}
    try:
        result = solve(key, problem, run.solver, **steps_of(run.config), **options)
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        needed = memory.estimate(key, problem, run.solver, **steps_of(run.config), kernel=run.kernel)
        raise too_large(job, problem, run.config, needed, memory.available()) from error
    loss = result.trace["loss"]
    seconds = {"seconds": keeper.seconds(), "compile_seconds": keeper.compile_seconds()}
    record.update(status=result.status, steps=len(loss), loss=float(loss[-1]))
    record.update({name: round(value, 3) for name, value in seconds.items()})
    with workdir.writing(run.folder):
        workdir.write_result(run.folder, record, source, result)
    keeper.drop()


def solve_one(job: resume.Job, label: str, run: Run) -> dict:
    """The record of one image, which a bad file or any other mishap cannot keep from being written."""
    record = workdir.new_record(job.name, spec=run.spec, config=run.name, seed=_SEED.value)
    if job.name != job.path.stem:
        reason = "is taken, too long or not plain text"
        workdir.add_note(record, f"the stem of {job.path.name!r} {reason}, its results are named {job.name!r}")
    try:
        with tqdm(total=run.config.num_steps, desc=label, unit="step", disable=None, leave=False) as bar:
            solve_job(job, record, run, bar)
    except StoppedError:
        raise
    except Exception as error:  # whatever ails one image, the others go on
        workdir.write_failure(run.folder, record, cli.failure(job.path, error))
    return record


def solve_all(jobs: list[resume.Job], run: Run) -> int:
    """Solves the images that are not finished, one line each; returns how many of all failed."""
    summary, num_failed = workdir.Summary(run.folder, workdir.read_records(run.folder)), 0
    if num_done := sum(job.record is not None for job in jobs):
        print(f"{num_done} of {len(jobs)} finished before", flush=True)
    try:
        for i, job in enumerate(jobs):
            label, record = f"[{i + 1}/{len(jobs)}] {job.name}", job.record
            if job.record is None:
                run.stopper.check()
                record = solve_one(job, label, run)
                summary.add(record)
            if record["status"] in workdir.FAILURES:
                num_failed += 1
                print(f"{label}: {record['status']}, {record['message']}", file=sys.stderr, flush=True)
            elif job.record is None:
                print(f"{label}: {record['status']} in {record['seconds']:.1f} s", flush=True)
    finally:
        summary.write()
    return num_failed


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    spec, solver, paths, kernel = prepare(config)
    folder = cli.make_workdir(_WORKDIR.value, folders=workdir.FOLDERS)
    config_name = os.path.splitext(os.path.basename(config_flags.get_config_filename(flags.FLAGS["config"])))[0]
    given = {f.name: f.value for f in (_INPUT, _SCALE, _SEED, _KERNEL)}
    document = {"config": config_name, "flags": given, "kernel_sha256": _KERNEL.value and resume.sha256(_KERNEL.value)}
    run = Run(config_name, config, spec, solver, kernel, folder, Stopper(), cli.CompileClock())
    try:
        with locks.hold(folder):
            with workdir.writing(folder):
                jobs = resume.plan(folder, document | config.to_dict(), paths, restart=_RESTART.value)
            num_failed = solve_all(jobs, run)
            run.stopper.check()
    except (locks.LockedError, resume.DifferenceError) as error:
        raise cli.UsageError(f"--workdir={folder}: {error}") from error
    print(f"results in {os.path.join(folder, 'index.html')}")
    return cli.SOME_FAILED if num_failed else cli.OK


if __name__ == "__main__":
    cli.run(main)
