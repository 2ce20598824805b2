"""Estimates of memory, and what is there."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.problem import Problem
from blindsr_jax.methods.joint import joint
from blindsr_jax.solvers import memory
from blindsr_jax.solvers.loop import run_chunk
from tests import small

STEPS = {"num_steps": 8, "chunk_steps": 4}


def live(function, *args):
    return memory.live_bytes(jax.make_jaxpr(function)(*args).jaxpr)


def test_live_bytes_of_programs_that_can_be_counted():
    x = jax.ShapeDtypeStruct((1000,), jnp.float32)
    assert live(lambda v: v + 1, x) == 4000
    assert live(lambda v: ((v + 1) * 2) * 3, x) == 4000  # one fused operation
    assert live(lambda v: jnp.sort(jnp.sort(jnp.sort(v))), x) == 8000  # the next one beside the last one
    assert live(lambda v: jnp.sort(v) + jnp.sort(v + 1), x) == 12000  # both terms and their sum
    assert live(lambda v: jnp.sum(v * 2), x) == 4  # nothing but the sum
    body = lambda c, _: (jnp.sort(jnp.sort(c)), None)  # noqa: E731
    assert live(lambda v: jax.lax.scan(body, v, None, length=50)[0], x) == 8000  # not fifty times
    assert live(lambda v: jax.jit(lambda u: jnp.sort(jnp.sort(u)))(v), x) == 8000


def test_what_a_gradient_needs_later_is_kept():
    x = jax.ShapeDtypeStruct((1000,), jnp.float32)

    def chain(v, n):
        for _ in range(n):
            v = jnp.sort(jnp.sin(v))
        return v.sum()

    short, long = (live(jax.grad(lambda v, n=n: chain(v, n)), x) for n in (4, 8))
    assert long - short >= 4 * 4000


@pytest.mark.long
def test_the_estimate_is_near_what_the_compiler_takes():
    problem, solver = small.problem(), small.solver()
    key = jax.random.key(0)
    found = memory.estimate(key, problem, solver, **STEPS)
    state = jax.eval_shape(lambda: solver.init(key, problem, None))
    program = run_chunk.lower(key, state, problem, jnp.int32(0), solver=solver, length=4)
    # The machine code need not be fast, and the buffers are the same.
    measured = program.compile({"xla_backend_optimization_level": 0}).memory_analysis()
    taken = measured.temp_size_in_bytes + measured.argument_size_in_bytes
    assert taken / 2 < found < taken * 2


def test_the_estimate_grows_with_the_image_and_runs_nothing():
    before = run_chunk._cache_size()

    def of(side):
        problem = Problem(jax.ShapeDtypeStruct((side, side, 3), jnp.float32), small.spec())
        return memory.estimate(jax.random.key(0), problem, small.solver(), **STEPS)

    small_one, large_one = of(1000), of(2000)
    np.testing.assert_allclose(large_one / small_one, 4, rtol=0.1)
    assert run_chunk._cache_size() == before


def test_the_estimate_sees_what_does_not_grow_with_the_image():
    key, problem = jax.random.key(0), small.problem()

    def of(**options):
        solver = joint(small.image_model(), small.kernel_model(**options), ssim_steps=4)
        return memory.estimate(key, problem, solver, **STEPS)

    usual = of()
    assert of(hidden=10_000) > usual + 3 * 4 * 10_000 * 49  # a layer with its two moments
    assert of(num_samples=100_000) > usual + 4 * 100_000 * 49
    assert of(num_samples=100_000, redraw=False, data_every=3) > usual + 4 * 100_000 * 49


def test_available(monkeypatch, tmp_path):
    free = memory.available()
    assert 10**7 < free < 10**14
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("2000000\n")
    monkeypatch.setattr(memory, "_CGROUP", str(tmp_path))
    assert memory.available() == 3e6
    (tmp_path / "memory.max").write_text("max\n")
    assert 10**7 < memory.available() < math.inf


def test_in_words():
    assert memory.in_words(2.54e9, 1e9) == "about 2.5 GB of memory are needed and 1 GB are available"
    assert memory.in_words(1234e9, 2e5).startswith("about 1,200 GB") and "0.0002 GB" in memory.in_words(1234e9, 2e5)
