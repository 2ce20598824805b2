"""The mean of two kernels: between both, nearer to the one that is believed, and KENet's where it alone can know."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.inference.shape_search import Found
from blindsr_jax.kernels import disc, gaussian, geometry
from blindsr_jax.methods import learned
from blindsr_jax.methods.estimators import alternating, ensemble, kenet
from blindsr_jax.solvers.loop import solve

SPEC = make_spec(scale=2, kernel_size=15, boundary="valid", kernel_center="aligned")
WIDE = {"weights": "wide", "window": 96, "num_windows": 32, "reductions": 3}
SHARP = jnp.asarray(skimage.data.astronaut()[20:221, 160:361] / 255, jnp.float32)


def gaussian_kernel(variances, size, scale):
    place = {"kernel_size": size, "center": geometry.center(size, scale, "aligned")}
    return gaussian.gaussian_kernel(jnp.asarray(variances, jnp.float32), jnp.float32(0.3), **place)


def blurred(kernel, spec=SPEC, sharp=SHARP):
    lr = degrade(sharp, kernel, scale=spec.scale, boundary="valid")
    return Problem(jnp.round(255 * lr) / 255, spec, jnp.float32(0.5 / 255))


def ask(solver, problem):
    return solve(jax.random.key(0), problem, solver)


@pytest.fixture(scope="module")
def both():
    return kenet.build(SPEC, **WIDE), alternating.build(SPEC)


@pytest.fixture(scope="module")
def together():
    return ensemble.build(SPEC, shapes=False)


def test_the_kernel_lies_between_both_and_nearer_to_the_believed_one(both, together):
    problem = blurred(gaussian_kernel([4.0, 2.0], 15, 2))
    first, second = (ask(solver, problem) for solver in both)
    found = ask(together, problem)
    sure = [float(learned.believe(learned.load(SPEC), problem, x.kernel).confidence) for x in (first, second)]
    shares = (np.array(sure) + ensemble.LEAST) / (sum(sure) + 2 * ensemble.LEAST)
    expected = shares[0] * first.kernel + shares[1] * second.kernel
    np.testing.assert_allclose(found.kernel, expected, atol=1e-5)
    assert np.abs(first.kernel - second.kernel).sum() > 0.02, "two kernels that are equal would show nothing"
    np.testing.assert_allclose(found.state.kernel_state.families, second.state.kernel_state, atol=1e-5)


def test_a_restorer_is_told_the_mean_doubt_of_both(both, together):
    problem = blurred(gaussian_kernel([4.0, 1.0], 15, 2))
    told = [float(s.restorer_noise(ask(s, problem).state, problem)) for s in (*both, together)]
    assert min(told[:2]) - 1e-6 <= told[2] <= max(told[:2]) + 1e-6 and told[2] >= float(problem.noise_std)


def test_a_disc_that_the_spectrum_shows_takes_the_place_of_the_mean(together):
    true = disc.disc_kernel(jnp.float32(3.0), kernel_size=15, center=geometry.center(15, 2, "aligned"))
    problem = blurred(true)
    searched = ask(ensemble.build(SPEC), problem)
    mean = ask(together, problem)
    off = [float(jnp.abs(x.kernel - true).sum()) for x in (searched, mean)]
    assert off[0] < 0.1 and off[0] < off[1]
    certain = searched.state.kernel_state
    assert certain.families.max() == certain.kenet.probabilities.max() == certain.confidence == 1


def test_a_line_that_neither_network_knows_of_is_not_taken(monkeypatch):
    """The spectrum alone takes some camera shake for a line."""
    line = jnp.zeros((15, 15)).at[8, 4:12].set(1 / 8)
    no, yes = jnp.bool_(False), jnp.bool_(True)
    monkeypatch.setattr(kenet, "search", lambda *_, **__: Found(line, is_disc=no, is_line=yes))
    problem = blurred(gaussian_kernel([4.0, 2.0], 15, 2))
    mean, refused = (ask(ensemble.build(SPEC, shapes=shapes), problem).kernel for shapes in (False, True))
    np.testing.assert_allclose(refused, mean, atol=1e-6)
    monkeypatch.setattr(ensemble, "LINE", 0.0)
    np.testing.assert_allclose(ask(ensemble.build(SPEC), problem).kernel, line, atol=1e-6)


def test_a_kernel_of_a_smaller_image_is_left_to_kenet(monkeypatch):
    monkeypatch.setattr(kenet, "WIDE", 0.0)
    monkeypatch.setattr(kenet, "WIDER", 0.0)
    spec = make_spec(scale=1, kernel_size=61, boundary="valid", kernel_center="aligned")
    problem = blurred(gaussian_kernel([20.0, 20.0], 61, 1), spec)
    options = {"window": 32, "num_windows": 4}
    first = kenet.build(spec, **{**WIDE, **options})
    second = ensemble.build(spec, shapes=False, **options)
    own, found = (ask(solver, problem) for solver in (first, second))
    assert own.state.kernel_state.reduction > 1
    np.testing.assert_allclose(found.kernel, own.kernel, atol=1e-6)
    told = (s.restorer_noise(x.state, problem) for s, x in ((first, own), (second, found)))
    np.testing.assert_allclose(*told, rtol=1e-5)


def test_parts_of_an_image_get_kernels_of_kenet():
    problem = blurred(gaussian_kernel([3.0, 3.0], 15, 2))
    options = {**WIDE, "window": 32, "kernel_map": (1, 2)}
    own, found = (
        ask(solver, problem)
        for solver in (kenet.build(SPEC, **options), ensemble.build(SPEC, window=32, kernel_map=(1, 2)))
    )
    np.testing.assert_allclose(found.state.kernel_map, own.state.kernel_map, atol=1e-6)


def test_windows_that_disagree_are_told(together):
    kernel = gaussian_kernel([4.0, 4.0], 15, 2)
    problem = blurred(kernel)
    state = ask(together, problem).state
    uneven = state.kernel_state.kenet._replace(unevenness=jnp.float32(0.9))
    assert "disagree" in together.message(state._replace(kernel_state=state.kernel_state._replace(kenet=uneven)))
    even = uneven._replace(unevenness=jnp.float32(0.1))
    assert together.message(state._replace(kernel_state=state.kernel_state._replace(kenet=even))) == ""


def test_a_kernel_that_the_posterior_does_not_know_is_restored_with_care(together):
    problem = blurred(gaussian_kernel([4.0, 4.0], 15, 2))
    state = ask(together, problem).state
    assert state.kernel_state.confidence > ensemble.UNKNOWN and "care" not in together.message(state)
    unknown = state._replace(kernel_state=state.kernel_state._replace(confidence=jnp.float32(0.01)))
    assert ensemble.CAREFUL in together.message(unknown)
    before, after = (float(together.restorer_noise(x, problem)) for x in (state, unknown))
    np.testing.assert_allclose(after, np.hypot(before, ensemble.CARE / 255), rtol=1e-4)
