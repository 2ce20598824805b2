r"""Solves images: the sharp image and the blur kernel of each.

python launch/solve.py --config=configs/dip_dkp.py --input='photos/*.jpg' --scale=4 --workdir=out/photos

The same command goes on where an interrupted one stopped; new files that match the pattern are solved in addition.
"""

import os
import signal
import sys

for _number in (signal.SIGINT, signal.SIGTERM):  # nothing has begun yet: no traceback out of the imports
    signal.signal(_number, lambda number, frame: os._exit(128 + number))

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags

from blindsr_jax import cli, io, locks, methods, metrics, resume, workdir
from blindsr_jax.config import check_config
from blindsr_jax.kernels import geometry
from blindsr_jax.pipeline import Pipeline, Run, say
from blindsr_jax.stopping import Stopper

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
_GROUP_SIZE = flags.DEFINE_integer(
    "group_size",
    None,
    "Images of one shape to solve at once; the default is what the memory of an accelerator holds, and 1 on a CPU.",
    lower_bound=1,
)
_MEMORY_CHECK = flags.DEFINE_bool(
    "memory_check", True, "Refuse an image if it is estimated to need more memory than there is."
)
flags.mark_flags_as_required(["config", "input", "scale", "workdir"])


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


def solve_all(jobs: list[resume.Job], run: Run) -> int:
    """Solves the images that are not finished, one line each; returns how many of all failed."""
    if num_done := sum(job.record is not None for job in jobs):
        print(f"{num_done} of {len(jobs)} finished before", flush=True)
    summary, num_failed, is_complete = workdir.Summary(run.folder, workdir.read_records(run.folder)), 0, False
    pipeline = Pipeline(run, summary, len(jobs) - num_done)
    try:
        for i, job in enumerate(jobs):
            label = f"[{i + 1}/{len(jobs)}] {job.name}"
            if job.record is None:
                pipeline.add(job, label)
            elif job.record["status"] in workdir.FAILURES:
                num_failed += 1
                say(f"{label}: {job.record['status']}, {job.record['message']}", sys.stderr)
        is_complete = True
    finally:
        try:
            pipeline.close(is_complete=is_complete)
        finally:
            summary.write()
    return num_failed + pipeline.num_failed


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    spec, solver, paths, kernel = prepare(config)
    folder = cli.make_workdir(_WORKDIR.value, folders=workdir.FOLDERS)
    config_name = os.path.splitext(os.path.basename(config_flags.get_config_filename(flags.FLAGS["config"])))[0]
    given = {f.name: f.value for f in (_INPUT, _SCALE, _SEED, _KERNEL)}
    document = {"config": config_name, "flags": given, "kernel_sha256": _KERNEL.value and resume.sha256(_KERNEL.value)}
    run = Run(
        config_name,
        config,
        spec,
        solver,
        kernel,
        folder,
        _SEED.value,
        _GROUP_SIZE.value,
        _CHECKPOINT_SECONDS.value,
        _MEMORY_CHECK.value,
        Stopper(),
        cli.CompileClock(),
    )
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
