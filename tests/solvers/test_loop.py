import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import Problem, solve, solve_batch
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import given
from blindsr_jax.solvers.loop import chunk_length, run_chunk, start
from tests import small

STEPS = {"num_steps": 8, "chunk_steps": 4}


IMAGE_MODELS = {"pixels": small.pixels, "dip": small.image_model}


@pytest.fixture(scope="module", params=["pixels", pytest.param("dip", marks=pytest.mark.long)])
def image_model(request):
    """What a loop does is the same for each; a network takes much longer to compile."""
    return IMAGE_MODELS[request.param]()


@pytest.fixture(scope="module")
def solver(image_model):
    return joint(image_model, small.kernel_model(), ssim_steps=4)


@pytest.fixture(scope="module")
def result(solver):
    return solve(jax.random.key(0), small.problem(), solver, **STEPS)


def stack(problems):
    return Problem(jnp.stack([p.lr for p in problems]), problems[0].spec)


def test_result_has_the_contract_shapes(result):
    assert result.image.shape == (20, 24, 3) and result.kernel.shape == (7, 7)
    np.testing.assert_allclose(result.kernel.sum(), 1, rtol=1e-5)
    assert result.kernel.min() >= 0 and result.status == "ok"
    assert all(values.shape == (8,) for values in result.trace.values())


def test_the_loss_falls(result):
    # Within each phase: the two losses have different scales.
    assert result.trace["loss"][3] < result.trace["loss"][0]
    assert result.trace["residual"][-1] < result.trace["residual"][0]


def test_same_key_same_bits_and_another_key_another_result(result, solver):
    again = solve(jax.random.key(0), small.problem(), solver, **STEPS)
    np.testing.assert_array_equal(result.image, again.image)
    np.testing.assert_array_equal(result.kernel, again.kernel)
    other = solve(jax.random.key(1), small.problem(), solver, **STEPS)
    assert not np.array_equal(result.image, other.image)


def test_chunks_do_not_change_the_result(result, solver):
    seen = []
    whole = solve(
        jax.random.key(0),
        small.problem(),
        solver,
        num_steps=8,
        chunk_steps=4,
        on_chunk=lambda n, t: seen.append(n),
    )
    np.testing.assert_array_equal(result.image, whole.image)
    assert seen == sorted(seen) and {4, 8} <= set(seen)


def test_one_program_gives_the_same_bits_whatever_number_of_steps_a_call_runs(solver):
    problem, key = small.problem(), jax.random.key(0)
    before = jax.device_get(start(key, problem, None, solver=solver))
    found = []
    for counts in ([8], [1, 3, 4], [0, 7, 0, 1]):
        state, first, traces = jax.tree.map(jnp.array, before), 0, []
        for count in counts:
            places = jnp.int32(first), None, jnp.int32(count)
            state, trace = run_chunk(key, state, problem, *places, solver=solver, length=8)
            assert all(not values[count:].any() for values in trace.values())
            traces.append({name: values[:count] for name, values in trace.items()})
            first += count
        found.append((state, {name: jnp.concatenate([trace[name] for trace in traces]) for name in traces[0]}))
    for other in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, found[0])


def test_one_compilation_a_shape(image_model):
    """Two images, both phases, two chunks each: one program for the start and one for the chunks."""
    solver = joint(image_model, small.kernel_model(), ssim_steps=2)
    before = run_chunk._cache_size(), start._cache_size()
    for phase in (0.0, 1.0):
        solve(jax.random.key(0), small.problem(phase), solver, **STEPS)
    assert (run_chunk._cache_size() - before[0], start._cache_size() - before[1]) == (1, 1)


@pytest.mark.long
@pytest.mark.parametrize("vectorize", [False, True])
def test_batch_equals_stacked_solves_in_float64(vectorize, solver):
    with jax.enable_x64(True):
        problems = [small.problem(phase, dtype=jnp.float64) for phase in (0.0, 1.0)]
        keys, steps = small.keys(2), {"num_steps": 50, "chunk_steps": 25}
        batch = solve_batch(keys, stack(problems), solver, vectorize=vectorize, **steps)
        for key, problem, found in zip(keys, problems, batch, strict=True):
            alone = solve(key, problem, solver, **steps)
            np.testing.assert_allclose(found.image, alone.image, atol=1e-8)
            np.testing.assert_allclose(found.kernel, alone.kernel, atol=1e-8)
            np.testing.assert_allclose(found.trace["loss"], alone.trace["loss"], atol=1e-8)


def test_batch_equals_stacked_solves_in_float32_after_one_step(solver):
    problems = [small.problem(phase) for phase in (0.0, 1.0)]
    steps = {"num_steps": 1, "chunk_steps": 1}
    batch = solve_batch(small.keys(2), stack(problems), solver, vectorize=True, **steps)
    for key, problem, found in zip(small.keys(2), problems, batch, strict=True):
        alone = solve(key, problem, solver, **steps)
        np.testing.assert_allclose(found.image, alone.image, atol=1e-4)
        np.testing.assert_allclose(found.kernel, alone.kernel, atol=1e-4)


def test_averaging_returns_a_mean_of_the_last_images(solver, image_model):
    averaged = joint(image_model, small.kernel_model(), ssim_steps=4, averaging=0.5)
    plain, mean = (solve(jax.random.key(0), small.problem(), s, **STEPS) for s in (solver, averaged))
    assert 0 < float(jnp.abs(plain.image - mean.image).max()) < 0.5
    np.testing.assert_allclose(plain.trace["loss"], mean.trace["loss"], rtol=1e-6)


def test_a_given_kernel_stays(image_model):
    solver = joint(image_model, given.build(small.spec()), ssim_steps=0)
    kernel = np.full((7, 7), 1 / 49, np.float32)
    found = solve(jax.random.key(0), small.problem(), solver, kernel=kernel, **STEPS)
    np.testing.assert_array_equal(found.kernel, kernel)
    with pytest.raises(ValueError, match="--kernel"):
        solve(jax.random.key(0), small.problem(), solver, **STEPS)


def test_a_solve_goes_on_from_any_chunk_bit_for_bit(result, solver):
    seen = []

    def save(progress):  # on the host, as the state is donated to the next chunk
        seen.append(jax.device_get(progress))

    solve(jax.random.key(0), small.problem(), solver, save=save, **STEPS)
    assert {(0, 1), (0, 4)} <= {(progress.attempt, progress.step) for progress in seen}
    for progress in seen:
        later = solve(jax.random.key(0), small.problem(), solver, progress=progress, **STEPS)
        np.testing.assert_array_equal(later.image, result.image)
        np.testing.assert_array_equal(later.kernel, result.kernel)
        for name, values in result.trace.items():
            np.testing.assert_array_equal(later.trace[name], values)


def test_an_error_of_save_ends_the_solve(solver):
    def save(progress):
        raise KeyError(progress.step)

    with pytest.raises(KeyError, match="1"):
        solve(jax.random.key(0), small.problem(), solver, save=save, **STEPS)


@pytest.mark.parametrize("steps, wanted, length", [(1000, 50, 50), (405, 50, 45), (7, 3, 1), (4, 50, 4), (10, 0, 1)])
def test_chunk_length_divides(steps, wanted, length):
    assert chunk_length(steps, wanted) == length


def test_imports_are_light():
    """The package alone does not even load JAX, what solves loads no orbax, and no state of a run does."""
    heavy = ("distrax", "orbax", "matplotlib", "imageio", "ml_collections", "PIL")
    code = f"""
import sys, blindsr_jax
print("jax" in sys.modules)
blindsr_jax.solve, blindsr_jax.solve_batch, blindsr_jax.joint
print([m for m in {heavy} if m in sys.modules])
from blindsr_jax.runs import group_checkpoint, resume
print("orbax" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[:3] == ["False", "[]", "False"]
