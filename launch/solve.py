r"""Solves images: the sharp image and the blur kernel of each.

python launch/solve.py --config=configs/dip_dkp.py --input='photos/*.jpg' --scale=4 --workdir=out/photos
"""

import os
import sys
import time

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags
from tqdm import tqdm

from blindsr_jax import cli, io, methods, metrics, workdir
from blindsr_jax.config import check_config
from blindsr_jax.kernels import geometry
from blindsr_jax.problem import Problem
from blindsr_jax.solve import solve

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


def solve_file(path, record, config, spec, solver, kernel, clock, bar) -> None:
    """Reads, solves and writes one image; fills in its record."""
    source = io.read_image(path)
    check_size(source, spec, solver, path)

    def on_chunk(done, trace):
        bar.update(done - bar.n)
        bar.set_postfix(loss=f"{trace['loss'][-1]:.3g}")

    problem = Problem(jax.numpy.asarray(source.pixels), spec)
    key = cli.image_key(_SEED.value, record["name"])
    begin, compiled = time.perf_counter(), clock.seconds()
    steps = {"num_steps": config.num_steps, "chunk_steps": config.chunk_steps}
    result = solve(key, problem, solver, kernel=kernel, on_chunk=on_chunk, **steps)
    compile_seconds = clock.seconds() - compiled
    record.update(
        status=result.status,
        seconds=round(time.perf_counter() - begin - compile_seconds, 3),
        compile_seconds=round(compile_seconds, 3),
        steps=config.num_steps,
        loss=float(result.trace["loss"][-1]),
    )
    if result.status == "diverged":
        message = f"the losses of {str(path)!r} stopped being finite, try a smaller --config.image.learning_rate"
        workdir.write_failure(_WORKDIR.value, record, message, status="diverged")
    else:
        workdir.write_outputs(_WORKDIR.value, record, source, result)


def report(label: str, record: dict) -> None:
    """One line an image."""
    if record["status"] in workdir.FAILURES:
        print(f"{label}: {record['status']}, {record['message']}", file=sys.stderr, flush=True)
    else:
        print(f"{label}: {record['status']} in {record['seconds']:.1f} s", flush=True)


def main() -> int:
    """Solves all images; one bad file is recorded and the rest goes on."""
    config = _CONFIG.value.copy_and_resolve_references()
    spec, solver, paths, kernel = prepare(config)
    folder = cli.make_workdir(_WORKDIR.value, folders=workdir.FOLDERS)
    config_name = os.path.splitext(os.path.basename(config_flags.get_config_filename(flags.FLAGS["config"])))[0]
    given = {f.name: f.value for f in (_INPUT, _SCALE, _SEED, _KERNEL)}
    io.write_json(os.path.join(folder, "config.json"), {"config": config_name, "flags": given, **config.to_dict()})
    clock, records = cli.CompileClock(), []
    for i, (path, name) in enumerate(zip(paths, io.unique_stems(paths), strict=True)):
        record = workdir.new_record(name, spec=spec, config=config_name, seed=_SEED.value)
        if name != path.stem:
            record["message"] = f"the stem of {path.name!r} is taken or is not text, its results are named {name!r}"
        label = f"[{i + 1}/{len(paths)}] {name}"
        try:
            with tqdm(total=config.num_steps, desc=label, unit="step", disable=None, leave=False) as bar:
                solve_file(path, record, config, spec, solver, kernel, clock, bar)
        except Exception as error:  # whatever ails one image, the others go on
            workdir.write_failure(folder, record, cli.failure(path, error))
        records.append(record)
        workdir.write_summary(folder, records)
        report(label, record)
    print(f"results in {os.path.join(folder, 'index.html')}")
    return cli.SOME_FAILED if any(r["status"] in workdir.FAILURES for r in records) else cli.OK


if __name__ == "__main__":
    cli.run(main)
