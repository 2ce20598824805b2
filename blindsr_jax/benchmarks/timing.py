"""Timing programs on a machine that is shared and noisy: in turn, with medians, and as ratios within one run."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Program(NamedTuple):
    """A compiled program that replaces its argument: `call(carry) -> carry`."""

    call: Callable[[Any], Any]
    carry: Callable[[], Any]  # a fresh argument, which a call destroys
    compile_seconds: float
    memory_bytes: int  # arguments, results and temporaries of one call, as the compiler plans them

    def runner(self, count: int = 1) -> Callable[[], None]:
        """A function that calls the program on so many arguments, one after another, and waits for the device."""
        carries = [self.carry() for _ in range(count)]

        def run():
            for i, old in enumerate(carries):
                carries[i] = self.call(old)
            jax.block_until_ready(carries)

        return run


def planned_bytes(compiled: Any) -> int:
    """What a compiled program needs: arguments, results that do not replace an argument, and temporaries."""
    plan = compiled.memory_analysis()
    held = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return held + plan.temp_size_in_bytes


def peak_bytes() -> int | None:
    """The most bytes that this process has held on the default device; None where the device does not say."""
    return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def compile_timed(lower: Callable[[], Any]) -> tuple[Any, float]:
    """A program from the function that lowers it, and the seconds of lowering and compiling."""
    begin = time.perf_counter()
    compiled = lower().compile()
    return compiled, time.perf_counter() - begin


def seconds_of(run: Callable[[], None]) -> float:
    """Wall time of a call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def alternate(runs: dict[str, Callable[[], None]], *, rounds: int) -> dict[str, list[float]]:
    """Times several programs in turn, forwards and backwards (ABBA), so that a drift of the machine meets all alike.

    Args:
      runs: by name; each is called once before.
      rounds: of two calls each.

    Returns:
      The mean of the two calls, one a round.
    """
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        first = {name: seconds_of(run) for name, run in runs.items()}
        for name in reversed(runs):
            seconds[name].append((first[name] + seconds_of(runs[name])) / 2)
    return seconds


def paired_ratio(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """The ratio second / first of paired times: its median over the rounds and its extremes."""
    ratios = sorted(b / a for a, b in zip(first, second, strict=True))
    return {"ratio": median(ratios), "lowest": ratios[0], "highest": ratios[-1], "rounds": len(ratios)}


def matmul_rate(dtype: str, *, size: int | None = None, repeats: int = 5) -> float:
    """operations per second of a large matrix product on the default device, the best that a network can come near to.

    Args:
      dtype: 'float32' (at the highest precision), 'tf32' (where the device has it), 'bfloat16'.
      size: of the square matrices; default 4096, on a CPU 2048.
      repeats: the median of that many is returned.
    """
    is_cpu = jax.default_backend() == "cpu"
    size, count = size or (2048 if is_cpu else 4096), 2 if is_cpu else 50
    kind = jnp.bfloat16 if dtype == "bfloat16" else jnp.float32
    precision = lax.Precision.HIGHEST if dtype == "float32" else lax.Precision.DEFAULT
    a, b = (jax.random.normal(key, (size, size), kind) for key in jax.random.split(jax.random.key(5)))
    b = b * size**-0.5

    @jax.jit
    def loop(a, b):
        return lax.fori_loop(0, count, lambda _, c: jnp.matmul(c, b, precision=precision), a)

    jax.block_until_ready(loop(a, b))
    times = [seconds_of(lambda: jax.block_until_ready(loop(a, b))) for _ in range(repeats)]
    return count * 2 * size**3 / median(times)
