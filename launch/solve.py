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

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags

from blindsr_jax import io
from blindsr_jax.config import check_config
from blindsr_jax.evaluation import metrics
from blindsr_jax.imaging.problem import least_kernel_size
from blindsr_jax.inference.kernel_flip import turn
from blindsr_jax.kernels import geometry
from blindsr_jax.methods import build
from blindsr_jax.runs import (
    agreement,
    cli,
    distributed,
    leading,
    locks,
    ownership,
    resume,
    seeds,
    shared_kernel,
    workdir,
)
from blindsr_jax.runs.compile_clock import CompileClock
from blindsr_jax.runs.signals import Stopper
from blindsr_jax.runs.task import Run

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The method: a file of configs/.", lock_config=False, accept_new_attributes=True
)
_INPUT = flags.DEFINE_string("input", None, "LR images: a file or a quoted glob.")
_SCALE = flags.DEFINE_integer("scale", None, "Enlargement.", lower_bound=1, upper_bound=8)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
_SEED = flags.DEFINE_integer(
    "seed", 0, "A result depends on it and on the image's name.", lower_bound=0, upper_bound=seeds.MAX_SEED
)
_KERNEL = flags.DEFINE_string(
    "kernel",
    None,
    "A known kernel (.npy, .mat, .csv, .txt, gray picture), centred as kernel_center says: solve for the image alone.",
)
_SHARED_KERNEL = flags.DEFINE_bool(
    "shared_kernel",
    False,
    "All images of --input have one blur, as the frames of a camera: one kernel is found from all, and images "
    "that come later are solved with it too.",
)
_FLIP_KERNEL = flags.DEFINE_bool(
    "flip_kernel", False, "Turn --kernel by 180 degrees: it is meant as a true convolution."
)
_SIGNED_KERNEL = flags.DEFINE_bool(
    "signed_kernel", False, "Take a --kernel with clearly negative values, as those of a Lanczos filter."
)
_WHITE_LEVEL = flags.DEFINE_float(
    "white_level",
    None,
    "The value of white in the input files, where their type does not say it: 4095 for 12 bits in 16, 255 for floats "
    "up to 255. Values above it are clipped.",
    lower_bound=1e-6,
    upper_bound=2.0**32,
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
_MEMORY_GB = flags.DEFINE_float(
    "memory_gb",
    None,
    "Gigabytes that the solves may take; the default is three quarters of what is free. An image that needs more is "
    "refused, and groups are made as large as it allows.",
    lower_bound=1e-3,
)
_FIGURES = flags.DEFINE_bool(
    "figures", True, "Draw figures/NAME.png of each image: half of the time that writing takes, for a fast accelerator."
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Share the images with the other processes of this run, on a common --workdir: the same command in each, started "
    "by SLURM, on a TPU pod or by MPI; elsewhere with the next three flags.",
)
_COORDINATOR = flags.DEFINE_string("coordinator_address", None, "HOST:PORT where process 0 listens.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Processes of a --distributed run.", lower_bound=1)
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Number of this process, from 0.", lower_bound=0)
_JOIN_SECONDS = flags.DEFINE_integer(
    "join_seconds", 120, "How long the processes of a --distributed run wait for each other to start.", lower_bound=1
)
flags.mark_flags_as_required(["config", "input", "scale", "workdir"])


def known_kernel(config) -> io.KnownKernel | None:
    """The kernel of --kernel, if there is one, and what was done to it."""
    if _KERNEL.value is None:
        for flag in (_FLIP_KERNEL, _SIGNED_KERNEL):
            if flag.value:
                raise ValueError(f"--{flag.name} says how to read a kernel, expected --kernel=FILE with it")
        if "given" in (config.kernel.name, config.estimator):
            name = "estimator" if config.estimator == "given" else "kernel.name"
            raise ValueError(f"config.{name} is 'given', expected --kernel=FILE with it")
        return None
    build.give_kernel(config)
    offset = geometry.center_offset(_SCALE.value, config.kernel_center)
    known = io.load_kernel(_KERNEL.value, signed=_SIGNED_KERNEL.value, offset=offset)
    if config.kernel_size is None:
        config.kernel_size = max(known.values.shape[0], least_kernel_size(_SCALE.value, config.boundary))
    return known


def fit_kernel(known: io.KnownKernel, spec) -> tuple[np.ndarray, tuple[str, ...]]:
    """A known kernel as the spec wants it, and notes on it, which are printed too."""
    kernel = metrics.match_size(known.values, spec.kernel_size)
    kernel = np.asarray(kernel / kernel.sum(), np.float32)
    if _FLIP_KERNEL.value:
        kernel = np.asarray(turn(jax.numpy.asarray(kernel), spec))
    notes = tuple(f"of the kernel {_KERNEL.value!r}: {note}" for note in known.notes)
    for note in notes:
        print(note, file=sys.stderr)
    warn_of_center(kernel, spec)
    return kernel, notes


def shared(config, spec) -> tuple[np.ndarray, tuple[str, ...]]:
    """The kernel of --shared_kernel, of an earlier run or from the images, and a note on it; the config gets it."""
    if _KERNEL.value is not None or _DISTRIBUTED.value:
        other = "kernel" if _KERNEL.value is not None else "distributed"
        raise ValueError(f"--shared_kernel and --{other} are both given, expected one of them")
    kernel = None if _RESTART.value else shared_kernel.earlier(_WORKDIR.value, spec)
    if kernel is None:
        kernel = shared_kernel.estimate(io.find_inputs(_INPUT.value), config, spec, white_level=_WHITE_LEVEL.value)
    build.give_kernel(config)
    config.num_steps = build.num_steps(config)
    return kernel, ("its kernel was found from all images together",)


def prepare(config):
    """Spec, solver, inputs, kernel and notes on it from the flags; whatever is wrong with them is a usage error."""
    try:
        check_config(config)
        if _WHITE_LEVEL.value is not None and math.isnan(_WHITE_LEVEL.value):
            raise ValueError("--white_level=nan is not a number, expected the value of white")
        known = known_kernel(config)
        if config.kernel_map is not None and (known is not None or _SHARED_KERNEL.value):
            other = "shared_kernel" if known is None else "kernel"
            raise ValueError(f"--config.kernel_map and --{other} are both given, expected one of them")
        config.num_steps = build.num_steps(config)
        spec = build.build_spec(config, _SCALE.value)
        kernel, notes = shared(config, spec) if _SHARED_KERNEL.value else (None, ())
        solver, paths = build.build_solver(config, spec), io.find_inputs(_INPUT.value)
        if _SHARED_KERNEL.value:
            solver = shared_kernel.judge(paths, kernel, solver, spec, white_level=_WHITE_LEVEL.value)
        if known is not None:
            kernel, notes = fit_kernel(known, spec)
        return spec, solver, paths, kernel, notes
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


def join() -> distributed.Peers:
    """Joins the other processes of the run, if the flags speak of any."""
    place = _COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value
    names = [flag.name for flag in (_COORDINATOR, _NUM_PROCESSES, _PROCESS_ID)]
    given = [name for name, value in zip(names, place, strict=True) if value is not None]
    if given and not _DISTRIBUTED.value:
        raise cli.UsageError(f"--{given[0]} says which process this is, expected --distributed with it")
    if given and len(given) < len(names):
        raise cli.UsageError(f"--{given[0]} alone is not enough, expected all or none of --{', --'.join(names)}")
    if given and not 0 <= _PROCESS_ID.value < _NUM_PROCESSES.value:
        limit = _NUM_PROCESSES.value - 1
        raise cli.UsageError(f"--process_id={_PROCESS_ID.value} is out of range, expected 0 to {limit}")
    if not _DISTRIBUTED.value:
        return distributed.Peers()
    try:
        return distributed.join(*place, seconds=_JOIN_SECONDS.value)
    except distributed.JoinError as error:
        raise cli.UsageError(f"--distributed: {error}") from error


def work(peers: distributed.Peers) -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    spec, solver, paths, kernel, kernel_notes = prepare(config)
    folder, layout = _WORKDIR.value, workdir.SOLVE
    if peers.index == 0:  # the others first find out whether it is the same folder
        inputs = paths if _KERNEL.value is None else [*paths, _KERNEL.value]
        ownership.check_inputs(inputs, folder, outputs=layout.places)
        ownership.check_folder(folder, layout)
        cli.make_workdir(folder, folders=workdir.FOLDERS)
    config_name = os.path.splitext(os.path.basename(config_flags.get_config_filename(flags.FLAGS["config"])))[0]
    given = {f.name: f.value for f in (_INPUT, _SCALE, _SEED, _KERNEL, _FLIP_KERNEL, _WHITE_LEVEL)}
    document = {"config": config_name, "flags": given, "kernel_sha256": _KERNEL.value and resume.sha256(_KERNEL.value)}
    if _SHARED_KERNEL.value:
        document |= shared_kernel.as_document(kernel)
    told = agreement.identity(document, config.to_dict()) if peers.count > 1 else {}
    run = Run(
        name=config_name,
        config=config,
        spec=spec,
        solver=solver,
        kernel=kernel,
        folder=folder,
        seed=_SEED.value,
        group_size=_GROUP_SIZE.value,
        checkpoint_seconds=_CHECKPOINT_SECONDS.value,
        memory_check=_MEMORY_CHECK.value,
        memory_gb=_MEMORY_GB.value,
        white_level=_WHITE_LEVEL.value,
        kernel_notes=kernel_notes,
        stopper=Stopper(),
        clock=CompileClock(),
        figures=_FIGURES.value,
        peers=peers,
    )
    try:
        if peers.index > 0:
            return cli.SOME_FAILED if leading.follow(run, told) else cli.OK
        with locks.hold(folder):
            agreement.ask(peers, told, folder, run.stopper)
            with workdir.writing(folder):
                jobs = resume.plan(folder, document | config.to_dict(), paths, restart=_RESTART.value)
            failed = leading.lead(jobs, run)
    except (locks.LockedError, resume.DifferenceError) as error:
        raise cli.UsageError(f"--workdir={folder}: {error}") from error
    except distributed.RefusedError as error:
        raise cli.UsageError(f"--distributed: {error}") from error
    print(f"results in {os.path.join(folder, 'index.html')}")
    return cli.SOME_FAILED if failed else cli.OK


def main() -> int:
    """Solves, together with other processes if there are any."""
    peers = join()
    with distributed.together(peers):
        return work(peers)


if __name__ == "__main__":
    cli.run(main)
