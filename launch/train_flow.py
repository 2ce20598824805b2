r"""Trains a flow-based kernel prior (FKP, Liang et al. 2021).

python launch/train_flow.py --config=configs/flow.py --config.scale=4 --workdir=out/flow_x4

Writes flow.npz (the best epoch by validation; --config.kernel.weights of configs/dip_fkp.py takes it), flow.json (what
it was made from), metrics.jsonl, samples.png and interpolation.png. The same command goes on where an interrupted one
stopped.
"""

import json
import os
import shutil
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags
from tqdm import tqdm

import blindsr_jax
from blindsr_jax import checkpoints, cli, io, locks, methods
from blindsr_jax.config import check_values
from blindsr_jax.flows import data as kernel_data
from blindsr_jax.flows import model, sheets, weights
from blindsr_jax.problem import Spec, make_spec
from blindsr_jax.solve import Progress
from blindsr_jax.stopping import Stopper

_CONFIG = config_flags.DEFINE_config_file("config", None, "The training: a file like configs/flow.py.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
_RESTART = flags.DEFINE_bool("restart", False, "Start afresh, and delete what an earlier run left in --workdir.")
_CHECKPOINT_SECONDS = flags.DEFINE_float(
    "checkpoint_seconds", 30.0, "About how many seconds apart the state is saved.", lower_bound=0.0
)
flags.mark_flags_as_required(["config", "workdir"])

_OUTPUTS = ("flow.npz", "flow.json", "metrics.jsonl", "samples.png", "interpolation.png")


class Run(NamedTuple):
    """What all epochs share."""

    config: Any
    spec: Spec
    data: Any
    settings: Any
    normalization: float
    key: jax.Array
    folder: str


def own_kernels(pattern: str, spec: Spec) -> np.ndarray:
    """A user's kernels (n, k, k); the first bad file ends the run."""
    found = []
    for path in io.find_inputs(pattern):
        try:
            found.append(kernel_data.prepare(io.read_kernel(path), spec.scale, spec.kernel_size))
        except io.InputError:
            raise
        except ValueError as error:
            raise ValueError(f"cannot use the kernel {str(path)!r}: {error}") from error
    return np.stack(found)


def choose_data(config, spec: Spec) -> kernel_data.Data:
    """Own kernels, or those of the families."""
    if config.kernels is not None:
        return kernel_data.from_kernels(own_kernels(config.kernels, spec))
    family = methods.build_family(config.prior, spec)
    if (
        family.name == "gaussian"
        and config.prior.gaussian.get("variance_range") in (None, "data")
        and not config.smoothing
    ):
        return kernel_data.gaussian(family, spec.scale, spec.kernel_size)
    return kernel_data.from_family(family, smoothing=config.smoothing * spec.scale)


def check(config):
    """The spec and the settings of a training; whatever is wrong with them is a usage error."""
    try:
        from blindsr_jax.flows import train
    except ImportError as error:
        raise cli.UsageError(f"training needs distrax, which cannot be imported ({cli.one_line(error)})") from error
    try:
        if config.scale is None:
            raise ValueError("config.scale is not given, expected --config.scale=N with N from 1 to 8")
        check_values(config, "config.")
        spec = make_spec(scale=config.scale, kernel_size=config.kernel_size, kernel_center="release")
        settings = train.Settings(**{name: config[name] for name in train.Settings._fields})
        if settings.batch_size > settings.kernels_per_epoch:
            raise ValueError(
                f"config.batch_size is {settings.batch_size}, expected at most config.kernels_per_epoch "
                f"({settings.kernels_per_epoch})"
            )
    except (ValueError, TypeError, KeyError) as error:
        raise cli.UsageError(cli.one_line(error)) from error
    return spec, settings


def prepare(config, spec: Spec, settings) -> Run:
    """Makes what training needs; a kernel or family that cannot be used is a usage error."""
    try:
        data = choose_data(config, spec)
    except (ValueError, TypeError) as error:
        raise cli.UsageError(cli.one_line(error)) from error
    normalization = config.normalization or kernel_data.choose_normalization(data)
    return Run(config, spec, data, settings, normalization, jax.random.key(config.seed), _WORKDIR.value)


def plain(config) -> dict[str, Any]:
    """The config in JSON's types."""
    return json.loads(config.to_json_best_effort())


def check_folder(folder: str, config) -> None:
    """Refuses a folder that holds another training, or empties it if so asked."""
    place, new = os.path.join(folder, "config.json"), plain(config)
    if _RESTART.value:
        shutil.rmtree(os.path.join(folder, "state"), ignore_errors=True)
        for name in (*_OUTPUTS, "config.json"):
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


def new_state(run: Run):
    """The state before the first epoch."""
    from blindsr_jax.flows import train

    hidden = run.config.hidden_size or model.hidden_size(run.spec.scale)
    size, blocks = run.spec.kernel_size**2, run.config.num_blocks
    return train.init(jax.random.fold_in(run.key, 2**31), run.settings, size=size, hidden=hidden, num_blocks=blocks)


def restore(run: Run) -> Progress:
    """Where an earlier run stopped, or the beginning."""
    trace = {name: jax.ShapeDtypeStruct((), np.float32) for name in ("loss", "validation", "seconds")}
    like = jax.eval_shape(lambda: new_state(run))
    found = checkpoints.restore(os.path.join(run.folder, "state"), like, trace)
    return found[0] if found else Progress(0, 0, new_state(run), {name: np.zeros(0, np.float32) for name in trace})


def one_epoch(run: Run, progress: Progress, grid: jax.Array) -> Progress:
    """Trains, validates and keeps the best flow so far."""
    from blindsr_jax.flows import train

    begin, epoch = time.perf_counter(), progress.step
    normalization = jnp.asarray(run.normalization, grid.dtype)
    state, loss = train.run_epoch(
        jax.random.fold_in(run.key, epoch), progress.state, normalization, data=run.data, settings=run.settings
    )
    value = train.validate(model.Flow(state.params, state.stats, normalization), grid)
    state = train.keep_best(state, value)
    new = {"loss": float(loss), "validation": float(value), "seconds": time.perf_counter() - begin}
    trace = {name: np.append(old, np.float32(new[name])) for name, old in progress.trace.items()}
    return Progress(0, epoch + 1, state, trace)


def write_metrics(run: Run, trace) -> None:
    """metrics.jsonl, one line an epoch; whole or not at all, so that a resumed run shows each epoch once."""
    rows = [{name: float(f"{values[i]:.7g}") for name, values in trace.items()} for i in range(len(trace["loss"]))]
    lines = [json.dumps({"epoch": i + 1, **row}) for i, row in enumerate(rows)]
    io.write_text(os.path.join(run.folder, "metrics.jsonl"), "\n".join(lines) + "\n")


def write_flow(run: Run, progress: Progress, grid: jax.Array) -> None:
    """The best flow, what it was made from, and what it makes."""
    from blindsr_jax.flows import train

    state = progress.state
    flow = model.Flow(state.best_params, state.best_stats, np.float32(run.normalization))
    if run.config.half_precision:
        flow = weights.halve(flow)
    place = os.path.join(run.folder, "flow.npz")
    io.write_bytes(place, weights.to_bytes(flow, run.spec.scale))
    flow = jax.tree.map(jnp.asarray, weights.read(place)[0])
    values = progress.trace["validation"]
    config = plain(run.config)
    note = {
        "scale": run.spec.scale,
        "kernel_size": run.spec.kernel_size,
        "normalization": run.normalization,
        "config": config,
        "data": config["kernels"] or config["prior"]["families"],
        "epochs": progress.step,
        "best_epoch": int(np.nanargmax(values)) + 1,
        "validation_log_density": float(train.validate(flow, grid)),
        "seconds": float(progress.trace["seconds"].sum()),
        "versions": {"blindsr_jax": blindsr_jax.__version__, "jax": jax.__version__},
    }
    io.write_json(os.path.join(run.folder, "flow.json"), note)
    key = jax.random.fold_in(run.key, 2**31 + 1)
    real = run.data.draw(key, sheets.ROWS * sheets.COLUMNS)
    io.kernel_sheet(os.path.join(run.folder, "samples.png"), sheets.samples(key, flow, real))
    io.kernel_sheet(os.path.join(run.folder, "interpolation.png"), sheets.interpolations(key, flow))


def train_all(run: Run, stopper: Stopper) -> Progress:
    """Runs the epochs that are left."""
    progress, saved = restore(run), time.monotonic()
    grid, total = run.data.validation(), run.settings.num_epochs

    def save():
        checkpoints.save(os.path.join(run.folder, "state"), progress)

    if progress.step == total:  # the state may be newer than what is derived from it
        write_flow(run, progress, grid)
    if progress.step:
        print(f"{progress.step} of {total} epochs were done before", flush=True)
    with tqdm(total=total, initial=progress.step, desc="training", unit="epoch", disable=None) as bar:
        while progress.step < total:
            if stopper.number is not None:
                save()
                stopper.check()
            progress = one_epoch(run, progress, grid)
            loss, value = (float(progress.trace[name][-1]) for name in ("loss", "validation"))
            if not np.isfinite(loss):
                message = f"the loss of epoch {progress.step} is {loss}, try a smaller --config.learning_rate"
                raise cli.UsageError(message)
            bar.update()
            bar.set_postfix(loss=f"{loss:.2f}", validation=f"{value:.2f}", best=f"{float(progress.state.best):.2f}")
            write_metrics(run, progress.trace)
            done = progress.step == total
            if done or progress.step % run.config.sheet_every == 0:
                write_flow(run, progress, grid)
            if done or time.monotonic() - saved > _CHECKPOINT_SECONDS.value:
                save()
                saved = time.monotonic()
    return progress


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    spec, settings = check(config)
    folder, stopper = cli.make_workdir(_WORKDIR.value), Stopper()
    try:
        with locks.hold(folder):
            check_folder(folder, config)
            run = prepare(config, spec, settings)
            io.write_json(os.path.join(folder, "config.json"), plain(config))
            progress = train_all(run, stopper)
    except locks.LockedError as error:
        raise cli.UsageError(f"--workdir={folder}: {error}") from error
    print(f"mean validation log density {float(progress.state.best):.2f}, flow in {os.path.join(folder, 'flow.npz')}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
