r"""Measures how fast a method is, where the time goes, and how that compares with what the device can do.

python launch/benchmark.py --config=configs/dip_dkp.py --hr_size=160 --scale=4 --batch_sizes=1,4 --steps=20 \
    --json=out/benchmark.json [--compare=configs/dip_dkp_release.py:32]

The LR images are random; no file is needed. One record per batch size:

- seconds_per_step: of all images of the batch, without compilation; median over --rounds. On a CPU the images go one
  after another through one program, on an accelerator through one vmap, as in a solve.
- seconds_per_image: seconds_per_step times config.num_steps, divided by the batch size.
- flops_per_step: 2 x multiply-add of the image network, forward and two gradients, from the shapes of its layers.
- matmul_share: flops_per_step / seconds_per_step, in the rate of a large matrix product of side 4096, on a CPU 2048,
  of the same dtype in the same run.
- peak_memory_bytes: on an accelerator the most that the device has held, if this batch has raised it; otherwise, and on
  a CPU, what the compiler plans for the program: arguments, results and temporaries.
- breakdown: seconds of a step in convolutions, normalisation and elementwise work, kernel model, and the rest.

With --forms, milliseconds per image of each form of each convolution instead, forward and with both gradients: one
image alone, and batches under one vmap with a network per image (on a CPU too, where a solve would not do so).

With --estimator, LR images per second of the estimator that a config like pipeline.py names, of side hr_size / scale.

With --compare two configs are timed in turn in one process. `compare.ratio` is the seconds of a step of the second in
those of the first; on a shared machine trust it rather than ratios of separate runs. Compiled programs are not kept on
disk here unless --compilation_cache is given, so that compile_seconds is what it says.
"""

import os
import sys
from functools import cache
from typing import Any

from absl import flags
from ml_collections import config_flags
from tqdm import tqdm

from blindsr_jax import io
from blindsr_jax.benchmarks import conv_forms, programs, throughput, timing
from blindsr_jax.config import check_config, load_config
from blindsr_jax.runs import cli, ownership

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The method: a file of configs/.", lock_config=False, accept_new_attributes=True
)
_COMPARE = flags.DEFINE_string("compare", None, "A second config file, timed in turn with the first.")
_HR_SIZE = flags.DEFINE_integer("hr_size", 160, "Side of the result, a multiple of --scale.", lower_bound=1)
_SCALE = flags.DEFINE_integer("scale", 4, "Enlargement.", lower_bound=1, upper_bound=8)
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1"], "Numbers of images that are solved at once.")
_STEPS = flags.DEFINE_integer("steps", 20, "Steps per timed call.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Medians are over that many rounds of two calls.", lower_bound=1)
_BREAKDOWN = flags.DEFINE_bool("breakdown", True, "Measure also where the time goes.")
_FORMS = flags.DEFINE_bool(
    "forms", False, "Instead of all that, time each form of the convolution for each layer of the image network."
)
_ESTIMATOR = flags.DEFINE_bool("estimator", False, "Instead of all that, images per second of a one-step estimator.")
_JSON = flags.DEFINE_string("json", None, "File of the records.")
flags.mark_flags_as_required(["config"])
flags.FLAGS.set_default("compilation_cache", False)


def batch_sizes() -> list[int]:
    """The numbers of --batch_sizes."""
    if not _BATCH_SIZES.value or not all(word.strip().isdecimal() and int(word) for word in _BATCH_SIZES.value):
        given = ",".join(_BATCH_SIZES.value)
        raise cli.UsageError(f"--batch_sizes={given} is not valid, expected whole numbers of at least 1, e.g. 1,4")
    return [int(word) for word in _BATCH_SIZES.value]


def read_configs() -> dict[str, Any]:
    """One or two configs by name."""
    first = config_flags.get_config_filename(flags.FLAGS["config"])
    configs = {_name(first): _CONFIG.value.copy_and_resolve_references()}
    if _COMPARE.value is not None:
        name = _name(_COMPARE.value)
        configs[name if name not in configs else f"{name} (--compare)"] = load_config(_COMPARE.value)
    for config in configs.values():
        check_config(config)
    return configs


def _name(path: str) -> str:
    return os.path.basename(path).replace(".py", "", 1)


def make_cases() -> dict[str, programs.Case]:
    """The configs at the size of the flags; whatever is wrong with these is a usage error."""
    check_size()
    hr_size, scale = _HR_SIZE.value, _SCALE.value
    with cli.usage_errors():
        cases = {name: programs.make_case(c, hr_size=hr_size, scale=scale) for name, c in read_configs().items()}
    check_json()
    return cases


def check_json() -> None:
    """Finds out before the measurement that its result cannot be written."""
    if _JSON.value is None:
        return
    if os.path.isdir(_JSON.value) or not os.path.basename(_JSON.value):
        raise cli.UsageError(f"--json={_JSON.value} is a folder, expected the name of a file")
    ownership.check_file(_JSON.value, flag="json", kind="a list of records of this launch", is_ours=is_records)
    cli.make_workdir(os.path.dirname(_JSON.value) or ".", flag="json")


def is_records(path: str) -> bool:
    """Whether a file holds what an earlier run has measured."""
    rows = ownership.read_json(path)
    keys = {"config", "batch_size"}, {"layer", "images"}  # of measurements and estimators, of --forms
    return isinstance(rows, list) and all(isinstance(row, dict) and any(k <= row.keys() for k in keys) for row in rows)


def measure_forms(case: programs.Case, sizes: list[int]) -> int:
    """Times the forms of the convolution, prints a table, writes a row per layer and batch size."""
    rows = []
    for row in tqdm(conv_forms.measure_forms(case, sizes, steps=_STEPS.value, rounds=_ROUNDS.value), disable=None):
        rows.append(row)
        if _JSON.value is not None:
            io.write_json(_JSON.value, rows)
    print(conv_forms.table(rows))
    return cli.OK


def check_size() -> None:
    """Refuses a size that the scale does not divide."""
    if _HR_SIZE.value % _SCALE.value:
        raise cli.UsageError(f"--hr_size={_HR_SIZE.value} is not valid, expected a multiple of --scale={_SCALE.value}")


def measure_estimator(sizes: list[int]) -> int:
    """Times the estimator of --config, prints a table, writes a record per batch size."""
    check_size()
    check_json()
    records = []
    with cli.usage_errors():
        config = next(iter(read_configs().values()))
        for record in throughput.estimator_rates(
            config, sizes, hr_size=_HR_SIZE.value, scale=_SCALE.value, rounds=_ROUNDS.value
        ):
            records.append(record)
            if _JSON.value is not None:
                io.write_json(_JSON.value, records)
    print(throughput.table(records))
    return cli.OK


def main() -> int:
    """Measures, prints a table, writes the records after each batch size."""
    sizes = batch_sizes()
    if _ESTIMATOR.value:
        return measure_estimator(sizes)
    cases = make_cases()
    if _FORMS.value:
        return measure_forms(next(iter(cases.values())), sizes)
    benches = [programs.make_bench(name, case, steps=_STEPS.value) for name, case in cases.items()]
    rate, records = cache(timing.matmul_rate), []
    options = {"steps": _STEPS.value, "rounds": _ROUNDS.value, "parts": _BREAKDOWN.value}
    for size in tqdm(sizes, unit="size", disable=None, leave=False):
        records += programs.measure(benches, size, rate=rate, **options)
        if _JSON.value is not None:
            io.write_json(_JSON.value, records)
    print(programs.table(records))
    for record in records:
        if "message" in record:
            print(f"batch size {record['batch_size']}: {record['message']}", file=sys.stderr)
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
