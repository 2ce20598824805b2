import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.kenet import KENet
from blindsr_jax.weights import kenet
from tests import small
from tests.weights import damage

NET = KENet(kernel_size=5, channels=2, hidden=6, categories=2, reach=3)
FAMILIES = ("gaussian", "trajectory")


@pytest.fixture(scope="module")
def params():
    return small.random_params(NET, jnp.zeros((1, 8, 8, 3)))


@pytest.fixture(scope="module")
def data(params):
    return kenet.to_bytes(params, scale=3, families=FAMILIES, reach=3)


def test_round_trip(params, data, tmp_path):
    (tmp_path / "half.npz").write_bytes(data)
    (tmp_path / "full.npz").write_bytes(kenet.to_bytes(params, scale=3, families=FAMILIES, reach=3, half=False))
    for name, tolerance in (("half", 1e-3), ("full", 0)):
        found = kenet.read(tmp_path / f"{name}.npz")
        assert (found.scale, found.families, found.network()) == (3, FAMILIES, NET)
        assert jax.tree.structure(found.params) == jax.tree.structure(params)
        for ours, theirs in zip(jax.tree.leaves(found.params), jax.tree.leaves(params), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"architecture": {"scale": None}}, "do not fit each other"),
        ({"architecture": {"scale": 9}}, "do not fit each other"),
        ({"architecture": {"scale": 2.0}}, "do not fit each other"),
        ({"architecture": {"kernel_size": 4}}, "do not fit each other"),
        ({"architecture": {"families": ["gaussian"]}}, "its category.*was expected|were expected"),
        ({"architecture": {"families": "gaussian"}}, "do not fit each other"),
        ({"metadata": {"network": "flow"}}, "do not fit each other"),
        ({"metadata": "[1]"}, "do not fit each other"),
        ({"metadata": {"sha256": "0"}}, "checksum"),
        ({"kernel.kernel": np.zeros((6, 24))}, r"kernel.kernel is float64 \(6, 24\)"),
        ({"conv1.bias": np.zeros(3)}, r"conv1.bias is float64 \(3,\)"),
        ({"conv1.bias": np.zeros(4, int)}, "conv1.bias is int64"),
        ({"extra": np.zeros(3)}, "extra was not expected"),
        ({"conv1.bias": np.full(4, np.nan)}, "conv1.bias is not finite"),
    ],
)
def test_other_arrays_are_refused(changes, message, data, tmp_path):
    (tmp_path / "bad.npz").write_bytes(data)
    damage.change(tmp_path / "bad.npz", **changes)
    with pytest.raises(ValueError, match=f"cannot read the network .*bad.npz.*({message})"):
        kenet.read(tmp_path / "bad.npz")


def test_damaged_and_missing_files(data, tmp_path):
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="not a complete .npz file"):
        kenet.read(tmp_path / "cut.npz")
    with pytest.raises(ValueError, match="there is no such file"):
        kenet.read(tmp_path / "none.npz")


def test_load_knows_scales(data, tmp_path):
    (tmp_path / "x3.npz").write_bytes(data)
    assert kenet.load(tmp_path / "x3.npz", 3).scale == 3
    with pytest.raises(ValueError, match="is for scale 3, one for scale 2 was expected"):
        kenet.load(tmp_path / "x3.npz", 2)
    with pytest.raises(ValueError, match="kenet_x7.*expected one of kenet_x2.*or the .npz file"):
        kenet.load(None, 7)


@pytest.mark.parametrize("scale", [2, 4])
def test_shipped_networks(scale):
    """They are read, and their note says that they beat the mean kernel of the true family."""
    found = kenet.load(None, scale)
    assert found.families == ("gaussian", "trajectory") and found.kernel_size == 4 * scale + 3
    note = json.loads((kenet.FOLDER / f"kenet_x{scale}.json").read_text())["metrics"]
    for family in found.families:
        name = f"kernel_psnr_{family}"
        assert note["stored"][name] > note["mean_kernel"][name] + 1
