"""Guidance and jumps of the diffusion image model: off by default, and what they change."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem
from blindsr_jax.methods.image_models import diffusion
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import given
from blindsr_jax.networks.classifier import ClassifierConfig
from blindsr_jax.solvers.loop import solve
from blindsr_jax.weights import classifier, guided_diffusion
from tests import small, tiny_prior

STEPS = 8
# Of released classifiers, the width of the heads is no part of the file; images are smaller than a canvas here.
CLASSIFIER = ClassifierConfig(
    num_classes=3, model_channels=64, channel_mult=(1, 1), num_res_blocks=1, attention_rates=(2,), image_size=16
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    draw = np.random.default_rng(0)
    shapes = guided_diffusion.shapes_of(CLASSIFIER)
    tensors = {key: 0.1 * draw.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}
    params = guided_diffusion.classifier_params(tensors, config=CLASSIFIER)["params"]
    (folder / "classifier.npz").write_bytes(classifier.to_bytes(CLASSIFIER, params))
    return {"weights": str(tiny_prior.write(folder)), "guidance_weights": str(folder / "classifier.npz")}


def run(files, **options):
    """The state and image after a solve with a known kernel."""
    k = small.family().render(small.family().sample(jax.random.key(3)))
    canvas = small.smooth_image((*small.spec().canvas_shape(small.LR_SHAPE), 3))
    problem = Problem(degrade(canvas, k, scale=2, boundary="valid"), small.spec())
    options = {"num_steps": STEPS, "first_time": 100, "weights": files["weights"], "iterations": 2} | options
    solver = joint(diffusion.build(small.spec(), **options), given.build(small.spec()), ssim_steps=0)
    result = solve(jax.random.key(0), problem, solver, chunk_steps=STEPS, kernel=k)
    assert result.status == "ok" and len(result.trace["loss"]) == STEPS
    return np.asarray(result.image)


@pytest.fixture(scope="module")
def plain(files):
    return functools.cache(lambda method: run(files, method=method))


def test_jumps_go_up_and_down_within_the_steps_of_the_solve(files, plain):
    jumped = run(files, jump_length=2, jump_count=2)
    assert np.abs(jumped - plain("ddpm")).max() > 1e-4
    chain, levels, climbs = diffusion._make_walk(STEPS, 100, 2, 2)
    np.testing.assert_array_equal(levels[::-1], [5, 4, 3, 2, 1, 2, 1, 0])
    np.testing.assert_array_equal(climbs[::-1], [0, 0, 0, 0, 2, 0, 0, 0])
    assert chain.num_steps == 6


@pytest.mark.parametrize("method", ["ddpm", pytest.param("ddim", marks=pytest.mark.long)])
def test_guidance_moves_the_image(files, plain, method):
    guided = run(
        files, method=method, guidance_scale=500.0, guidance_class=1, guidance_weights=files["guidance_weights"]
    )
    assert np.abs(guided - plain(method)).max() > 1e-4


def test_without_a_scale_and_a_count_nothing_is_added(files):
    off = diffusion.build(small.spec(), num_steps=STEPS, guidance_class=1, jump_length=3, **files)
    assert off.weights is diffusion.build(small.spec(), num_steps=STEPS, weights=files["weights"]).weights
    (settings,) = off.predict.args
    assert settings.classifier is None and settings.climbs is None
    np.testing.assert_array_equal(settings.levels, range(STEPS))


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"guidance_scale": 1.0, "guidance_class": 1}, "config.image.guidance_weights is None"),
        ({"guidance_scale": 1.0, "guidance_weights": "x.npz"}, "config.image.guidance_class is None"),
        ({"guidance_scale": 1.0, "guidance_weights": "x.npz", "guidance_class": 1}, "classifier 'x.npz'"),
        ({"jump_count": 100}, "config.image.jump_count is 100"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(files, bad, words):
    with pytest.raises(ValueError, match=words):
        diffusion.build(small.spec(), num_steps=STEPS, **({"weights": files["weights"]} | bad))


def test_a_class_that_the_classifier_does_not_have_is_refused(files):
    with pytest.raises(ValueError, match="config.image.guidance_class is 3, expected a class of the 3"):
        diffusion.build(small.spec(), num_steps=STEPS, guidance_scale=1.0, guidance_class=3, **files)


@pytest.mark.long
def test_guidance_takes_canvases_of_any_size():
    """The classifier knows one size: smaller canvases are continued by reflection, larger ones cut into tiles."""
    params = guided_diffusion.classifier_params(
        {k: 0.1 * np.ones(s, np.float32) for k, s in guided_diffusion.shapes_of(CLASSIFIER).items()}, config=CLASSIFIER
    )
    walk = diffusion._make_walk(4, 100, 1, 1)
    fields = dict.fromkeys(diffusion.Settings._fields)
    settings = diffusion.Settings(**fields | {"classifier": CLASSIFIER, "chain": walk[0], "samples": 1})
    settings = settings._replace(guidance_class=0, guidance_scale=1.0)
    for shape in ((1, 9, 12, 3), (1, 40, 20, 3)):
        gradient = jax.jit(functools.partial(diffusion._gradient, settings))(params, jnp.ones(shape), jnp.zeros(1))
        assert gradient.shape == shape and np.isfinite(gradient).all()
