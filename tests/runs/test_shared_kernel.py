"""One kernel for several images: what is pooled, and what a folder keeps of it."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.config import load_method
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.kernels import gaussian, geometry
from blindsr_jax.methods import build
from blindsr_jax.runs import shared_kernel

SPEC = make_spec(scale=2, kernel_size=9)


def kernel(*variances):
    return gaussian.gaussian_kernel(jnp.asarray(variances), jnp.asarray(0.0), kernel_size=9, center=SPEC.center)


def test_equal_estimates_are_kept_and_others_give_what_they_have_in_common():
    long, high = kernel(4.0, 0.5), kernel(0.5, 4.0)
    np.testing.assert_allclose(shared_kernel.pool(jnp.stack([long] * 3)), long, atol=1e-5)
    pooled = shared_kernel.pool(jnp.stack([long, high]))
    mean_width, pooled_width = (jnp.trace(geometry.covariance(k)) for k in ((long + high) / 2, pooled))
    np.testing.assert_allclose(pooled.sum(), 1, rtol=1e-5)
    assert pooled.min() >= 0 and pooled_width < 0.7 * mean_width


def test_a_folder_gives_back_the_very_kernel_and_nothing_where_there_is_none(tmp_path):
    wanted = np.asarray(kernel(1.3, 0.7))
    document = {"config": "photo", "flags": {}, **shared_kernel.as_document(wanted)}
    (tmp_path / "config.json").write_text(json.dumps(document))
    found = shared_kernel.earlier(str(tmp_path), SPEC)
    np.testing.assert_array_equal(found, wanted)
    assert shared_kernel.as_document(found)["kernel_sha256"] == document["kernel_sha256"]
    assert shared_kernel.earlier(str(tmp_path), make_spec(scale=2, kernel_size=11)) is None
    for damage in ("text", [[1.0]], [[None] * 9] * 9, [[float("nan")] * 9] * 9, [[1.0], [1.0, 2.0]], None):
        (tmp_path / "config.json").write_text(json.dumps(document | {"shared_kernel": damage}))
        assert shared_kernel.earlier(str(tmp_path), SPEC) is None
    assert shared_kernel.earlier(str(tmp_path / "none"), SPEC) is None


def test_images_that_cannot_be_used_are_left_out_and_none_is_an_error(tmp_path):
    config = load_method("pipeline:mean+cubic")
    spec = build.build_spec(config, 2)
    (tmp_path / "bad.png").write_text("this is not an image")
    io.write_image(tmp_path / "small.png", io.Image(np.full((3, 30, 3), 0.5, np.float32)))
    bad = [tmp_path / "bad.png", tmp_path / "small.png"]
    with pytest.raises(ValueError, match="no image can be read"):
        shared_kernel.estimate(bad, config, spec)
    io.write_image(tmp_path / "good.png", io.Image(np.full((30, 30, 3), 0.5, np.float32)))
    found = shared_kernel.estimate([*bad, tmp_path / "good.png"], config, spec)
    assert found.shape == (spec.kernel_size,) * 2
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="expected an estimator of one step"):
        shared_kernel.estimate(bad, load_method("dip_dkp"), spec)
