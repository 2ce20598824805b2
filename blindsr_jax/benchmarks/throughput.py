"""How many LR images per second an estimator of one step takes."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp

from blindsr_jax.benchmarks import timing
from blindsr_jax.imaging.problem import Problem
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import min_lr_side, weights_args


def estimator_rates(
    config: Any, sizes: Sequence[int], *, hr_size: int, scale: int, rounds: int = 3
) -> Iterator[dict[str, Any]]:
    """Times the estimator of a config on random LR images, so many of them in one program.

    Args:
      config: names an estimator of one step, such as 'kenet'.
      sizes: numbers of images that go through together.
      hr_size: side of the sharp image; that of the LR images is hr_size / scale.
      scale: of the super-resolution.
      rounds: the median of so many calls counts.

    Yields:
      A record a size, ready for JSON.

    Raises:
      ValueError: the config names no such estimator, or the size is too small for it.
    """
    spec = build.build_spec(config, scale)
    solver = build.build_estimator(config, spec)
    side = hr_size // scale
    if side < (least := min_lr_side(spec, solver)):
        raise ValueError(f"hr_size is {hr_size}, expected at least {scale * least} for the estimator")

    def estimate(lr, weights):
        problem, key = Problem(lr, spec), jax.random.key(0)
        state = solver.init(key, problem, None, *weights_args(weights))
        return solver.step(key, state, problem, jnp.int32(0), *weights_args(weights))[0].kernel

    for size in sizes:
        lr = jax.random.uniform(jax.random.key(1), (size, side, side, 3))
        lowered = jax.jit(jax.vmap(estimate, (0, None))).lower
        compiled, compile_seconds = timing.compile_timed(lambda lowered=lowered, lr=lr: lowered(lr, solver.arrays))

        def run(compiled=compiled, lr=lr):
            jax.block_until_ready(compiled(lr, solver.arrays))

        run()
        seconds = median(timing.seconds_of(run) for _ in range(rounds))
        yield {
            "config": config.estimator,
            "lr_size": side,
            "scale": scale,
            "batch_size": size,
            "device": jax.local_devices()[0].device_kind,
            "images_per_second": size / seconds,
            "seconds_per_image": seconds / size,
            "compile_seconds": compile_seconds,
            "peak_memory_bytes": timing.planned_bytes(compiled),
        }


def table(records: Sequence[dict[str, Any]]) -> str:
    """Markdown, one row a record."""
    lines = [
        "| estimator | LR side | images at once | images per second | compile s | MB |",
        "|---|---|---|---|---|---|",
    ]
    for r in records:
        numbers = f"{r['images_per_second']:.4g} | {r['compile_seconds']:.1f} | {r['peak_memory_bytes'] / 2**20:.0f}"
        lines.append(f"| {r['config']} x{r['scale']} | {r['lr_size']} | {r['batch_size']} | {numbers} |")
    return "\n".join(lines)
