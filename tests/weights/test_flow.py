import jax
import numpy as np
import pytest

from blindsr_jax.networks import kernel_flow
from blindsr_jax.weights import flow as flow_weights
from tests.weights import damage


@pytest.fixture
def flow():
    params, stats = kernel_flow.init(jax.random.key(0), 9, 3, num_blocks=2)
    return kernel_flow.Flow(params, stats, np.float32(0.5))


def test_a_flow_comes_back(flow, tmp_path):
    (tmp_path / "a.npz").write_bytes(flow_weights.to_bytes(flow, 2))
    found, scale = flow_weights.read(tmp_path / "a.npz")
    assert scale == 2 and jax.tree.structure(found) == jax.tree.structure(flow)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(flow), strict=True):
        np.testing.assert_array_equal(a, b)


def rewrite(path, flow, **changes):
    path.write_bytes(flow_weights.to_bytes(flow, 2))
    damage.change(path, **{name.replace("__", "."): value for name, value in changes.items()})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"beta": None}, "it has no beta"),
        ({"more": np.zeros(1)}, "more was not expected"),
        ({"shift__w1": np.zeros((2, 3, 4), np.float32)}, r"its shift.w1 is float32 \(2, 3, 4\)"),
        ({"architecture": {"scale": 9}}, "do not fit each other"),
        ({"architecture": {"kernel_size": 4}}, "do not fit each other"),
        ({"mean": np.full((2, 9), np.inf, np.float32)}, "its mean is not finite"),
        ({"normalization": np.float32(0)}, "numbers that no flow has"),
        ({"beta": np.array([None])}, "not a complete .npz file"),
    ],
)
def test_bad_files_are_one_sentence(flow, tmp_path, changes, message):
    rewrite(tmp_path / "a.npz", flow, **changes)
    with pytest.raises(ValueError, match=message) as error:
        flow_weights.read(tmp_path / "a.npz")
    assert str(tmp_path / "a.npz") in str(error.value) and "\n" not in str(error.value)


def test_truncated_and_other_files(flow, tmp_path):
    data = flow_weights.to_bytes(flow, 2)
    for content in (b"", b"text", data[:100], data[:-30]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(ValueError, match="not a complete .npz file"):
            flow_weights.read(tmp_path / "a.npz")
