"""Files of evidence networks: what is written is read, and nothing else."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.evidence import Evidence
from blindsr_jax.weights import evidence

NET = Evidence(scale=3, kernel_size=5, channels=2, hidden=6, features=4, reach=3)
FAMILIES, NOTE = ("gaussian", "disc"), {"name": "evidence_x3", "config": {"seed": 0}}
OPTIONS = {"window": 24, "families": FAMILIES, "note": NOTE}


@pytest.fixture(scope="module")
def params():
    shapes = jax.eval_shape(NET.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 5, 5)))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def data(params):
    return evidence.to_bytes(params, NET, **OPTIONS)


@pytest.mark.parametrize("half, tolerance", [(True, 1e-3), (False, 0)])
def test_round_trip(params, tmp_path, half, tolerance):
    (tmp_path / "net.npz").write_bytes(evidence.to_bytes(params, NET, **OPTIONS, half=half))
    found = evidence.read(tmp_path / "net.npz")
    assert (found.families, found.note, found.window, found.network()) == (FAMILIES, NOTE, 24, NET)
    assert jax.tree.structure(found.params) == jax.tree.structure(params)
    for ours, theirs in zip(jax.tree.leaves(found.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def other(data, **changes):
    with np.load(io.BytesIO(data)) as archive:
        arrays = {**archive, **changes}
    out = io.BytesIO()
    np.savez(out, **{name: x for name, x in arrays.items() if x is not None})
    return out.getvalue()


SIZES = np.asarray([3, 5, 2, 6, 4, 3, 24], np.int32)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sizes": None}, "do not fit each other"),
        ({"sizes": SIZES[:6]}, "do not fit each other"),
        ({"sizes": SIZES.astype(float)}, "do not fit each other"),
        ({"sizes": np.asarray([9, *SIZES[1:]], np.int32)}, "do not fit each other"),
        ({"sizes": np.asarray([3, 6, *SIZES[2:]], np.int32)}, "do not fit each other"),
        ({"sizes": np.asarray([*SIZES[:3], 2**30, *SIZES[4:]], np.int64)}, "do not fit each other"),
        ({"sizes": np.asarray([*SIZES[:4], 5, *SIZES[5:]], np.int32)}, "do not fit each other"),
        ({"families": np.zeros(2)}, "do not fit each other"),
        ({"note": np.asarray("[1]")}, "do not fit each other"),
        ({"note": np.asarray("[" * 100_000)}, "do not fit each other"),
        ({"extra": np.zeros(3)}, "do not fit each other"),
        ({"image.conv1.bias": np.zeros(3)}, "do not fit each other"),
        ({"image.conv1.bias": np.full(4, np.nan)}, "not finite"),
        ({"image.conv1.bias": np.full(4, 0.5, np.float16)}, "checksum"),
        ({"sha256": None}, "checksum"),
    ],
)
def test_other_arrays_are_refused(changes, message, data, tmp_path):
    (tmp_path / "bad.npz").write_bytes(other(data, **changes))
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
    with pytest.raises(ValueError, match="is for scale 3, one for scale 2 expected"):
        evidence.load(tmp_path / "x3.npz", 2)
    with pytest.raises(ValueError, match="no trained evidence network for scale 7, expected one of .*or the .npz file"):
        evidence.load(None, 7)


@pytest.mark.parametrize("name", evidence.shipped())
def test_shipped_networks_say_what_they_are_and_tell_more_than_the_prior(name):
    place = evidence.FOLDER / f"{name}.npz"
    found = evidence.read(place)
    assert name == found.note["name"] == f"evidence_x{found.scale}" and place.stat().st_size < 5 * 2**20
    note = json.loads((evidence.FOLDER / f"{name}.json").read_text())
    assert note["config"] == found.note["config"] and note["scores"]["all"]["log_score"] > 1
