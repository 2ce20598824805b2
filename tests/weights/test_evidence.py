"""Files of evidence networks: what is written is read, and nothing else."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.evidence import Evidence
from blindsr_jax.weights import evidence
from tests import small
from tests.weights import damage

NET = Evidence(scale=3, kernel_size=5, channels=2, hidden=6, features=4, reach=3)
FAMILIES, NOTE = ("gaussian", "disc"), {"name": "evidence_x3", "config": {"seed": 0}}
OPTIONS = {"window": 24, "families": FAMILIES, "note": NOTE}


@pytest.fixture(scope="module")
def params():
    return small.random_params(NET, jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 5, 5)))


@pytest.fixture(scope="module")
def data(params):
    return evidence.to_bytes(params, NET, **OPTIONS)


@pytest.mark.parametrize("half, tolerance", [(True, 1e-3), (False, 0)])
def test_round_trip(params, tmp_path, half, tolerance):
    (tmp_path / "net.npz").write_bytes(evidence.to_bytes(params, NET, **OPTIONS, half=half))
    found = evidence.read(tmp_path / "net.npz")
    assert (found.families, found.window, found.network()) == (FAMILIES, 24, NET)
    assert NOTE.items() <= found.note.items()
    assert jax.tree.structure(found.params) == jax.tree.structure(params)
    for ours, theirs in zip(jax.tree.leaves(found.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def before(path):
    """Writes the file anew in the format of before the metadata; returns its arrays."""
    with np.load(path) as file:
        arrays = dict(file)
    said = json.loads(str(arrays.pop("metadata")))
    sizes = said["architecture"]
    families = sizes.pop("families")
    notes = {"sizes": np.asarray(list(sizes.values()), np.int32), "families": np.asarray(families, np.str_)}
    arrays |= notes | {"note": np.asarray(json.dumps(NOTE)), "sha256": np.asarray(said["sha256"])}
    np.savez(path, **arrays)
    return arrays


def test_a_file_of_the_time_before_the_metadata_is_read(data, tmp_path):
    for name in ("new", "old"):
        (tmp_path / f"{name}.npz").write_bytes(data)
    arrays = before(tmp_path / "old.npz")
    new, old = (evidence.read(tmp_path / f"{name}.npz") for name in ("new", "old"))
    assert old[1:9] == new[1:9] and NOTE.items() <= old.note.items()
    for ours, theirs in zip(jax.tree.leaves(old.params), jax.tree.leaves(new.params), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.savez(tmp_path / "old.npz", **{**arrays, "image.conv1.bias": np.full(4, 0.5, np.float16)})
    with pytest.raises(ValueError, match="checksum"):
        evidence.read(tmp_path / "old.npz")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"architecture": {"reach": None}}, "do not fit each other"),
        ({"architecture": {"scale": 3.0}}, "do not fit each other"),
        ({"architecture": {"scale": 9}}, "do not fit each other"),
        ({"architecture": {"kernel_size": 6}}, "do not fit each other"),
        ({"architecture": {"hidden": 2**30}}, "do not fit each other"),
        ({"architecture": {"families": [1, 2]}}, "do not fit each other"),
        ({"metadata": "[1]"}, "do not fit each other"),
        ({"metadata": "[" * 100_000}, "do not fit each other"),
        ({"architecture": {"features": 5}}, "were expected"),
        ({"extra": np.zeros(3)}, "extra was not expected"),
        ({"image.conv1.bias": np.zeros(3)}, "image.conv1.bias is float64"),
        ({"image.conv1.bias": np.full(4, np.nan)}, "not finite"),
        ({"metadata": {"sha256": "0"}}, "checksum"),
    ],
)
def test_other_arrays_are_refused(changes, message, data, tmp_path):
    (tmp_path / "bad.npz").write_bytes(data)
    damage.change(tmp_path / "bad.npz", **changes)
    with pytest.raises(ValueError, match=f"cannot read the network .*bad.npz.*{message}"):
        evidence.read(tmp_path / "bad.npz")


def test_damaged_and_missing_files(data, tmp_path):
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="not a complete .npz file"):
        evidence.read(tmp_path / "cut.npz")
    with pytest.raises(ValueError, match="there is no such file"):
        evidence.read(tmp_path / "none.npz")


def test_load_knows_scales(data, tmp_path):
    (tmp_path / "x3.npz").write_bytes(data)
    assert evidence.load(tmp_path / "x3.npz", 3).scale == 3
    with pytest.raises(ValueError, match="is for scale 3, one for scale 2 was expected"):
        evidence.load(tmp_path / "x3.npz", 2)
    with pytest.raises(ValueError, match="evidence_x7.*expected one of .*or the .npz file"):
        evidence.load(None, 7)


@pytest.mark.parametrize("name", evidence.shipped())
def test_shipped_networks_say_what_they_are_and_tell_more_than_the_prior(name):
    place = evidence.FOLDER / f"{name}.npz"
    found = evidence.read(place)
    assert name == found.note["name"] == f"evidence_x{found.scale}" and place.stat().st_size < 5 * 2**20
    note = json.loads((evidence.FOLDER / f"{name}.json").read_text())
    assert note["config"] == found.note["config"] and note["metrics"]["scores"]["all"]["log_score"] > 1
