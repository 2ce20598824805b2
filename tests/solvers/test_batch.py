"""Groups: several devices, filling up, going on; what is left of a group must not change an image."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from blindsr_jax.solvers.batch import solve_group, unstack
from blindsr_jax.solvers.loop import Attempt
from blindsr_jax.solvers.memory import is_out_of_memory
from blindsr_jax.solvers.pace import Pace
from tests import small
from tests.solvers.test_recovery import descent

STEPS = {"num_steps": 12, "chunk_steps": 4}


def attempts(n):
    return [Attempt(small.keys(4)[i], small.problem(float(i))) for i in range(n)]


def same(first, second):
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.trace["loss"], second.trace["loss"])


def test_a_group_that_is_filled_up_gives_the_bits_of_a_full_one():
    full = solve_group(attempts(3), descent(), **STEPS)
    for n in (1, 2):
        part = solve_group(attempts(n), descent(), width=3, **STEPS)
        assert len(part) == n
        for found, wanted in zip(part, full, strict=False):
            same(found, wanted)


def test_a_group_goes_on_from_the_states_of_its_images():
    seen = []
    patient = Pace(seconds=1e9)  # one step to see how long it takes, then whole chunks
    full = solve_group(
        attempts(3), descent(), save=lambda progress: seen.append(unstack(progress, 3)), pace=patient, **STEPS
    )
    assert [[one.step for one in stack] for stack in seen] == [[1] * 3, [4] * 3, [8] * 3]
    left = [attempt._replace(progress=seen[1][i]) for i, attempt in enumerate(attempts(3))][1:]
    assert {attempt.place[1:] for attempt in left} == {(small.spec(), 0, 4)}
    for found, wanted in zip(solve_group(left, descent(), width=3, **STEPS), full[1:], strict=True):
        same(found, wanted)


def test_the_second_try_is_an_attempt_of_its_own():
    solver = descent(1e30, descent())
    first = solve_group(attempts(2), solver, **STEPS)
    assert [result.status for result in first] == ["diverged"] * 2
    again = [attempt.following(result, solver) for attempt, result in zip(attempts(2), first, strict=True)]
    second = solve_group(again, solver, **STEPS)
    assert [result.status for result in second] == ["recovered"] * 2


# In a process of its own, as the number of devices is fixed when jax starts.
SHARDED = """
import json, re, sys
import jax, jax.numpy as jnp, numpy as np
from blindsr_jax import solve
from blindsr_jax.methods.image_models import dip
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import softmax
from blindsr_jax.solvers import batch
from blindsr_jax.solvers.loop import Attempt
from tests import small

mesh, module = batch.device_mesh(), sys.modules["blindsr_jax.solvers.loop"]
assert mesh.size == 4
COLLECTIVES = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter|collective-broadcast"


# Small steps: with large ones rounding errors grow in fifty of them, on some processors beyond 1e-8.
levels, kernel_model = {"one": (1, softmax.build(small.spec())), "two": (2, small.kernel_model())}[sys.argv[1]]
options = {"levels": levels, "first_nonlocal": levels - 1, "learning_rate": 1e-3}
solver = joint(dip.build(small.spec(), channels=4, skip_channels=2, **options), kernel_model, ssim_steps=4)


def difference(places, dtype, **steps):
    group = [Attempt(small.keys(4)[i], small.problem(float(i), dtype=dtype)) for i in places]
    alone = {i: solve(*one[:2], solver, **steps).image for i, one in zip(places, group)}
    found = batch.solve_group(group, solver, **steps)
    return max(float(np.abs(result.image - alone[i]).max()) for i, result in zip(places, found, strict=True))


def program(length):
    problems = [small.problem(0.0)] * 4
    keys, problems = batch._stack(list(small.keys(4)), mesh), batch._stack(problems, mesh)
    stack = {"solver": solver, "batched": True, "mesh": mesh}
    state = module.start(keys, problems, None, **stack)
    return module.run_chunk.lower(keys, state, problems, jnp.int32(0), length=length, **stack).compile().as_text()


found = {"float32": difference([0, 1, 2], jnp.float32, num_steps=1, chunk_steps=1)}
found["collectives"] = re.findall(COLLECTIVES, program(1))
with jax.enable_x64(True):
    found["float64"] = difference([0, 1, 1, 0, 1], jnp.float64, num_steps=50, chunk_steps=25)
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=[pytest.param(size, marks=pytest.mark.long) for size in ("one", "two")])
def sharded(request, tmp_path_factory):
    """What is found with a network of one level and pixels of a kernel, or with two networks, which compile longer."""
    flags = f"--xla_force_host_platform_device_count=4 {os.environ['XLA_FLAGS']}"
    # One program is compiled to be run and to be read.
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", **cache}
    done = subprocess.run([sys.executable, "-c", SHARDED, request.param], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_device_waits_for_another(sharded):
    assert sharded["collectives"] == []


def test_four_devices_agree_with_one(sharded):
    """Three and five images on four devices."""
    assert sharded["float32"] < 1e-4 and sharded["float64"] < 1e-8


@pytest.mark.parametrize(
    "error, expected",
    [
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes."), True),
        (jax.errors.JaxRuntimeError("INTERNAL: Error: Out of memory allocating 48400000000 bytes."), True),
        (MemoryError(), True),
        (jax.errors.JaxRuntimeError("INTERNAL: a bug"), False),
        (RuntimeError("out of memory"), False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_devices_say_of_their_memory_is_understood(error, expected):
    assert is_out_of_memory(error) is expected
