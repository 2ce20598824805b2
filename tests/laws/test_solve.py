"""Laws of a whole solve: what another scene that is the same but for its form must come to."""

import dataclasses
import functools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import data_loss, mse
from blindsr_jax.imaging.problem import BOUNDARIES, Problem, make_spec
from blindsr_jax.kernels import geometry
from blindsr_jax.methods.interfaces import ImageInfo, ImageModel
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import given
from blindsr_jax.solvers.batch import solve_batch
from blindsr_jax.solvers.loop import solve
from tests import small
from tests.laws.law import arrays, kernels, law, masks

STEPS = {"num_steps": 6, "chunk_steps": 6}
LR_SHAPE = (5, 6, 3)


def solved(lr):
    solver = joint(small.pixels(), small.kernel_model(), ssim_steps=0)
    return solve(jax.random.key(3), Problem(lr, small.spec()), solver, **STEPS)


def test_a_gray_image_is_solved_as_three_equal_colours():
    gray = small.problem().lr[..., :1]
    found = solved(jnp.broadcast_to(gray, (*gray.shape[:2], 3)))
    np.testing.assert_array_equal(found.image, found.image[..., [0, 0, 0]])
    assert np.ptp(np.asarray(found.image)) > 0.01


@pytest.mark.long
def test_the_order_of_the_colours_is_nothing():
    lr = small.problem().lr
    found, mixed = solved(lr), solved(lr[..., [2, 0, 1]])
    np.testing.assert_allclose(mixed.image, found.image[..., [2, 0, 1]], atol=2e-4)
    np.testing.assert_allclose(mixed.kernel, found.kernel, atol=2e-4)
    assert np.abs(np.asarray(found.image)[..., 0] - np.asarray(found.image)[..., 1]).max() > 0.01


@functools.cache
def pixels_solver(spec, ssim_steps=0, noise_share=0.0):
    """Free pixels under a known kernel, on any spec, that heed masks."""

    def init(key, problem):
        return jnp.full(problem.canvas_shape, 0.5, problem.lr.dtype)

    def update(key, state, image, residuals, kernel, problem, context):
        def loss_of(x):
            prediction = degrade(x, kernel, scale=spec.scale, boundary=spec.boundary)
            lr = problem.seen(prediction)
            return data_loss(prediction, lr, context.use_ssim), mse(prediction, lr)

        (loss, residual), grad = jax.value_and_grad(loss_of, has_aux=True)(image)
        return image - problem.lr.size / 4 * grad, ImageInfo(loss, residual)

    model = ImageModel(init, lambda x, _: (x, None), update, 2)
    return joint(model, given.build(spec), ssim_steps=ssim_steps, noise_share=noise_share)


@st.composite
def cases(draw, margin=False, boundaries=BOUNDARIES):
    """A problem with a mask and its kernel, one shape for each spec; with `margin` the kernel can be moved."""
    scale = draw(st.integers(1, 8))
    center, boundary = draw(st.sampled_from(geometry.CENTERS)), draw(st.sampled_from(boundaries))
    size = max(3, 2 * scale + 1)
    spec = make_spec(scale=scale, kernel_size=size, boundary=boundary, kernel_center=center)
    kernel = draw(kernels(size, margin=(scale - 1) * margin)).astype(np.float32)
    lr, mask = draw(arrays(*LR_SHAPE, dtype=np.float32)), draw(masks(LR_SHAPE))
    return Problem(jnp.asarray(lr), spec, jnp.float32(0.0), jnp.asarray(mask)), jnp.asarray(kernel)


def image_of(problem, kernel, **options):
    """The last canvas, and the trace."""
    solver = pixels_solver(problem.spec, **options)
    found = solve(jax.random.key(0), problem, solver, kernel=kernel, **STEPS)
    return np.asarray(found.state.image), found.trace


def with_pixels(problem, change):
    lr, mask = map(change, (problem.lr, problem.mask))
    return dataclasses.replace(problem, lr=lr, mask=mask)


CLOSE = {"rtol": 0, "atol": 2e-5}


@law(few=3, case=cases(margin=True), turn=st.sampled_from(("transposed", "upside down", "mirrored", "about")))
def test_a_turned_image_is_solved_by_the_turned_kernel(case, turn):
    problem, kernel = case
    axes = {"transposed": (), "upside down": (0,), "mirrored": (1,), "about": (0, 1)}[turn]

    def turned(x):
        return jnp.flip(x, axes) if axes else jnp.swapaxes(x, 0, 1)

    other = turned(kernel)
    if (
        problem.spec.boundary == "circular"
    ):  # LR pixel 0 is read about pixel 0, the last one about that s before the last
        other = jnp.roll(other, [problem.spec.scale - 1] * len(axes), axes)
    found, trace = image_of(problem, kernel)
    same, same_trace = image_of(with_pixels(problem, turned), other)
    np.testing.assert_allclose(same, turned(found), **CLOSE)
    np.testing.assert_allclose(same_trace["residual"], trace["residual"], rtol=1e-3, atol=1e-6)


@law(few=3, case=cases(), gain=st.floats(-2, 2))
def test_contrast_and_brightness_change_nothing_but_that(case, gain):
    problem, kernel = case
    found, trace = image_of(problem, kernel)
    # The solve starts at 0.5, which so stays what it is: a factor and a constant.
    other = dataclasses.replace(problem, lr=jnp.float32(gain) * (problem.lr - 0.5) + 0.5)
    same, same_trace = image_of(other, kernel)
    np.testing.assert_allclose(same, gain * (found - 0.5) + 0.5, **CLOSE)
    np.testing.assert_allclose(same_trace["residual"], gain**2 * trace["residual"], rtol=1e-3, atol=1e-6)


@law(few=3, case=cases(margin=True, boundaries=("circular",)))
def test_a_kernel_of_the_other_convention_gives_the_same_image_where_that_puts_it(case):
    problem, kernel = case
    spec = problem.spec
    found, _ = image_of(problem, kernel)
    center = {"release": "aligned", "aligned": "release"}[spec.kernel_center]
    moved = geometry.convert_center(kernel, spec.scale, spec.kernel_center, center)
    step = round(geometry.center(spec.kernel_size, spec.scale, center) - spec.center)
    same, _ = image_of(dataclasses.replace(problem, spec=spec._replace(kernel_center=center)), moved)
    np.testing.assert_allclose(same, np.roll(found, step, (0, 1)), **CLOSE)


@law(few=3, case=cases(), ssim_steps=st.sampled_from((0, 3)), fill=st.floats(0, 1), noise=st.floats(0, 0.5))
def test_hidden_values_are_nothing_and_a_solve_stops_at_its_noise(case, ssim_steps, fill, noise):
    problem, kernel = case
    found, trace = image_of(problem, kernel, ssim_steps=ssim_steps)
    other = dataclasses.replace(problem, lr=jnp.where(problem.mask, problem.lr, fill), noise_std=jnp.float32(noise))
    same, same_trace = image_of(other, kernel, ssim_steps=ssim_steps)
    np.testing.assert_array_equal(same, found)
    _, stopped = image_of(other, kernel, ssim_steps=ssim_steps, noise_share=1.0)
    reached = np.flatnonzero(trace["residual"] <= np.float32(noise) ** 2)
    last = reached[0] if len(reached) else STEPS["num_steps"] - 1
    for name, values in same_trace.items():
        expected = np.concatenate([values[: last + 1], np.full(len(values) - last - 1, values[last])])
        np.testing.assert_allclose(stopped[name], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.long
def test_a_transposed_image_gives_transposed_kernels_in_distribution():
    """Random kernels are drawn anew for each key, so single solves differ; their means over keys must not."""
    number, problem = 64, small.problem()
    solver = joint(small.pixels(), small.kernel_model(num_samples=64), ssim_steps=0)
    keys = jax.random.split(jax.random.key(7), 2 * number)

    def found(keys, lr):
        stack = Problem(jnp.broadcast_to(lr, (number, *lr.shape)), small.spec())
        results = solve_batch(keys, stack, solver, num_steps=20, chunk_steps=20)
        return np.stack([result.kernel for result in results])

    here = found(keys[:number], problem.lr)
    there = found(keys[number:], problem.lr.swapaxes(0, 1)).swapaxes(1, 2)
    error = np.hypot(here.std(0), there.std(0)) / number**0.5 + 1e-7
    assert np.abs((here.mean(0) - there.mean(0)) / error).max() < 5, "means differ by more than chance"
    spread = [np.asarray(jax.vmap(geometry.covariance)(jnp.asarray(x))).mean(0) for x in (here, there)]
    assert abs(spread[0][0, 0] - spread[0][1, 1]) > 0.1  # the kernel is not symmetric
