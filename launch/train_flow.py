r"""Trains a flow-based kernel prior (FKP, Liang et al. 2021).

python launch/train_flow.py --config=configs/flow.py --config.scale=4 --workdir=out/flow_x4

Writes flow.npz (the best epoch by validation; --config.kernel.weights of configs/dip_fkp.py takes it), flow.json (what
it was made from), metrics.jsonl, samples.png and interpolation.png. The same command goes on where an interrupted one
stopped.
"""

import os
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from blindsr_jax import io
from blindsr_jax.imaging.problem import Spec, make_spec
from blindsr_jax.methods import families
from blindsr_jax.networks import kernel_flow
from blindsr_jax.runs import cli
from blindsr_jax.solvers.loop import Progress
from blindsr_jax.training import driver, flow_sheets, values
from blindsr_jax.training import flow_data as kernel_data
from blindsr_jax.weights import flow as flow_weights

_CONFIG = config_flags.DEFINE_config_file("config", None, "The training: a file like configs/flow.py.")
flags.adopt_module_key_flags(driver)
flags.mark_flags_as_required(["config", "workdir"])

_OUTPUTS = ("flow.npz", "flow.json", "samples.png", "interpolation.png")


class Run(NamedTuple):
    """What all epochs share."""

    config: Any
    spec: Spec
    data: Any
    settings: Any
    normalization: float
    key: jax.Array
    grid: jax.Array  # kernels to validate on
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
    family = families.build_family(config.prior, spec)
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
        from blindsr_jax.training import flow as flow_training
    except ImportError as error:
        raise cli.UsageError(f"training needs distrax, which cannot be imported ({cli.one_line(error)})") from error
    with cli.usage_errors(ValueError, TypeError, KeyError):
        if config.scale is None:
            raise ValueError("config.scale is not given, expected --config.scale=N with N from 1 to 8")
        values.check(config, values.FLOW)
        spec = make_spec(scale=config.scale, kernel_size=config.kernel_size, kernel_center="release")
        settings = flow_training.Settings(**{name: config[name] for name in flow_training.Settings._fields})
        if settings.batch_size > settings.kernels_per_epoch:
            raise ValueError(
                f"config.batch_size is {settings.batch_size}, expected at most config.kernels_per_epoch "
                f"({settings.kernels_per_epoch})"
            )
    return spec, settings


def new_state(run: Run):
    """The state before the first epoch."""
    from blindsr_jax.training import flow as flow_training

    hidden = run.config.hidden_size or kernel_flow.hidden_size(run.spec.scale)
    size, blocks = run.spec.kernel_size**2, run.config.num_blocks
    return flow_training.init(
        jax.random.fold_in(run.key, 2**31), run.settings, size=size, hidden=hidden, num_blocks=blocks
    )


def one_epoch(run: Run, number: int, state) -> tuple[Any, dict[str, float]]:
    """Trains, validates and keeps the best flow so far; `number` epochs were done before."""
    from blindsr_jax.training import flow as flow_training

    normalization = jnp.asarray(run.normalization, run.grid.dtype)
    key = jax.random.fold_in(run.key, number)
    state, loss = flow_training.run_epoch(key, state, normalization, data=run.data, settings=run.settings)
    value = flow_training.validate(kernel_flow.Flow(state.params, state.stats, normalization), run.grid)
    return flow_training.keep_best(state, value), {"loss": float(loss), "validation": float(value)}


def write_flow(run: Run, progress: Progress) -> None:
    """The best flow, what it was made from, and what it makes."""
    from blindsr_jax.training import flow as flow_training

    state = progress.state
    flow = kernel_flow.Flow(state.best_params, state.best_stats, np.float32(run.normalization))
    if run.config.half_precision:
        flow = flow_weights.halve(flow)
    scores = progress.trace["validation"]
    stored = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), flow)
    config = driver.plain(run.config)
    data = config["kernels"] or config["prior"]["families"]
    metrics = {
        "loss": float(progress.trace["loss"][-1]),
        "best_epoch": int(np.nanargmax(scores)) + 1,
        "validation_log_density": float(flow_training.validate(stored, run.grid)),
    }
    steps = progress.step * run.settings.steps_per_epoch
    note = driver.note(run.config, progress, steps=steps, metrics=metrics)
    note |= {"name": f"flow_x{run.spec.scale}", "data": data, "normalization": run.normalization}
    driver.write_weights(os.path.join(run.folder, "flow.npz"), flow_weights.to_bytes(flow, run.spec.scale, note))
    key = jax.random.fold_in(run.key, 2**31 + 1)
    real = run.data.draw(key, flow_sheets.ROWS * flow_sheets.COLUMNS)
    io.kernel_sheet(os.path.join(run.folder, "samples.png"), flow_sheets.samples(key, stored, real))
    io.kernel_sheet(os.path.join(run.folder, "interpolation.png"), flow_sheets.interpolations(key, stored))


def show(bar, progress: Progress) -> None:
    """The numbers beside the bar."""
    loss, value = (progress.trace[name][-1] for name in ("loss", "validation"))
    bar.set_postfix(loss=f"{loss:.2f}", validation=f"{value:.2f}", best=f"{float(progress.state.best):.2f}")


def prepare(config, spec: Spec, settings, folder: str) -> driver.Training:
    """Makes what training needs; a kernel or family that cannot be used is a usage error."""
    with cli.usage_errors():
        data = choose_data(config, spec)
    normalization = config.normalization or kernel_data.choose_normalization(data)
    run = Run(config, spec, data, settings, normalization, jax.random.key(config.seed), data.validation(), folder)
    return driver.Training(
        settings.num_epochs,
        config.sheet_every,
        ("loss", "validation"),
        begin=partial(new_state, run),
        advance=partial(one_epoch, run),
        write=partial(write_flow, run),
        show=show,
    )


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    spec, settings = check(config)
    folder, progress = driver.run(config, _OUTPUTS, partial(prepare, config, spec, settings))
    print(f"mean validation log density {float(progress.state.best):.2f}, flow in {os.path.join(folder, 'flow.npz')}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
