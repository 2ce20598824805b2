import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.inference.rks import candidate_errors
from blindsr_jax.methods.interfaces import StepContext
from blindsr_jax.methods.kernel_models import dkp
from tests import small


@functools.cache
def image():
    return small.smooth_image(small.problem().canvas_shape)


def run(model, steps, first=0, kernel=None):
    """States and kernels of some steps with one image, as a list."""
    problem = small.problem()
    state = jax.jit(model.init)(jax.random.key(0), problem, kernel)
    step = jax.jit(model.step)
    found = [(state, None)]
    for i in range(first, first + steps):
        context = StepContext(jnp.int32(i), jnp.bool_(False))
        state, used, _ = step(jax.random.key(i), state, image(), problem, context)
        found.append((state, used))
    return found


def moved(before, after):
    leaves = zip(jax.tree.leaves(before.params), jax.tree.leaves(after.params), strict=True)
    return any(not np.array_equal(a, b) for a, b in leaves)


def test_data_steps_follow_the_release_pattern():
    """A prior step at 0, 5, 10; a data step when (i + 1) % 3 = 0; the sum starts anew at each prior step."""
    model = small.kernel_model(data_every=3, prior_every=5)
    states = [state for state, _ in run(model, 11)]
    changes = [i for i in range(11) if moved(states[i], states[i + 1])]
    assert changes == [0, 2, 5, 8, 10]
    sums = [float(sum(jnp.abs(g).sum() for g in jax.tree.leaves(s.grads))) for s in states[1:]]
    assert [i for i, total in enumerate(sums) if total == 0] == [2, 5, 8]


def test_summed_gradients_are_dropped_at_a_prior_step():
    """Step 4 leaves a sum behind; after the prior step of step 5 the data step sees one gradient, not two."""
    model = small.kernel_model(data_every=6, prior_every=5)
    states = [state for state, _ in run(model, 5)]
    before, after = states[4], states[5]
    assert not moved(before, after)
    count = [int(s.opt[0].count) for s in states]
    assert count[5] == count[1]


def test_a_frozen_kernel_does_not_move():
    model = small.kernel_model(freeze_steps=3, data_every=1)
    states = [state for state, _ in run(model, 6)]
    assert [i for i in range(6) if moved(states[i], states[i + 1])] == [3, 4, 5]


def test_kernels_are_kernels():
    for _, kernel in run(small.kernel_model(), 3)[1:]:
        assert kernel.shape == (7, 7) and kernel.min() >= 0
        np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)


def test_both_likelihoods_take_the_same_prior_step():
    models = [
        small.kernel_model(likelihood=name, num_samples=8, prior_every=1, data_every=99) for name in dkp.LIKELIHOODS
    ]
    (direct, _), (quadratic, _) = (run(model, 1)[1] for model in models)
    for a, b in zip(jax.tree.leaves(direct.params), jax.tree.leaves(quadratic.params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_a_start_kernel_is_where_the_solve_starts():
    kernel = jnp.zeros((7, 7)).at[2:5, 3].set(1 / 3)
    model = small.kernel_model(warmup_steps=300, learning_rate=3e-3, hidden=64, num_samples=4)
    used = run(model, 1, first=1, kernel=kernel)[1][1]
    assert float(jnp.abs(used - kernel).max()) < 0.05


def test_the_prior_pulls_towards_kernels_that_explain_the_image():
    """Prior steps alone, with the sharp image at hand, bring the kernel nearer to the one that made the LR image."""
    options = {"num_samples": 64, "weights": "posterior", "data_every": 10**6, "prior_every": 1, "learning_rate": 3e-3}
    model = small.kernel_model(**options)
    problem = small.problem()

    def error(kernel):
        return float(candidate_errors(image(), kernel[None], problem)[0])

    found = run(model, 60)
    assert error(found[-1][1]) < 0.3 * error(found[1][1])


def test_summed_form_is_one_adam_step_a_step():
    model = small.kernel_model(form="summed", data_every=1, prior_every=2)
    counts = [int(state.opt[0].count) for state, _ in run(model, 3)]
    assert np.diff(counts).tolist() == [1, 1, 1]
    sequential = small.kernel_model(form="sequential", data_every=1, prior_every=2)
    counts = [int(state.opt[0].count) for state, _ in run(sequential, 3)]
    assert np.diff(counts).tolist() == [2, 1, 2]
    with pytest.raises(ValueError, match="data_every is 3, expected 1"):
        small.kernel_model(form="summed")


def test_random_kernels_are_drawn_once_or_at_each_prior_step():
    options = {"prior_every": 1, "num_samples": 8, "weights": "posterior"}
    once, anew = (run(small.kernel_model(redraw=redraw, **options), 2) for redraw in (False, True))
    pools = [state.pool.kernels for state, _ in once]
    np.testing.assert_array_equal(pools[0], pools[-1])
    assert pools[0].shape == (8, 7, 7) and anew[-1][0].pool is None


def test_the_spectrum_counts_in_a_pool_that_starts_from_it():
    options = {"redraw": False, "num_samples": 8}
    (plain, _), (started, _) = (
        run(small.kernel_model(start=start, **options), 0)[0] for start in ("random", "spectrum")
    )
    assert not plain.pool.log_prior.any() and np.ptp(started.pool.log_prior) > 0


def test_a_start_from_the_spectrum_is_a_kernel():
    model = small.kernel_model(start="spectrum", weights="posterior", prior_every=1)
    kernel = run(model, 2)[-1][1]
    assert bool(jnp.isfinite(kernel).all()) and kernel.min() >= 0


def test_without_random_kernels_the_data_alone_move_the_network():
    model = small.kernel_model(data_every=3, prior_every=5, without="rks")
    states = [state for state, _ in run(model, 6)]
    assert [i for i in range(6) if moved(states[i], states[i + 1])] == [2, 5]
    assert int(states[0].opt[0].count) == 0  # no warm-up


def test_without_langevin_dynamics_random_kernels_alone_move_it():
    model = small.kernel_model(data_every=3, prior_every=5, without="nld")
    states = [state for state, _ in run(model, 6)]
    assert [i for i in range(6) if moved(states[i], states[i + 1])] == [0, 5]


def test_without_a_network_the_entries_are_free_and_more_layers_are_more_parameters():
    found = run(small.kernel_model(without="pke", data_every=1, learning_rate=0.1), 3)
    assert [leaf.shape for leaf in jax.tree.leaves(found[-1][0].params)] == [(7, 7)]
    np.testing.assert_allclose(found[-1][1].sum(), 1, rtol=1e-5)
    assert moved(found[1][0], found[3][0])
    sizes = [
        sum(leaf.size for leaf in jax.tree.leaves(run(small.kernel_model(layers=n), 0)[0][0].params)) for n in (1, 3)
    ]
    assert sizes[1] - sizes[0] == 2 * (16 * 16 + 16)


def test_the_summed_form_needs_its_data_steps():
    with pytest.raises(ValueError, match="without is 'nld'"):
        small.kernel_model(form="summed", data_every=1, without="nld")


@pytest.mark.parametrize(
    "option", [{"weights": "x"}, {"likelihood": "x"}, {"start": "x"}, {"form": "x"}, {"without": "x"}]
)
def test_unknown_choices_are_refused(option):
    with pytest.raises(ValueError, match="expected one of"):
        dkp.build(small.spec(), family=small.family(), **option)
