"""Numbers that are lost: found between chunks, tried once more, and of no consequence to other images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import Problem, solve, solve_batch
from blindsr_jax.methods.interfaces import Solver, State
from blindsr_jax.solvers.loop import ever_lost, lost, second_key
from blindsr_jax.solvers.pace import Pace
from tests import small

STEPS = {"num_steps": 20, "chunk_steps": 4}


@functools.cache
def descent(rate=0.1, retry=None):
    """A solver that compiles in no time: noisy gradient descent of the canvas to the mean of the LR image.

    With a rate of -2 the error grows threefold a step; with 1e30 numbers stop being finite.
    """

    def init(key, problem, kernel):
        start = jax.random.normal(key, problem.canvas_shape)
        return State(None, None, start, jnp.zeros((7, 7)) if kernel is None else jnp.asarray(kernel))

    def step(key, state, problem, i):
        error = state.image - problem.lr.mean() + 1e-3 * jax.random.normal(jax.random.fold_in(key, i))
        return state._replace(image=state.image - rate * error), {"loss": jnp.mean(error**2), "residual": error.max()}

    return Solver(init, step, 1, retry)


def same(first, second):
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.kernel, second.kernel)
    for name, values in first.trace.items():
        np.testing.assert_array_equal(values, second.trace[name])
    assert first.status == second.status


def run(solver, **options):
    return solve(jax.random.key(0), small.problem(), solver, **STEPS, **options)


@pytest.mark.parametrize("rate", [1e30, -2])
def test_a_second_try_recovers(rate):
    found = run(descent(rate, descent()))
    assert found.status == "recovered" and np.isfinite(found.image).all() and found.trace["loss"].shape == (20,)
    alone = solve(second_key(jax.random.key(0)), small.problem(), descent(), **STEPS)
    same(found._replace(status="ok"), alone)
    assert run(descent(retry=descent(1e30))).status == "ok"


@pytest.mark.parametrize("rate", [1e30, -2])
def test_lost_numbers_end_a_try_at_the_next_chunk(rate):
    seen = []
    found = run(descent(rate), on_chunk=lambda done, trace: seen.append(done))
    assert found.status == "diverged" and (seen[-1] == 4 if rate > 0 else 4 <= seen[-1] < 20)
    assert run(descent(rate, descent(1e30))).status == "diverged"


def test_a_second_try_can_be_gone_on_with():
    seen, solver = [], descent(1e30, descent())
    whole = run(solver, save=lambda progress: seen.append(jax.device_get(progress)))
    (progress,) = [p for p in seen if (p.attempt, p.step) == (1, 8)]
    same(run(solver, progress=progress), whole)


@pytest.mark.parametrize("seconds", [1e-6, 0.4, 100])
@pytest.mark.parametrize("rate", [0.1, 1e30, -2])
def test_where_calls_end_changes_no_result(rate, seconds, monkeypatch):
    note = Pace.note
    monkeypatch.setattr(Pace, "note", lambda self, stage, steps, _: note(self, stage, steps, steps * seconds))
    seen, solver = [], descent(rate, descent())
    found = run(solver, on_chunk=lambda done, trace: seen.append((done, len(trace["loss"]))), save=lambda _: None)
    expected = {1e-6: [1, 4, 8, 12, 16, 20], 0.4: [1, 3, 4, 6, 8, 10], 100: [1, 2, 3, 4, 5, 6]}
    assert rate != 0.1 or [done for done, _ in seen[:6]] == expected[seconds]
    monkeypatch.setattr(Pace, "steps", lambda self, stage, most: most)
    whole = []
    same(found, run(solver, on_chunk=lambda done, trace: whole.append(done)))
    assert [done for done, _ in seen if done % 4 == 0] == whole  # a try ends at the same step
    # A state between two chunks is gone on with.
    states = []
    monkeypatch.undo()
    monkeypatch.setattr(Pace, "steps", lambda self, stage, most: min(3, most))
    run(solver, save=lambda progress: states.append(jax.device_get(progress)))
    (middle,) = [p for p in states if (p.attempt, p.step) == (int(rate != 0.1), 11)]
    same(run(solver, progress=middle), found)


def stack(lrs):
    return Problem(jnp.stack(lrs), small.spec())


def lr(phase):
    return small.problem(phase).lr


@pytest.mark.parametrize("vectorize", [False, True])
def test_a_bad_image_does_not_touch_the_others(vectorize):
    keys, solver, steps = small.keys(3), descent(retry=descent(0.05)), {"vectorize": vectorize, **STEPS}
    good = solve_batch(keys, stack([lr(0), lr(1), lr(2)]), solver, **steps)
    found = solve_batch(keys, stack([lr(0), jnp.full_like(lr(1), jnp.nan), lr(2)]), solver, **steps)
    assert [result.status for result in found] == ["ok", "diverged", "ok"]
    same(found[0], good[0])
    same(found[2], good[2])


def test_a_batch_without_the_bad_image_gives_the_same_bits_on_a_cpu():
    keys, solver = small.keys(3), descent(retry=descent(0.05))
    found = solve_batch(keys, stack([lr(0), jnp.full_like(lr(1), jnp.nan), lr(2)]), solver, **STEPS)
    without = solve_batch(keys[jnp.asarray([0, 2])], stack([lr(0), lr(2)]), solver, **STEPS)
    same(found[0], without[0])
    same(found[2], without[1])


def test_second_tries_of_a_vmap_are_those_of_the_retry():
    solver, two = descent(1e30, descent()), stack([lr(0), lr(1)])
    found = solve_batch(small.keys(2), two, solver, vectorize=True, **STEPS)
    keys = jnp.stack([second_key(key) for key in small.keys(2)])
    for result, again in zip(found, solve_batch(keys, two, descent(), vectorize=True, **STEPS), strict=True):
        same(result, again._replace(status="recovered"))


def trace(values, **more):
    return {"loss": np.asarray(values, np.float32), **more}


@pytest.mark.parametrize(
    "values, is_lost",
    [
        ([0.5, 0.4, 0.3, 0.2, 0.1, 0.1], False),
        ([0.5, 0.4, 0.3, 0.2, np.nan, 0.1], True),
        ([0.5, 0.4, 0.3, 0.2, 0.1, np.inf], True),
        ([np.nan, 0.4, 0.3, 0.2, 0.1, 0.1], False),  # seen when it came
        ([1e-6, 1e-6, 1e-6, 1e-6, 2.0, 2.0], False),  # a flat image: perfect at first, the worst there is later
        ([0.5, 0.5, 0.5, 0.5, 0.5, 1e9], False),  # one leap is not an explosion
        ([0.5, 0.5, 0.5, 0.5, 0.5, 100, 100], True),
        ([-0.5, -0.5, -0.5, -0.5, -0.5, -100, -100], True),
        ([50, 30, 30, 30, 30, 300, 300], False),
        ([50, 30, 30, 30, 30, 600, 600], True),
        ([], False),
    ],
)
def test_what_counts_as_lost(values, is_lost):
    assert lost(trace(values) if values else {}, 2) == is_lost
    assert lost(trace([0.1] * len(values), other=np.asarray(values)) if values else {}, 2) == is_lost


def test_what_was_lost_in_an_earlier_chunk_is_known_when_a_solve_goes_on():
    assert ever_lost({}, 2) == ever_lost(trace([]), 2) == ever_lost(trace([1, 1, 1, 100]), 2) == False  # noqa: E712
    values = np.asarray([[1, 1, 1], [1, np.nan, 100], [1, 1, 100], [1, 1, 100], [1, 1, 1], [np.inf, 1, 1]], np.float32)
    np.testing.assert_array_equal(ever_lost(trace(values[:5]), 2), [False, True, True])
    np.testing.assert_array_equal(ever_lost(trace(values), 2), [True, True, True])


def test_lost_is_told_for_each_image_of_a_batch():
    values = np.asarray([[1, 1, 1], [1, np.nan, 100], [1, 1, 100]], np.float32)
    np.testing.assert_array_equal(lost(trace(values), 2), [False, True, True])
