"""The diffusion image model: data consistency, gray and tiny images, samples, options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.config import base_config
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem
from blindsr_jax.methods import build as methods
from blindsr_jax.methods.image_models import diffusion
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import given
from blindsr_jax.solvers.loop import run_chunk, solve
from tests import small, tiny_prior

STEPS = 4


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return str(tiny_prior.write(tmp_path_factory.mktemp("prior")))


@pytest.fixture(scope="module")
def make(prior):
    """Solvers with a known kernel."""

    def build(boundary="circular", **options):
        options = {"num_steps": STEPS, "weights": prior, "first_time": 100, "noise_std": 1e-3} | options
        return joint(diffusion.build(small.spec(boundary), **options), given.build(small.spec(boundary)), ssim_steps=0)

    return build


def kernel(boundary="circular"):
    return small.family(boundary).render(small.family(boundary).sample(jax.random.key(3)))


def problem_with(k, boundary, channels=3):
    spec = small.spec(boundary)
    canvas = small.smooth_image((*spec.canvas_shape(small.LR_SHAPE), channels))
    return Problem(degrade(canvas, k, scale=2, boundary=boundary), spec)


@pytest.mark.parametrize("boundary", ["circular", "valid"])
def test_the_result_explains_the_lr_image(make, boundary):
    """Whatever the denoiser says (this one knows nothing), the last data step holds the image to the LR image."""
    k = kernel(boundary)
    problem = problem_with(k, boundary)
    result = solve(jax.random.key(0), problem, make(boundary), num_steps=STEPS, kernel=k)
    again = degrade(result.state.image, k, scale=2, boundary=boundary)
    assert result.status == "ok" and result.uncertainty is None
    assert float(jnp.abs(again - problem.lr).mean()) < 0.01
    np.testing.assert_allclose(result.trace["loss"][-1], jnp.mean((again - problem.lr) ** 2), rtol=1e-3, atol=1e-9)


def test_gray_images_and_samples_with_their_spread(make):
    k = kernel()
    problem = problem_with(k, "circular", channels=1)
    solver = make(samples=3, method="ddim", eta=0.7)
    result = solve(jax.random.key(0), problem, solver, num_steps=STEPS, kernel=k)
    assert result.image.shape == (20, 24, 1) and result.uncertainty.shape == (20, 24)
    assert result.state.image_state.x.shape == (3, 20, 24, 3) and int(result.state.image_state.index) == -1
    assert float(result.uncertainty.min()) >= 0 and float(result.uncertainty.max()) > 0
    other = solve(jax.random.key(0), problem, solver, num_steps=STEPS, kernel=k)
    np.testing.assert_array_equal(result.image, other.image)


def test_noise_that_the_problem_tells_of_is_not_explained(make):
    """The same noisy LR image, told of its noise: the residual stays at the noise, and the image is smoother."""
    k, std = kernel(), 0.05
    clean = problem_with(k, "circular")
    noisy = clean.lr + std * jax.random.normal(jax.random.key(8), clean.lr.shape)
    solver = make()
    assert solver.uses_noise and not make(weight=0.1).uses_noise

    def run(noise_std):
        problem = Problem(noisy, clean.spec, noise_std)
        return solve(jax.random.key(0), problem, solver, num_steps=STEPS, kernel=k)

    unknown, none, told = run(None), run(jnp.float32(0)), run(jnp.float32(std))
    np.testing.assert_allclose(unknown.image, none.image, atol=1e-5)
    assert unknown.trace["residual"][-1] < 0.2 * std**2 < told.trace["residual"][-1]


def test_weights_are_an_argument_of_the_program(make):
    """As constants of the program a large network could not be compiled."""
    solver, k = make(), kernel()
    problem = problem_with(k, "circular")
    state = jax.eval_shape(solver.init, jax.random.key(0), problem, k, solver.arrays)
    text = run_chunk.lower(
        jax.random.key(0), state, problem, jnp.int32(0), solver.arrays, solver=solver, length=STEPS
    ).as_text()
    constants = [line for line in text.splitlines() if "stablehlo.constant" in line]
    assert constants and max(map(len, constants)) < 2000  # 500 weights take 4000 characters
    assert max(x.size for x in jax.tree.leaves(solver.arrays)) > 500


def test_an_unknown_choice_is_one_sentence(prior):
    spec = small.spec("circular")
    options = {"num_steps": STEPS, "weights": prior}
    for bad, words in (
        ({"data": "both"}, "config.image.data is 'both', expected one of exact, gradient"),
        ({"method": "euler"}, "config.image.method is 'euler'"),
        ({"first_time": 3}, "num_steps is 4, expected at most config.image.first_time = 3"),
        ({"tile": 16, "overlap": 16}, "config.image.overlap is 16, expected at most half of config.image.tile = 16"),
        ({"label": 3}, "config.image.label is 3"),
        ({"noise_std": 0.0}, "config.image.noise_std is 0.0"),
        ({"weights": "nothing"}, "there is no shipped diffusion prior 'nothing'"),
    ):
        with pytest.raises(ValueError, match=words.replace("(", r"\(")):
            diffusion.build(spec, **(options | bad))


def test_a_config_gives_the_chain_its_length(prior):
    config = base_config()
    config.image = type(config)({"name": "diffusion", "weights": prior})
    config.num_steps = 7
    state = jax.eval_shape(methods.build_image_model(config, small.spec()).init, jax.random.key(0), small.problem())
    assert state.x.shape[0] == 1
    config.image.first_time = 5
    with pytest.raises(ValueError, match="num_steps is 7"):
        methods.build_image_model(config, small.spec())
