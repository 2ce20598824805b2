import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.networks.usrnet import Parameters, USRNet, UsrnetConfig, first_image
from blindsr_jax.weights import convert, usrnet
from tests import golden, small

TINY = UsrnetConfig(widths=(4, 6), blocks=1, hidden=5, iterations=2)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    tensors = golden.load("USRNet_tiny")
    assert convert.check(tensors) == "usrnet_tiny"
    path = tmp_path_factory.mktemp("usrnet") / "tiny.npz"
    path.write_bytes(usrnet.tensors_to_bytes(tensors))
    return usrnet.read(path)


@functools.partial(jax.jit, static_argnames=("config", "spec"))
def run(params, lr, kernel, noise_std, *, config, spec):
    return USRNet(config).apply(params, lr, kernel, noise_std, spec=spec)


def to_nhwc(x):
    return np.moveaxis(x, 1, -1)


@pytest.mark.parametrize("scale", [2, *(pytest.param(s, marks=pytest.mark.long) for s in (3, 4))])
def test_golden(released, scale):
    """In float32 our data step is exact enough to be compared with the reference in float64."""
    data = golden.load("06_usrnet")
    cases = [f"x{scale}_c{j}" for j in range(3)]
    lr = np.repeat(to_nhwc(data[f"lr_x{scale}"]), 3, 0)
    kernels = np.stack([data[f"kernel_est_{case}"] for case in cases]).astype(np.float32)
    noise = np.concatenate([data[f"sigma_{case}"].reshape(1) for case in cases])
    spec = make_spec(scale=scale, boundary="circular")
    found = run(released.params, lr, kernels, noise, config=released.config, spec=spec)
    np.testing.assert_allclose(found[:1], to_nhwc(data[f"sr_x{scale}_c0_f64"]), atol=1e-5)
    error = found[1] - to_nhwc(data[f"sr_x{scale}_c1"])[0]
    assert np.abs(error).max() < 2e-2 and np.sqrt(np.mean(error**2)) < 1e-3
    np.testing.assert_allclose(found[2:], to_nhwc(data[f"sr_x{scale}_c2"]), atol=1e-4)


def test_golden_in_float64_with_odd_sizes(released):
    data = golden.load("06_usrnet")
    with jax.enable_x64(True):
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), released.params)
        lr, kernel = (jnp.asarray(x, jnp.float64) for x in (to_nhwc(data["odd_lr"]), data["odd_kernel_passed"][0]))
        spec = make_spec(scale=3, boundary="circular")
        found = run(params, lr, kernel[:, ::-1, ::-1], jnp.zeros(1), config=released.config, spec=spec)
        np.testing.assert_allclose(found, to_nhwc(data["odd_sr_f64"]), atol=1e-5)


def test_golden_parameters(released):
    data = golden.load("06_usrnet")
    inner = {"params": released.params["params"]["h"]}
    for case in ("x2_c0", "x4_c2"):
        found = Parameters(released.config).apply(inner, jnp.asarray(data[f"sigma_{case}"]).reshape(1), int(case[1]))
        np.testing.assert_allclose(np.concatenate(found)[:, 0], data[f"ab_{case}"].reshape(-1), rtol=1e-5)


@pytest.fixture(scope="module")
def params():
    spec = make_spec(scale=2, kernel_size=5)
    return small.random_params(USRNet(TINY), jnp.ones((1, 4, 4, 3)), jnp.ones((1, 5, 5)), jnp.ones(1), spec=spec)


def test_a_network_comes_back_from_its_file(params, tmp_path):
    (tmp_path / "a.npz").write_bytes(usrnet.to_bytes(params))
    found = usrnet.read(tmp_path / "a.npz")
    assert found.config == TINY
    jax.tree.map(np.testing.assert_array_equal, found.params, params)
    (tmp_path / "b.npz").write_bytes(usrnet.to_bytes(params, half=True))
    half = usrnet.read(tmp_path / "b.npz").params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), half, params)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("p.m_tail.weight", None, "no p.m_tail.weight"),
        ("h.mlp.4.weight", np.zeros((0, 5, 1, 1), np.float32), r"h.mlp.4.weight is .*\(4, 5, 1, 1\) were expected"),
        ("p.m_up1.0.weight", np.zeros((4, 6, 2, 2), np.float32), r"p.m_up1.0.weight is .*\(6, 4, 2, 2\) were expected"),
        ("more", np.zeros(1, np.float32), "more was not expected"),
        ("p.m_head.weight", np.full((4, 4, 3, 3), np.nan, np.float32), "not finite"),
        ("p.m_head.weight", np.array([None]), "not a complete .npz file"),
    ],
)
def test_bad_files_are_one_sentence(params, tmp_path, name, value, message):
    path = tmp_path / "a.npz"
    path.write_bytes(usrnet.to_bytes(params))
    with np.load(path) as archive:
        arrays = dict(archive) | {name: value}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(ValueError, match=message) as error:
        usrnet.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_and_damaged_files(params, tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        usrnet.read(tmp_path / "none.npz")
    for content in (b"", b"text", usrnet.to_bytes(params)[:-30]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(ValueError, match="not a complete .npz file"):
            usrnet.read(tmp_path / "a.npz")


def test_no_shipped_network_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(type(usrnet.FORMAT), "folder", tmp_path)
    with pytest.raises(ValueError, match="no shipped network 'usrnet'"):
        usrnet.load(None)


@pytest.mark.parametrize("scale, size", [(1, 3), (2, 5), (4, 7), (3, 5)])
def test_the_first_image_lies_over_the_lr_image(scale, size):
    spec = make_spec(scale=scale, kernel_size=size)
    lr = jax.random.uniform(jax.random.key(0), (1, 4, 5, 3))
    canvas = first_image(lr, spec)
    assert canvas.shape == (1, *spec.canvas_shape(lr.shape), 3)
    near = np.repeat(np.repeat(lr, scale, 1), scale, 2)
    np.testing.assert_array_equal(spec.crop(canvas, lr.shape), near)


def test_the_shipped_network():
    """It is read, and its note says that it beats the nearest-neighbour enlargement at each scale."""
    assert usrnet.load(None).config == UsrnetConfig(iterations=3)
    note = json.loads((usrnet.FOLDER / "usrnet.json").read_text())["metrics"]
    for scale in (1, 2, 3, 4):
        assert note["validation"][f"psnr_x{scale}"] > note["nearest"][f"psnr_x{scale}"] + 1
