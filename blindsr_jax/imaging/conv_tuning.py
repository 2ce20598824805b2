"""Which form of a convolution is fastest on this device: the shapes of large layers are timed once, at their first use.

Off until `enable` is called; `conv.choose` decides where nothing is known. A layer is timed as solvers use it, forward
and with both gradients inside a scan. What was found is kept by the caller, so that all later runs take the same forms
and give the same bits.
"""

import functools
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

ONE_BY_ONE = "map"  # one image after another, each by XLA's convolution
LEAST_FLOP = 1e8  # of a forward pass of one image; smaller layers are not worth a compilation
MOST_IMAGES = 4  # that are timed together; larger groups take the form of this many
_STEPS, _CALLS = 2, 3
_TINY = 1e-6  # of a gradient that is added to what it is of, so that each step of the scan needs the one before


class Layer(NamedTuple):
    """What the time of a convolution depends on."""

    x: tuple[int, ...]  # (N, H, W, Ci)
    w: tuple[int, ...]  # (kh, kw, Ci, Co)
    stride: int
    dtype: str
    precision: str
    images: int  # with weights of their own under vmap; 0: one network, or no vmap

    @property
    def name(self) -> str:
        """The layer as a text, the key of a table."""
        x, w = ("x".join(map(str, shape)) for shape in (self.x, self.w))
        return f"{x},{w},{self.stride},{self.dtype},{self.precision},{self.images}"

    @property
    def flop(self) -> float:
        """Operations of a forward pass, a product and a sum each."""
        positions = math.prod((n - k) // self.stride + 1 for n, k in zip(self.x[1:3], self.w[:2], strict=True))
        return 2.0 * self.x[0] * positions * math.prod(self.w)


Run = Callable[[str, jax.Array, jax.Array], jax.Array]  # (form, x, w) -> the convolution of one image


def candidates(layer: Layer) -> tuple[str, ...]:
    """The forms that may be the fastest for a layer; none is a grouped convolution."""
    forms = (ONE_BY_ONE, "im2col") if layer.images else ("xla", "direct", "im2col")
    has_winograd = layer.w[:2] == (3, 3) and layer.stride == 1 and layer.dtype == "float32" and min(layer.w[2:]) >= 8
    return (*forms, "winograd") if has_winograd else forms


def _program(layer: Layer, form: str, run: Run) -> Callable[[], None]:
    """A call that computes a few steps of a layer in a form, and waits for them; the first call compiles."""

    def together(x, w):
        if not layer.images:
            return run(form, x, w)
        if form == ONE_BY_ONE:
            return lax.map(lambda pair: run(form, *pair), (x, w))
        return jax.vmap(lambda x, w: run(form, x, w))(x, w)

    def step(carry, _):
        y, pull = jax.vjp(together, *carry)
        return jax.tree.map(lambda a, d: a + jnp.asarray(_TINY, a.dtype) * d, carry, pull(y)), None

    leading = (layer.images,) if layer.images else ()
    arrays = tuple(jnp.full((*leading, *shape), 0.01, layer.dtype) for shape in (layer.x, layer.w))
    program = jax.jit(lambda carry: lax.scan(step, carry, None, length=_STEPS)[0])
    return lambda: jax.block_until_ready(program(arrays))


def measure(layer: Layer, run: Run, *, clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Seconds that each form takes for a few steps of a layer, the least of some calls.

    Args:
      layer: to time.
      run: the convolution in a form.
      clock: seconds.

    Returns:
      A time per form; a form that fails on the device, for want of memory, say, has none.
    """
    found = {}
    for form in candidates(layer):
        try:
            call = _program(layer, form, run)
            call()
            times = []
            for _ in range(_CALLS):
                start = clock()
                call()
                times.append(clock() - start)
            found[form] = min(times)
        except (jax.errors.JaxRuntimeError, MemoryError):
            continue
    return found


class Tuner:
    """A table of the fastest forms that grows as layers are met; threads may share it.

    Args:
      load: called at the first layer: forms by `Layer.name` of earlier runs, or None where nothing is to be measured.
      keep: called with the whole table whenever it has grown.
      measure: as the function of this module.
    """

    def __init__(
        self,
        load: Callable[[], Mapping[str, str] | None],
        keep: Callable[[dict[str, str]], None],
        measure: Callable[[Layer, Run], dict[str, float]] = measure,
    ):
        self._load, self._keep, self._measure, self._lock = functools.cache(load), keep, measure, threading.Lock()
        self._found: dict[str, str] = {}

    def best(self, layer: Layer, run: Run) -> str | None:
        """The fastest form of a layer, measured now where it is not known; None for layers that are not timed."""
        if layer.flop < LEAST_FLOP or layer.dtype not in ("float32", "bfloat16"):
            return None
        layer = layer._replace(images=min(layer.images, MOST_IMAGES))
        with self._lock:
            known = self._load()
            if known is None:
                return None
            found = self._found.get(layer.name, known.get(layer.name))
            if found in candidates(layer):
                return found
            with ThreadPoolExecutor(1) as outside:  # of what this thread is tracing
                times = outside.submit(self._measure, layer, run).result()
            if not times:
                return None
            self._found[layer.name] = min(times, key=times.__getitem__)
            self._keep({**known, **self._found})
            return self._found[layer.name]


_tuner: Tuner | None = None


def enable(tuner: Tuner | None) -> None:
    """Sets what `best` asks, for programs that are traced from now on; None: nothing is measured."""
    global _tuner
    _tuner = tuner


def best(layer: Layer, run: Run) -> str | None:
    """The fastest form of a layer on this device, or None where that is not known."""
    return None if _tuner is None else _tuner.best(layer, run)
