"""The learned posterior as a judge of kernels and as an estimator."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from blindsr_jax.config import load_method
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.inference.shape_search import Found
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.methods import build, learned
from blindsr_jax.methods.estimators import posterior
from blindsr_jax.methods.interfaces import State
from blindsr_jax.solvers.loop import solve

SPEC = make_spec(scale=2, kernel_size=15, boundary="valid", kernel_center="aligned")


def gaussian(variances):
    center = geometry.center(15, 2, "aligned")
    return gaussian_kernel(jnp.asarray(variances), jnp.float32(0.0), kernel_size=15, center=center)


NOISY = Problem(jnp.zeros((8, 8, 3)), SPEC, jnp.float32(0.01))


def judge_families():
    return learned.load(SPEC, num_windows=4, num_draws=512).settings.families


@pytest.fixture(scope="module")
def blurred():
    """A part of a photograph under a Gaussian that is twice as wide along rows as down columns."""
    image = skimage.data.astronaut()[200:341, 200:341] / 255
    lr = degrade(jnp.asarray(image, jnp.float32), gaussian((4.0, 1.0)), scale=2, boundary="valid")
    return Problem(lr, SPEC)


@pytest.fixture(scope="module")
def judge():
    return learned.load(SPEC, num_windows=4, num_draws=2048)


def test_the_true_kernel_is_believed_more_than_another(blurred, judge):
    right, wrong = (learned.believe(judge, blurred, gaussian(v)) for v in ((4.0, 1.0), (0.4, 0.4)))
    assert 0 <= float(wrong.confidence) < 0.1 < float(right.confidence) <= 1 + 1e-5
    np.testing.assert_allclose(sum(map(float, right.families.values())), 1, rtol=1e-4)
    assert set(right.families) == {"gaussian", "trajectory", "line", "disc", "impulse"}
    low, high = map(float, right.width[1:])
    assert low < np.sqrt(2.5) < high, "the root of half the trace lies in its interval"
    assert right.kernel_std.shape == (15, 15) and float(right.kernel_std.max()) > 0


def test_images_with_one_kernel_are_surer_together(blurred, judge):
    right = gaussian((4.0, 1.0))
    one, *many = (learned.believe_together(judge, [blurred] * n, right) for n in (1, 2, 8))
    alone = learned.believe(judge, blurred, right)
    np.testing.assert_allclose(one.width, alone.width, rtol=1e-3)
    np.testing.assert_allclose(one.confidence, alone.confidence, atol=1e-3)
    lengths = [float(x.width[2] - x.width[1]) for x in (one, *many)]
    assert lengths[0] > lengths[1] > lengths[2]
    assert learned.believe_together(judge, [], right) is None
    common, own = (learned.common_kernel(judge, [blurred] * n) for n in (4, 1))
    assert np.abs(common - right).sum() < np.abs(own - right).sum() + 0.05 and abs(float(common.sum()) - 1) < 1e-5


def test_the_estimator_gives_the_mean_kernel_in_the_problem_s_place(blurred):
    solver = posterior.build(SPEC, num_windows=4, num_draws=2048)
    found = solve(jax.random.key(0), blurred, solver)
    assert found.kernel.shape == (15, 15)
    np.testing.assert_allclose(found.kernel.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(geometry.center_of_mass(found.kernel), geometry.center(15, 2, "aligned"), atol=0.35)
    covariance = np.asarray(geometry.covariance(found.kernel))
    assert covariance[1, 1] > covariance[0, 0], "wider along rows"


def test_a_restorer_is_told_noise_where_the_shape_is_not_sure():
    solver = posterior.build(SPEC, num_windows=4, num_draws=512)
    names = judge_families()
    told = [
        float(solver.restorer_noise(State((), jnp.asarray([n == name for n in names], jnp.float32), (), ()), NOISY))
        for name in ("gaussian", "trajectory")
    ]
    np.testing.assert_allclose(told, [0.01, np.hypot(0.01, 3 / 255)], rtol=1e-5)


def test_a_shape_that_the_spectrum_shows_takes_the_place_of_the_mean(blurred, monkeypatch):
    shape = gaussian((1.0, 1.0))
    monkeypatch.setattr(
        posterior, "search", lambda lr, kernel, spec, mask: Found(shape, jnp.array(True), jnp.array(False))
    )
    solver = posterior.build(SPEC, num_windows=4, num_draws=512, shapes=True)
    found = solve(jax.random.key(0), blurred, solver)
    np.testing.assert_array_equal(found.kernel, shape)
    assert found.state.kernel_state[judge_families().index("disc")] == 1


def test_without_a_network_for_the_scale_it_refuses():
    with pytest.raises(ValueError, match="evidence_x5"):
        learned.load(make_spec(scale=5))


def test_a_result_says_what_is_believed_of_its_kernel(blurred, judge):
    solver = posterior.build(SPEC, num_windows=4, num_draws=512)._replace(believe=partial(learned.believe, judge))
    found = solve(jax.random.key(0), blurred, solver)
    own = learned.believe(judge, blurred, found.kernel)
    np.testing.assert_array_equal(found.belief.confidence, own.confidence)
    lost = blurred.lr.at[:].set(jnp.nan)
    assert solve(jax.random.key(0), Problem(lost, SPEC), solver).belief is None


def test_threads_that_load_get_one_posterior():
    """A run prepares the judge in its background thread, while the main one may ask for it."""
    options = {"num_windows": 3, "num_draws": 64}
    with ThreadPoolExecutor(3) as pool:
        first, *others = pool.map(lambda _: learned.load(SPEC, **options), range(3))
    assert all(other is first for other in others)


def test_the_judge_of_a_solver_can_be_prepared():
    config = load_method("photo")
    spec = build.build_spec(config, 2)
    solver = build.build_solver(config, spec)
    assert callable(solver.prepare) and callable(solver.believe)
    config.trust = False
    plain = build.build_solver(config, spec)
    assert plain.prepare is None and plain.believe is None
