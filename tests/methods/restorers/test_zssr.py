import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import Problem, solve
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.methods.interfaces import min_lr_side
from blindsr_jax.methods.restorers import zssr
from blindsr_jax.methods.restorers.cubic import enlarge
from blindsr_jax.solvers.loop import run_chunk
from tests import small

STEPS = {"num_steps": 60, "chunk_steps": 30}
OPTIONS = {"num_steps": 60, "channels": 8, "layers": 3, "side": 16}


def make_case(boundary="valid", center="aligned", scale=2, channels=3, lr_side=20, dtype=jnp.float32):
    """A problem, its kernel and the true canvas."""
    spec = make_spec(scale=scale, kernel_size=7, boundary=boundary, kernel_center=center)
    kernel = gaussian_kernel(jnp.asarray([1.5, 0.6], dtype), jnp.asarray(0.7, dtype), kernel_size=7, center=spec.center)
    truth = small.smooth_image((*spec.canvas_shape((lr_side, lr_side + 1, 1)), channels), dtype=dtype)
    truth = jnp.round(truth)  # edges, or nothing could be better than the cubic enlargement
    return Problem(degrade(truth, kernel, scale=scale, boundary=boundary), spec), kernel, truth


@pytest.fixture(scope="module")
def solver():
    return zssr.build(make_case()[0].spec, **OPTIONS)


@pytest.fixture(scope="module")
def found(solver):
    problem, kernel, _ = make_case()
    return solve(jax.random.key(0), problem, solver, kernel=kernel, **STEPS)


def test_better_than_the_cubic_enlargement(found):
    problem, kernel, truth = make_case()
    truth, cubic = (problem.spec.crop(x, problem.lr.shape) for x in (truth, enlarge(problem.lr, problem.spec)))
    assert found.image.shape == truth.shape and found.state.image.shape == problem.canvas_shape
    assert mse(found.image, truth) < 0.7 * mse(cubic, truth)
    np.testing.assert_array_equal(found.kernel, kernel)
    assert found.trace["loss"][-10:].mean() < found.trace["loss"][:10].mean()
    assert found.trace["residual"][-1] < found.trace["residual"][0]


def test_after_the_third_fall_nothing_moves(solver, found):
    problem, _, _ = make_case()
    rate = found.state.image_state.rate._replace(value=jnp.float32(1e-6))
    state = found.state._replace(image_state=found.state.image_state._replace(rate=rate))
    before = jax.device_get(state)
    after, trace = run_chunk(jax.random.key(0), state, problem, jnp.int32(0), solver=solver, length=30)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(after), before)
    assert set(trace) == {"loss", "residual", "kernel_loss"} and np.all(trace["loss"] == before.image_state.loss)


@pytest.mark.parametrize("center", ["aligned", "release"])
@pytest.mark.parametrize("turn", [0, 3, 5, 6])
def test_a_pair_is_a_patch_and_its_own_lr_version(turn, center):
    spec = make_spec(scale=2, kernel_size=7, kernel_center=center)
    first = int(spec.center)  # of the two pixels that the LR pixel lies over
    kernel = jnp.zeros((7, 7)).at[first : first + 2, first : first + 2].set(0.25)
    image = small.smooth_image((24, 26, 1))
    father, son = zssr._pair(image, kernel, spec, (8, 8), zssr._Patch(6, 9, jnp.int32(turn)))
    assert father.shape == (8, 8, 1) and son.shape == (4, 4, 1)
    patch = np.asarray(image[6:14, 9:17])
    patch = patch[::-1] if turn & 1 else patch
    patch = patch[:, ::-1] if turn & 2 else patch
    patch = patch.swapaxes(0, 1) if turn & 4 else patch
    np.testing.assert_array_equal(father, patch)
    np.testing.assert_allclose(son, patch.reshape(4, 2, 4, 2, 1).mean((1, 3)), atol=1e-6)


def test_importance():
    image = jnp.zeros((12, 14, 3)).at[:, 7:].set(0.5)
    weights = zssr.importance(image)
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-5)
    assert float(jnp.abs(weights[:3]).max()) == 0 == float(jnp.abs(weights[:, -3:]).max())
    assert jnp.all(weights[3:-3, 6:8] > 0) and float(weights[5, 3]) == 0
    # Two columns of slopes 0.25, in the window of the middle: 10 of them; in that of column 4 five.
    np.testing.assert_allclose(weights[5, 6] / weights[5, 4], 2, rtol=1e-5)
    np.testing.assert_array_equal(zssr.importance(jnp.full((5, 4, 1), 0.3)), 1)


@pytest.mark.parametrize("falling", [False, True])
def test_the_rate_falls_where_the_error_does_not(falling):
    records = np.array([5.0, 4.1, 3.0, 1.9, 1.0] if falling else [3.0, 3.2, 2.9, 3.1, 3.0])
    rate = zssr.Rate(jnp.float32(1e-3), jnp.asarray(records, jnp.float32), jnp.int32(0))
    (slope, _), cov = np.polyfit(50 * np.arange(5), records, 1, cov=True)
    assert (-1.5 * slope < np.sqrt(cov[0, 0])) == (not falling)
    new = zssr.next_rate(rate, jnp.int32(299))
    np.testing.assert_allclose(new.value, 1e-3 if falling else 1e-4, rtol=1e-5)
    assert int(new.changed) == (0 if falling else 299)
    for early in (239, 300):  # too soon after the last change; not a step at which it is looked at
        assert float(zssr.next_rate(rate, jnp.int32(early)).value) == float(rate.value)


def test_the_smallest_image():
    """Gray, circular and centred as in the release, with the options of a real image: finite, and of the right size."""
    problem, kernel, _ = make_case("circular", "release", scale=4, channels=1, lr_side=8)
    options = {"noise_std": 0.01, "back_projections": 0, "augment": False}
    solver = zssr.build(problem.spec, num_steps=2, channels=4, layers=2, **options)
    assert min_lr_side(problem.spec, solver) == 8
    result = solve(jax.random.key(0), problem, solver, num_steps=2, chunk_steps=2, kernel=kernel)
    assert result.status == "ok" and result.image.shape == (32, 36, 1)


def test_back_projection_brings_the_error_down():
    """With no training to speak of: the LR version of the result comes nearer to the LR image."""
    for boundary, center in (("valid", "release"), ("circular", "aligned")):
        problem, kernel, _ = make_case(boundary, center, lr_side=10)
        large = enlarge(problem.lr, problem.spec)
        errors = []
        for _ in range(3):
            error = problem.lr - degrade(large, kernel, scale=2, boundary=boundary)
            errors.append(float(jnp.mean(error**2)))
            large = large + enlarge(error, problem.spec)
        assert errors[2] < 0.3 * errors[0]


@pytest.mark.long
def test_a_batch_equals_its_images_in_float64():
    with jax.enable_x64(True):
        problem, kernel, _ = make_case(dtype=jnp.float64, lr_side=10)
        options = {"channels": 4, "layers": 1, "side": 8, "back_projections": 1}
        solver = zssr.build(problem.spec, num_steps=1, **options)
        problems = [Problem(lr, problem.spec) for lr in (problem.lr, 1 - problem.lr)]
        states = [solver.init(jax.random.key(5), image, kernel) for image in problems]
        step, keys = jax.jit(solver.step), small.keys(2)
        alone = [step(*args, jnp.int32(0)) for args in zip(keys, states, problems, strict=True)]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *zip(states, problems, strict=True))
        batch = jax.jit(jax.vmap(solver.step, (0, 0, 0, None)))(keys, *stacked, jnp.int32(0))
        alone = jax.tree.map(lambda *x: jnp.stack(x), *alone)
        assert batch[0].image.dtype == jnp.float64
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-8), batch, alone)


def test_errors():
    problem, kernel, _ = make_case()
    with pytest.raises(ValueError, match="needs a kernel"):
        zssr.build(problem.spec).init(jax.random.key(0), problem)
    for name, value in (("num_steps", 0), ("layers", 0), ("side", 3)):
        with pytest.raises(ValueError, match=f"{name} {value}, expected at least"):
            zssr.build(problem.spec, **{name: value})
