"""How long the steps of a method take, in all and by part, and how that compares with what the device can do.

Every program is timed inside a scan, where it runs in a solve: a convolution is another thing there than alone.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from blindsr_jax.benchmarks import flops, timing
from blindsr_jax.benchmarks.timing import Program
from blindsr_jax.imaging.problem import Problem
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import ImageModel, Solver, StepContext, min_lr_side
from blindsr_jax.solvers.loop import run_chunk, start
from blindsr_jax.solvers.memory import is_out_of_memory

TINY = 1e-9  # a step that makes a result needed and changes nothing
PARTS = ("convolutions", "normalisation_elementwise", "kernel_half", "rest")
_MEASURED = (
    "seconds_per_image",
    "seconds_per_step",
    "compile_seconds",
    "matmul_share",
    "peak_memory_bytes",
)  # None until measured


class Case(NamedTuple):
    """A config at one size: all that its programs are made of."""

    config: Any
    solver: Solver
    image_model: ImageModel
    problem: Problem
    vectorize: bool  # several images in one vmap, as on an accelerator, or one after another, as on a CPU

    @property
    def dtype(self) -> str:
        """In what the network computes: float32, tf32 or bfloat16."""
        return self.config.image.get("precision") or "float32"


def make_case(config: Any, *, hr_size: int, scale: int, vectorize: bool | None = None) -> Case:
    """A random square LR image and the solver of a config.

    Args:
      config: checked, see `config.check_config`.
      hr_size: side of the result, a multiple of the scale.
      scale: enlargement.
      vectorize: one program for several images; the default is that of `batch.solve_batch`.

    Raises:
      ValueError: a value of the config is bad, or the size too small for the network.
    """
    if build.stage_steps(config) is not None:
        raise ValueError(
            "the config has an estimator and a restorer, a joint method of an image and a kernel model was expected"
        )
    spec = build.build_spec(config, scale)
    solver = build.build_solver(config, spec)
    least = scale * min_lr_side(spec, solver)
    if hr_size < least:
        raise ValueError(f"hr_size is {hr_size}, expected at least {least} for the kernel and the network")
    lr = jax.random.uniform(jax.random.key(1), (hr_size // scale, hr_size // scale, 3), jnp.float32)
    problem = Problem(lr, spec)
    vectorize = jax.default_backend() != "cpu" if vectorize is None else vectorize
    return Case(config, solver, build.build_image_model(config, spec), problem, vectorize)


@partial(jax.jit, static_argnames="n")
def _stack(tree: Any, n: int) -> Any:
    """n copies of every array along a new axis; speed does not depend on the numbers."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x[None], (n, *x.shape)), tree)


def step_program(case: Case, state: Any, *, steps: int, together: int) -> Program:
    """The chunk program of `solve`, steps 0 to steps - 1, for so many images in one call."""
    inputs = jax.random.key(2), case.problem, state
    if case.vectorize:
        inputs = _stack(inputs, together)
    key, problem, _ = inputs
    static = {"solver": case.solver, "length": steps, "batched": case.vectorize}
    rest = problem, jnp.int32(0), case.solver.arrays, jnp.int32(steps)
    compiled, seconds = timing.compile_timed(lambda: run_chunk.lower(key, inputs[2], *rest, **static))

    def carry():
        return _stack(state, together) if case.vectorize else jax.tree.map(jnp.copy, state)

    return Program(lambda s: compiled(key, s, *rest)[0], carry, seconds, timing.planned_bytes(compiled))


def scan_program(case: Case, body: Callable, one: Any, *, steps: int, together: int) -> Program:
    """`body(carry, i) -> carry` in a scan, vectorised over so many images where a solve is; `one` is a carry."""

    def carry():
        return _stack(one, together) if case.vectorize else jax.tree.map(jnp.copy, one)

    def loop(carry):
        step = jax.vmap(body, (0, None)) if case.vectorize else body
        return lax.scan(lambda c, i: (step(c, i), None), carry, jnp.arange(steps, dtype=jnp.int32))[0]

    shapes = jax.eval_shape(carry)
    compiled, seconds = timing.compile_timed(lambda: jax.jit(loop, donate_argnums=0).lower(shapes))
    return Program(compiled, carry, seconds, timing.planned_bytes(compiled))


def _image_body(case: Case, kernel: jax.Array) -> Callable:
    """The image model under a given kernel."""

    def body(state, i):
        image, residuals = case.image_model.predict(state, case.problem)
        context = StepContext(i, i < case.config.ssim_steps)
        args = (jax.random.key(3), state, image, residuals, kernel, case.problem, context)
        return case.image_model.update(*args)[0]

    return body


def _nudge(params: Any, grads: Any) -> Any:
    return jax.tree.map(lambda p, g: p - TINY * g.astype(p.dtype), params, grads)


def _network_body(case: Case) -> Callable:
    """A forward and a backward pass of the image network, with nothing around it."""

    def body(state, i):
        del i
        image, pullback = case.image_model.predict(state, case.problem)
        return state._replace(params=_nudge(state.params, pullback(image)[0]))

    return body


def conv_body(layers: Sequence[flops.ConvCall]) -> Callable:
    """The convolution layers alone, each forward and with both gradients, in their order."""

    def body(carry, i):
        del i
        new, before = [], 0.0
        for (layer, *_), (params, x, dy) in zip(layers, carry, strict=True):
            # Each waits for the one before, as in the network, and a result replaces an input of the same shape, so
            # that no pass over the maps is needed to keep it.
            params = jax.tree.map(lambda p, before=before: p + TINY * before, params)
            y, pullback = jax.vjp(layer.apply, params, x)
            grads, dx = pullback(dy)
            new.append((_nudge(params, grads), dx, y))
            before = (y[0, 0, 0] + dx[0, 0, 0]).astype(jnp.float32)
        return new

    return body


def conv_carry(layers: Sequence[flops.ConvCall]) -> list[Any]:
    """Parameters, input and output gradient of each layer, random; made in one program."""

    def make(key):
        carry = []
        for i, (layer, shape, dtype) in enumerate(layers):
            x = jax.random.normal(jax.random.fold_in(key, i), shape).astype(dtype)
            params = layer.init(key, x)
            carry.append((params, x, layer.apply(params, x)))
        return carry

    return jax.jit(make)(jax.random.key(4))


def part_programs(case: Case, state: Any, *, steps: int, together: int) -> dict[str, Program]:
    """The image model, its network and its convolutions as programs of their own, for so many images in one call.

    An image model without a network gives the first alone.
    """
    k, size = case.problem.spec.kernel_size, {"steps": steps, "together": together}
    kernel = jnp.full((k, k), k**-2.0, jnp.float32)
    programs = {"image_half": scan_program(case, _image_body(case, kernel), state.image_state, **size)}
    layers = flops.conv_calls(lambda s: case.image_model.predict(s, case.problem)[0], state.image_state)
    if layers and hasattr(state.image_state, "params"):
        programs["network"] = scan_program(case, _network_body(case), state.image_state, **size)
        programs["convolutions"] = scan_program(case, conv_body(layers), conv_carry(layers), **size)
    return programs


def breakdown(step: float, parts: dict[str, float]) -> dict[str, float | None]:
    """seconds per step by part: what each program takes longer than the one that it contains.

    Args:
      step: seconds of the whole step.
      parts: seconds of the programs of `part_programs`.

    Returns:
      `convolutions` (with their padding and bias); `normalisation_elementwise`, the network without them;
      `kernel_half`; `rest`, which is data loss, image prior and optimiser. None where there is no such program.
    """
    half, network, convolutions = (parts.get(name) for name in ("image_half", "network", "convolutions"))
    known = network is not None
    values = (
        convolutions,
        network - convolutions if known else None,
        step - half,
        half - network if known else None,
    )
    return dict(zip(PARTS, values, strict=True))


def forward_flops(case: Case, state: Any) -> int:
    """Operations of the image network in one step of one image, forward and backward."""
    return flops.training_flops(lambda s: case.image_model.predict(s, case.problem)[0], state.image_state)


class Bench(NamedTuple):
    """A config at one size and its programs, each compiled once for the images that go through it together."""

    name: str
    case: Case
    flops: int  # a step of one image
    step: Callable[[int], Program]
    parts: Callable[[int], dict[str, Program]]

    def split(self, num_images: int) -> tuple[int, int]:
        """How many images go through a program together, and how many calls that makes."""
        return (num_images, 1) if self.case.vectorize else (1, num_images)


def make_bench(name: str, case: Case, *, steps: int) -> Bench:
    """A bench whose calls are so many steps; compiles the start of a solve."""
    state = start(jax.random.key(0), case.problem, None, case.solver.arrays, solver=case.solver)

    @cache
    def step(together):
        return step_program(case, state, steps=steps, together=together)

    @cache
    def parts(together):
        return part_programs(case, state, steps=steps, together=together)

    return Bench(name, case, forward_flops(case, state), step, parts)


def _describe(bench: Bench, num_images: int) -> dict[str, Any]:
    device, spec = jax.local_devices()[0], bench.case.problem.spec
    return {
        "config": bench.name,
        "hr_size": spec.scale * bench.case.problem.lr.shape[0],
        "scale": spec.scale,
        "batch_size": num_images,
        "dtype": bench.case.dtype,
        "device": f"{device.platform}: {device.device_kind}",
        **dict.fromkeys(_MEASURED),
        "flops_per_step": num_images * bench.flops,
    }


def _peak(before: int | None, program: Program) -> int:
    """What the device says, if this program has raised it; what the compiler plans otherwise."""
    after = timing.peak_bytes()
    return after if after is not None and (before is None or after > before) else program.memory_bytes


def measure_breakdown(bench: Bench, num_images: int, *, steps: int, rounds: int) -> dict[str, float | None]:
    """The breakdown of a step of all images; its programs are timed in turn with the whole step."""
    together, calls = bench.split(num_images)
    programs = {"step": bench.step(together), **bench.parts(together)}
    times = timing.alternate({name: program.runner(calls) for name, program in programs.items()}, rounds=rounds)
    seconds = {name: median(values) / steps for name, values in times.items()}
    return breakdown(seconds.pop("step"), seconds)


def measure(
    benches: Sequence[Bench], num_images: int, *, steps: int, rounds: int, rate: Callable[[str], float], parts: bool
) -> list[dict[str, Any]]:
    """The records of one config, or of two that are timed in turn.

    Args:
      benches: one or two.
      num_images: images that are solved at once.
      steps: of a call, as the benches have it.
      rounds: of two calls each; medians are taken over them.
      rate: operations per second of a large matrix product in a dtype, see `timing.matmul_rate`.
      parts: whether to measure the breakdown.

    Returns:
      One record a bench, as CONTRACT.md names the keys; beside these `breakdown` (seconds of a step) and, of the first
      of two, `compare`: its ratio is the seconds of a step of the second in those of the first. Where memory ends,
      numbers are None and `message` says so.
    """
    records = [_describe(bench, num_images) for bench in benches]
    try:
        _measure_steps(benches, records, num_images, steps=steps, rounds=rounds, rate=rate)
        for bench, record in zip(benches, records, strict=True):
            if parts:
                record["breakdown"] = measure_breakdown(bench, num_images, steps=steps, rounds=rounds)
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        for record in records:
            record["message"] = "the memory of the device does not hold these images at once"
    return records


def _measure_steps(benches, records, num_images: int, *, steps: int, rounds: int, rate: Callable[[str], float]) -> None:
    runs = {}
    for i, (bench, record) in enumerate(zip(benches, records, strict=True)):
        together, calls = bench.split(num_images)
        before, program = timing.peak_bytes(), bench.step(together)
        record["compile_seconds"] = program.compile_seconds
        runs[i] = program.runner(calls)
        runs[i]()
        record["peak_memory_bytes"] = _peak(before, program)
    times = timing.alternate(runs, rounds=rounds)
    for i, (bench, record) in enumerate(zip(benches, records, strict=True)):
        step = median(times[i]) / steps
        record["seconds_per_step"] = step
        record["seconds_per_image"] = step * bench.case.config.num_steps / num_images
        record["matmul_share"] = record["flops_per_step"] / step / rate(bench.case.dtype)
    if len(benches) == 2:
        records[0]["compare"] = {"config": benches[1].name, **timing.paired_ratio(times[0], times[1])}


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def table(records: Sequence[dict[str, Any]]) -> str:
    """The records as a Markdown table without empty columns, the breakdown in percent."""
    rows = []
    for r in records:
        step, share, peak, parts = (
            r["seconds_per_step"],
            r["matmul_share"],
            r["peak_memory_bytes"],
            r.get("breakdown", {}),
        )
        total, ratio = sum(value or 0 for value in parts.values()), r.get("compare")
        row = {
            "config": r["config"],
            "images": r["batch_size"],
            "s/step": step,
            "s/image": r["seconds_per_image"],
            "GFLOP/s": step and r["flops_per_step"] / step / 1e9,
            "% of matmul": share and 100 * share,
            "GB": peak and peak / 1e9,
            "compile s": r["compile_seconds"],
        }
        row |= {name: f"{100 * parts[name] / total:.0f} %" for name in PARTS if parts.get(name) is not None}
        if ratio:
            row["ratio"] = f"{ratio['ratio']:.3f} ({ratio['lowest']:.3f} to {ratio['highest']:.3f})"
        rows.append(row)
    names = [name for name in (*rows[0], *PARTS, "ratio") if any(row.get(name) is not None for row in rows)]
    names = list(dict.fromkeys(names))
    lines = [names, ["---"] * len(names), *([_cell(row.get(name)) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
