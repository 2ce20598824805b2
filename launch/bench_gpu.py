r"""The report of a GPU (or any machine) in one run that keeps to a time: speed, memory, forms, precision.

python launch/bench_gpu.py --workdir=out/gpu [--budget_seconds=520] [--input='photos/*.png']

Stages run in the order of their weight: 64 images of 256 x 256 with `dip_dkp_release`, the same with `dip_dkp_fast`,
TF32 and bfloat16 against float32 (paired, over cases and seeds), LR images per second of KENet, fewer images at once,
the forms of the convolution, memory at 512 and 1024. What no longer fits is skipped, and the report says so. It is
written after each stage: `report.md` and `report.json` in --workdir. --small runs all of it in minutes on a CPU, to see
that it works.

The cases of the comparison are crops of --input, or of scikit-image's photographs, under random kernels of the method's
own families, x4, without noise.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from blindsr_jax import io
from blindsr_jax.benchmarks import conv_forms, throughput, timing
from blindsr_jax.benchmarks import programs as benchmark_programs
from blindsr_jax.benchmarks.stages import Clock, Report, Stage, run_stage
from blindsr_jax.config import load_config
from blindsr_jax.evaluation import metrics
from blindsr_jax.evaluation.tables import mean_interval
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem
from blindsr_jax.kernels.family import sample_kernels
from blindsr_jax.methods import build, families
from blindsr_jax.networks.kenet import KENet
from blindsr_jax.runs import cli, ownership
from blindsr_jax.runs.compile_clock import CompileClock
from blindsr_jax.solvers.batch import solve_batch
from blindsr_jax.solvers.memory import is_out_of_memory
from blindsr_jax.weights import kenet as kenet_weights

_WORKDIR = flags.DEFINE_string("workdir", "out/gpu", "Folder of the report; made where missing.")
_BUDGET = flags.DEFINE_float("budget_seconds", 520.0, "The run ends by then.", lower_bound=1.0)
_INPUT = flags.DEFINE_string("input", None, "HR images for the comparison of precisions: a file or a quoted glob.")
_SMALL = flags.DEFINE_bool("small", False, "Tiny images and networks, to try the script.")

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
SCALE = 4
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea")
CROPS = ((0.1, 0.1), (0.5, 0.5), (0.9, 0.9))  # of a photograph: where the corner lies, in the room there is
TINY = {"channels": 8, "skip_channels": 2, "levels": 2, "first_nonlocal": 1}


class Plan(NamedTuple):
    """How large everything is."""

    hr_size: int
    batch_sizes: tuple[int, ...]  # the first is the headline
    large: tuple[int, ...]  # sides, for the memory
    form_batch: int
    study_size: int
    study_steps: int | None
    seeds: int
    steps: int  # a timed call
    compile_seconds: float  # a first guess, of one program
    patches: tuple[int, ...]  # LR images that KENet sees at once


FULL = Plan(256, (64, 16, 4, 1), (512, 1024), 16, 160, None, 3, 10, 40.0, (1024, 256))
SMALL = Plan(32, (2, 1), (32, 48), 2, 32, 2, 2, 2, 10.0, (2,))


def read(name: str, **image: Any) -> Any:
    """A config with values of its image model, small if asked for.

    Raises:
      ValueError: the image model does not take such a value; one sentence.
    """
    config = load_config(str(CONFIGS / f"{name}.py"))
    if _SMALL.value:
        config.image.update(TINY)
        config.kernel.update({"num_samples": 32, "warmup_steps": 2, "hidden": 16})
    config.image.update(image)
    build.build_image_model(config, build.build_spec(config, SCALE))
    return config


def fastest(name: str) -> Any:
    """A config in TF32."""
    return read(name, precision="tf32")


def together() -> bool | None:
    """Small images go through one vmap on any machine, since that is what is to be tried."""
    return True if _SMALL.value else None


def bench(name: str, config: Any, hr_size: int, steps: int) -> benchmark_programs.Bench:
    """The programs of a config at one size."""
    case = benchmark_programs.make_case(config, hr_size=hr_size, scale=SCALE, vectorize=together())
    return benchmark_programs.make_bench(name, case, steps=steps)


def speed(benches: Callable, name: str, sizes: tuple[int, ...], plan: Plan, rate, *, parts=False) -> Iterator[list]:
    """Records of a config, one batch size after another."""
    for size in sizes:
        yield benchmark_programs.measure([benches(name)], size, steps=plan.steps, rounds=2, rate=rate, parts=parts)


def forms(plan: Plan, rate: Callable) -> Iterator[list[dict]]:
    """Each form of the convolution in turn with the one that is chosen."""
    auto = bench("auto", fastest("dip_dkp_release"), plan.hr_size, plan.steps)
    for name in conv_forms.FORMS:
        config = fastest("dip_dkp_release")
        config.image.conv = name
        other = bench(name, config, plan.hr_size, plan.steps)
        options = {"steps": plan.steps, "rounds": 2, "rate": rate, "parts": False}
        yield benchmark_programs.measure([auto, other], plan.form_batch, **options)


def memory(plan: Plan, rate: Callable) -> Iterator[list[dict]]:
    """One large image, few steps."""
    for side in plan.large:
        programs = bench("dip_dkp_release", fastest("dip_dkp_release"), side, 2)
        yield benchmark_programs.measure([programs], 1, steps=2, rounds=1, rate=rate, parts=False)


def photographs() -> Iterator[np.ndarray]:
    """HR images for the comparison."""
    if _INPUT.value is not None:
        yield from (np.asarray(io.read_image(path).pixels) for path in io.find_inputs(_INPUT.value))
        return
    import skimage.data  # not needed by anything else here

    yield from (getattr(skimage.data, name)() / 255 for name in PHOTOGRAPHS)


def make_cases(config: Any, plan: Plan) -> tuple[Problem, np.ndarray]:
    """LR images as one stacked problem, and the HR images (n, H, H, 3)."""
    spec = build.build_spec(config, SCALE)
    lr_shape = (plan.study_size // SCALE, plan.study_size // SCALE, 3)
    rows, columns = spec.canvas_shape(lr_shape)
    canvases = []
    for pixels in photographs():
        pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3)) if pixels.shape[2] == 1 else pixels[..., :3]
        room = pixels.shape[0] - rows, pixels.shape[1] - columns
        if min(room) < 0:
            raise ValueError(f"--input={_INPUT.value} has an image of less than {columns} x {rows} pixels")
        corners = [(int(a * room[0]), int(b * room[1])) for a, b in CROPS]
        canvases += [pixels[top : top + rows, left : left + columns] for top, left in corners]
    stack = jnp.asarray(np.stack(canvases), jnp.float32)
    kernels = sample_kernels(jax.random.key(6), families.build_family(config.prior, spec), len(stack))
    blur = jax.vmap(lambda x, k: degrade(x, k, scale=SCALE, boundary=spec.boundary))
    return Problem(blur(stack, kernels), spec), np.asarray(spec.crop(stack, lr_shape))


def solved_psnr(config: Any, problems: Problem, hr: np.ndarray, plan: Plan) -> np.ndarray:
    """PSNR-Y (cases, seeds); all are solved at once where memory allows."""
    solver = build.build_solver(config, problems.spec)
    n, keys = len(hr), []
    for seed in range(plan.seeds):
        keys += [jax.random.fold_in(jax.random.key(seed), case) for case in range(n)]
    stack = Problem(jnp.concatenate([problems.lr] * plan.seeds), problems.spec)
    options = {"num_steps": plan.study_steps or config.num_steps, "chunk_steps": config.chunk_steps}
    options["vectorize"] = together()
    results = solve_batch(jnp.stack(keys), stack, solver, **options)
    scores = [metrics.psnr_y(np.asarray(r.image), hr[i % n], border=SCALE) for i, r in enumerate(results)]
    return np.reshape(scores, (plan.seeds, n)).T


def precisions(plan: Plan) -> Iterator[list[dict]]:
    """PSNR-Y in TF32 and in bfloat16 less that in float32, with the same keys: mean over cases of means over seeds."""
    problems, hr = make_cases(read("dip_dkp_fast"), plan)
    reference = solved_psnr(read("dip_dkp_fast", precision="float32"), problems, hr, plan)
    for name in ("bfloat16", "tf32"):
        other = solved_psnr(read("dip_dkp_fast", precision=name), problems, hr, plan)
        mean, half = mean_interval((other - reference).mean(1))
        yield [
            {
                "precision": name,
                "cases": len(hr),
                "seeds": plan.seeds,
                "psnr_y": other.mean(),
                "psnr_y_float32": reference.mean(),
                "difference": mean,
                "half_width_95": half,
            }
        ]


def whole(name: str, plan: Plan) -> Iterator[list[dict]]:
    """A solve of all images from its start to its end, which the seconds of a step only promise."""
    config, clock = fastest(name), CompileClock()
    spec, n = build.build_spec(config, SCALE), plan.batch_sizes[0]
    steps = plan.study_steps or config.num_steps
    lr = jax.random.uniform(jax.random.key(7), (n, plan.hr_size // SCALE, plan.hr_size // SCALE, 3))
    keys = jax.random.split(jax.random.key(8), n)
    solver = build.build_solver(config, spec)
    jax.block_until_ready((lr, keys))
    begin, before = time.perf_counter(), clock.seconds()
    solve_batch(keys, Problem(lr, spec), solver, num_steps=steps, chunk_steps=config.chunk_steps, vectorize=together())
    compiling = clock.seconds() - before
    seconds = (time.perf_counter() - begin - compiling) / n
    yield [{"config": name, "images": n, "steps": steps, "seconds_per_image": seconds, "compile_seconds": compiling}]


def table(rows: list[dict]) -> str:
    """Records of a stage as Markdown."""
    if "images" in rows[0]:
        lines = ["| config | images | steps | s/image | compile s |", "|---|---|---|---|---|"]
        for r in rows:
            times = f"{r['seconds_per_image']:.3f} | {r['compile_seconds']:.0f}"
            lines.append(f"| {r['config']} | {r['images']} | {r['steps']} | {times} |")
        return "\n".join(lines)
    if "images_per_second" in rows[0]:
        return throughput.table(rows)
    if "precision" not in rows[0]:
        return benchmark_programs.table(rows)
    lines = ["| precision | cases x seeds | PSNR-Y | in float32 | difference (95 %) |", "|---|---|---|---|---|"]
    for row in rows:
        difference = f"{row['difference']:+.3f} ± {row['half_width_95']:.3f} dB"
        scores = f"{row['psnr_y']:.2f} | {row['psnr_y_float32']:.2f}"
        lines.append(f"| {row['precision']} | {row['cases']} x {row['seeds']} | {scores} | {difference} |")
    return "\n".join(lines)


def cut_off(report: Report) -> None:
    """Ends the process in the middle of a compilation, which cannot be interrupted; the finished stages are on disk."""
    report.add("End", seconds=0, note="the time was over in the middle of a stage")
    sys.stdout.flush()
    os._exit(cli.OK)


def estimator(plan: Plan) -> Iterator[list[dict]]:
    """LR images of 64 x 64 per second that KENet takes: the shipped network, and at the size of the paper's.

    The second one's weights are random; speed does not depend on them.
    """
    config = load_config(str(CONFIGS / "pipeline.py:kenet+cubic"))
    with tempfile.TemporaryDirectory() as folder:
        paper = os.path.join(folder, "paper.npz")
        network = KENet(21)
        params = network.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
        io.write_bytes(paper, kenet_weights.to_bytes(params, scale=SCALE, families=("gaussian",)))
        for weights in (None, paper):
            config.estimators.kenet.update({"weights": weights, "precision": "bfloat16"})
            for row in throughput.estimator_rates(config, plan.patches, hr_size=64 * SCALE, scale=SCALE):
                yield [{"network": "shipped" if weights is None else "paper's size", **row}]


def stages(plan: Plan) -> list[Stage]:
    """The report, what weighs most first."""
    rate, most, fewer = cache(timing.matmul_rate), plan.batch_sizes[:1], plan.batch_sizes[1:]
    release, fast = "dip_dkp_release", "dip_dkp_fast"

    @cache
    def benches(name):
        return bench(name, fastest(name), plan.hr_size, plan.steps)

    return [
        Stage("Many images, released settings", speed(benches, release, most, plan, rate), 2),
        Stage("Many images, dip_dkp_fast", speed(benches, fast, most, plan, rate), 2),
        Stage("Precision against float32, dip_dkp_fast", precisions(plan), 4),
        Stage("KENet, LR images of 64 x 64", estimator(plan), 1),
        Stage("Whole solves, dip_dkp_fast", whole(fast, plan), 2),
        Stage("Fewer images at once, released settings", speed(benches, release, fewer, plan, rate), 1),
        Stage("Fewer images at once, dip_dkp_fast", speed(benches, fast, fewer, plan, rate), 1),
        Stage("Where the time goes", speed(benches, release, most, plan, rate, parts=True), 3),
        Stage("Forms of the convolution", forms(plan, rate), 2),
        Stage("Memory of large images", memory(plan, rate), 2),
        Stage("Whole solves, released settings", whole(release, plan), 2),
    ]


def is_report(folder: str) -> bool:
    """Whether a folder holds the report of an earlier run."""
    report = ownership.read_json(os.path.join(folder, "report.json"))
    return isinstance(report, dict) and {"device", "stages"} <= report.keys()


def main() -> int:
    """Runs the stages."""
    plan = SMALL if _SMALL.value else FULL
    ownership.check_folder(_WORKDIR.value, ownership.Layout("report", ("report.json", "report.md"), (), is_report))
    folder = cli.make_workdir(_WORKDIR.value)
    clock, report = Clock(_BUDGET.value, plan.compile_seconds), Report(folder)
    watch = threading.Timer(_BUDGET.value, cut_off, [report])
    watch.daemon = True
    watch.start()
    for stage in stages(plan):
        rows, note, seconds = run_stage(stage, clock, is_out_of_memory=is_out_of_memory)
        report.add(stage.title, seconds=seconds, note=note, table=table(rows) if rows else "", rows=rows)
    watch.cancel()
    print(f"report in {os.path.join(folder, 'report.md')}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
