"""Laws of what is asked about a problem, in float64: masks, noise, brightness, gray and turned images."""

import dataclasses
import functools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import data_quadratic, proximal
from blindsr_jax.imaging.degradation import adjoint, degrade
from blindsr_jax.imaging.losses import data_loss
from blindsr_jax.imaging.problem import Problem
from blindsr_jax.inference import blur_evidence, kernel_flip, rks, spectrum
from blindsr_jax.methods.restorers.cubic import enlarge
from tests.laws.law import arrays, kernels, law, problems

CLOSE = {"rtol": 1e-7, "atol": 1e-9}


@pytest.fixture(autouse=True)
def precision():
    with jax.enable_x64(True):
        yield


def changed(problem, **values) -> Problem:
    return dataclasses.replace(problem, **values)


def hidden_filled(problem, fill):
    """The problem with other values where the mask says that they tell nothing."""
    return changed(problem, lr=jnp.where(problem.mask, problem.lr, fill))


def turned(problem):
    lr, mask = jax.tree.map(lambda x: x.swapaxes(0, 1), (problem.lr, problem.mask))
    return changed(problem, lr=lr, mask=mask)


@jax.jit
def scores(problem, image, kernel, others):
    """What kernels cost, in both ways, and the loss of an image with its gradient."""
    spec = problem.spec

    def loss(x, use_ssim):
        prediction = degrade(x, kernel, scale=spec.scale, boundary=spec.boundary)
        return data_loss(prediction, problem.seen(prediction), use_ssim)

    term = data_quadratic.quadratic(image, kernel, problem)
    losses = [jax.value_and_grad(loss)(image, jnp.bool_(use_ssim)) for use_ssim in (True, False)]
    return data_quadratic.errors(term, others), rks.candidate_errors(image, others, problem), losses


@law(few=4, found=problems(), data=st.data())
def test_kernels_cost_what_the_values_that_count_say_in_both_ways_of_asking(found, data):
    problem, image, kernel = found
    others = jnp.stack([kernel, kernel.T, jnp.asarray(data.draw(kernels(len(kernel))))])
    quadratic, direct, losses = scores(problem, image, kernel, others)
    np.testing.assert_allclose(quadratic, direct, **CLOSE)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(losses))
    other = scores(hidden_filled(problem, data.draw(st.floats(0, 1))), image, kernel, others)
    jax.tree.map(np.testing.assert_array_equal, other, (quadratic, direct, losses))
    if problem.mask.all():
        unmasked = scores(changed(problem, mask=None), image, kernel, others)
        np.testing.assert_allclose(unmasked[:2], (quadratic, direct), **CLOSE)
    if not problem.mask.any():
        assert not direct.any()
        for _, gradient in losses:
            np.testing.assert_allclose(gradient, 0, atol=1e-12)


@jax.jit
def restored(prior, problem, kernel, weight):
    """The minimiser of the data term near a prior image, and the gradient that it leaves."""
    spec, place = problem.spec, {"scale": problem.spec.scale, "boundary": problem.spec.boundary}
    image = proximal.solve_data(prior, problem.lr, kernel, weight, spec=spec, num_iterations=150, mask=problem.mask)
    seen = degrade(image, kernel, **place)
    back = adjoint(seen - problem.seen(seen), kernel, **place, image_shape=image.shape)
    return image, back + weight * (image - prior)


@law(few=4, found=problems(), weight=st.floats(0.05, 4), gain=st.floats(-3, 3), offset=st.floats(-1, 1), data=st.data())
def test_the_data_step_is_the_least_it_says_and_hears_nothing_hidden(found, weight, gain, offset, data):
    problem, prior, kernel = found
    image, gradient = restored(prior, problem, kernel, weight)
    np.testing.assert_allclose(gradient, 0, atol=1e-8)
    other = hidden_filled(problem, data.draw(st.floats(0, 1)))
    np.testing.assert_array_equal(restored(prior, other, kernel, weight)[0], image)
    brighter, _ = restored(gain * prior + offset, changed(problem, lr=gain * problem.lr + offset), kernel, weight)
    np.testing.assert_allclose(brighter, gain * image + offset, atol=1e-7)
    if problem.mask.all():
        np.testing.assert_allclose(restored(prior, changed(problem, mask=None), kernel, weight)[0], image, atol=1e-7)
    if not problem.mask.any():
        np.testing.assert_allclose(image, prior, atol=1e-12)


@jax.jit
def evidence(problem, candidates):
    noise = jnp.quantile(spectrum.mean_power(problem.lr, min(problem.lr.shape[:2])), spectrum._NOISE_QUANTILE)
    return spectrum.log_evidence(candidates, problem), noise


@law(few=3, found=problems(), gain=st.floats(1, 4), offset=st.floats(-1, 1), data=st.data())
def test_the_spectrum_tells_kernels_apart_whatever_the_brightness_the_colours_and_the_side(found, gain, offset, data):
    problem, _, kernel = found
    candidates = jnp.stack(
        [kernel, jnp.asarray(data.draw(kernels(len(kernel)))), kernel_flip.flipped(kernel, problem.spec)]
    )
    log, noise = evidence(problem, candidates)
    assert log.shape == (3,) and np.isfinite(log).all()
    same = [(changed(problem, lr=problem.lr + offset), candidates), (problem.in_colours(), candidates)]
    same += [(turned(problem), candidates.swapaxes(1, 2)), (changed(problem, lr=problem.lr[::-1]), candidates[:, ::-1])]
    for case in same:
        np.testing.assert_allclose(evidence(*case)[0], log, rtol=1e-6, atol=1e-6)
    if noise > 1.01 * spectrum._ROUNDING:  # a picture of rounding errors is another one when it is brighter
        brighter = evidence(changed(problem, lr=gain * problem.lr), candidates)[0]
        np.testing.assert_allclose(brighter - brighter[0], log - log[0], rtol=1e-6, atol=1e-6)


@functools.partial(jax.jit, static_argnums=1)
def enlarged(lr, spec):
    return enlarge(lr, spec)


@law(few=4, found=problems(), gain=st.floats(-3, 3), offset=st.floats(-1, 1))
def test_the_cubic_enlargement_lies_over_its_image_turns_with_it_and_is_affine(found, gain, offset):
    problem, _, _ = found
    lr, spec = problem.lr, problem.spec
    found = np.asarray(enlarged(lr, spec))
    assert found.shape == problem.canvas_shape
    np.testing.assert_allclose(enlarged(gain * lr + offset, spec), gain * found + offset, atol=1e-9)
    np.testing.assert_allclose(enlarged(lr.swapaxes(0, 1), spec), found.swapaxes(0, 1), atol=1e-9)
    over = np.asarray(spec.crop(found, lr.shape))
    assert over.shape[:2] == (spec.scale * lr.shape[0], spec.scale * lr.shape[1])
    if spec.kernel_center == "aligned":
        mirrored = spec.crop(enlarged(lr[::-1], spec), lr.shape)
        np.testing.assert_allclose(mirrored, over[::-1], atol=1e-9)


judge = jax.jit(blur_evidence.judge, static_argnums=2)


@law(few=4, found=problems(), offset=st.floats(-1, 1))
def test_a_blur_is_judged_by_detail_and_not_by_colour_brightness_or_side(found, offset):
    problem, _, kernel = found
    verdict = judge(problem.lr, kernel, problem.spec, problem.noise_std)
    assert int(verdict.verdict) in set(blur_evidence.Blur) and 0 <= verdict.suppressed <= 1 and verdict.variance >= 0
    for lr, other in (
        (problem.lr + offset, kernel),
        (problem.in_colours().lr, kernel),
        (problem.lr.swapaxes(0, 1), kernel.T),
    ):
        same = judge(lr, other, problem.spec, problem.noise_std)
        np.testing.assert_allclose(same.suppressed, verdict.suppressed, atol=1e-5)
        np.testing.assert_allclose(same.variance, verdict.variance, rtol=1e-9)


@law(few=2, found=problems())
def test_a_turned_kernel_is_told_from_its_counterpart_by_the_same_two_energies(found):
    problem, _, _ = found
    spec = problem.spec
    step = spec.scale - 1
    kernel = np.pad(np.random.default_rng(0).uniform(size=(spec.kernel_size - step,) * 2), ((step, 0), (step, 0)))
    if spec.kernel_center == "release":
        kernel = kernel[::-1, ::-1]
    kernel = jnp.asarray(kernel / kernel.sum())
    given, swapped = (kernel_flip.flip_test(problem, k) for k in (kernel, kernel_flip.flipped(kernel, spec)))
    np.testing.assert_allclose(given[:2], swapped[1::-1], rtol=1e-6, atol=1e-12)
    assert {given.verdict, swapped.verdict} in ({"given", "flipped"}, {"cannot tell"})
    for same in (problem.in_colours(), changed(problem, noise_std=None, mask=None)):
        np.testing.assert_allclose(kernel_flip.flip_test(same, kernel)[:2], given[:2], rtol=1e-6, atol=1e-12)


@law(few=6, found=problems(), prediction=st.floats(-1, 2), data=st.data())
def test_what_is_seen_of_a_problem_in_colours_is_what_was_seen_of_it_gray(found, prediction, data):
    problem, image, _ = found
    filled = np.asarray(problem.seen(jnp.full_like(problem.lr, prediction)))
    np.testing.assert_array_equal(filled, np.where(problem.mask, problem.lr, prediction))
    colours = problem.in_colours()
    assert colours.lr.shape == colours.mask.shape == (*problem.lr.shape[:2], 3)
    assert colours.spec == problem.spec and colours.known_noise == problem.known_noise == problem.noise_std
    assert colours.count * problem.lr.shape[2] == 3 * problem.count <= 3 * problem.lr.size
    assert changed(problem, noise_std=None).known_noise == 0
    stack = jax.tree.map(lambda x: jnp.stack([x, x]), problem)
    assert stack.canvas_shape == problem.canvas_shape == image.shape
    inner = np.asarray(problem.spec.crop(data.draw(arrays(*image.shape)), problem.lr.shape))
    assert inner.shape == (*(problem.spec.scale * n for n in problem.lr.shape[:2]), image.shape[2])
