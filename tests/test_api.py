import jax
import numpy as np
import pytest

import blindsr_jax
from blindsr_jax.config import load_method
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.methods.build import build_solver
from tests import small

CUBIC = {"method": "pipeline:mean+cubic", "overrides": {"estimators.mean.num_samples": 16}}


def image(c=3, h=20, w=24):
    return np.asarray(small.smooth_image((h, w, c)))


def test_a_result_is_that_of_the_loop_with_the_same_config():
    found = blindsr_jax.solve_image(image(), scale=2, seed=3, **CUBIC)
    config = load_method(CUBIC["method"])
    config.estimators.mean.num_samples = 16
    spec = make_spec(scale=2)
    key = jax.random.fold_in(jax.random.key(3), 0)
    expected = blindsr_jax.solve(key, Problem(image(), spec), build_solver(config, spec), num_steps=2)
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.kernel, expected.kernel)
    assert found.status == "ok" and found.image.shape == (40, 48, 3) and found.kernel.shape == (11, 11)
    assert set(found.trace) == {"loss", "residual", "kernel_loss"}


def test_a_gray_image_without_an_axis_of_channels_comes_back_as_one():
    flat, gray = image(1)[..., 0], image(1)
    results = blindsr_jax.solve_images([flat, gray], scale=2, **CUBIC)
    assert results[0].image.shape == (40, 48) and results[1].image.shape == (40, 48, 1)
    np.testing.assert_array_equal(results[0].image, results[1].image[..., 0])


def test_a_known_kernel_is_kept():
    kernel = np.zeros((7, 7))
    kernel[3, 2:5] = 2.0
    found = blindsr_jax.solve_image(image(), scale=2, method="pipeline:mean+cubic", kernel=kernel)
    np.testing.assert_allclose(found.kernel, kernel / kernel.sum(), atol=1e-6)


def test_a_small_kernel_at_a_large_scale_gives_an_image_of_full_size():
    options = {"method": "pipeline:mean+cubic", "kernel": np.ones((3, 3))}
    found = blindsr_jax.solve_image(image(3, 12, 13), scale=4, **options)
    assert found.image.shape == (48, 52, 3) and found.kernel.shape == (7, 7)
    np.testing.assert_allclose(found.kernel, np.pad(np.full((3, 3), 1 / 9), 2), atol=1e-6)


@pytest.mark.parametrize(
    "lr, options, named",
    [
        (image(), {"method": "nonsense"}, "dip_dkp_fast"),
        (image(), {"overrides": {"num_stps": 3}}, "num_stps"),
        (image(), {"overrides": {"num_steps": -3}}, "num_steps"),
        (np.uint8(255 * image()), CUBIC, "divide uint8 by 255"),
        (image(3)[..., :2], CUBIC, r"\(20, 24, 2\)"),
        (2 * image(), CUBIC, r"outside \[0, 1\]"),
        (image(3, 3, 3), CUBIC, "sides of at least"),
        (image(), CUBIC | {"kernel": np.ones((3, 5))}, r"\(3, 5\)"),
    ],
)
def test_what_is_wrong_is_named(lr, options, named):
    with pytest.raises(ValueError, match=named):
        blindsr_jax.solve_image(lr, scale=2, **options)
