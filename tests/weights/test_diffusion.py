"""Files of priors: the shipped one, round trips, and sentences for what does not fit."""

import json

import jax
import numpy as np
import pytest

from blindsr_jax.weights import diffusion
from tests import tiny_prior
from tests.weights import damage


def test_round_trip(tmp_path):
    config, params = diffusion.read(tiny_prior.write(tmp_path))
    assert config == tiny_prior.CONFIG
    for found, wanted in zip(jax.tree.leaves(params), jax.tree.leaves(tiny_prior.params()), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)  # half precision


def test_the_shipped_prior():
    config, params = diffusion.load("small")
    note = json.loads((diffusion.FOLDER / "small.json").read_text())
    assert not config.attention_rates and note["config"]["network"]["model_channels"] == config.model_channels
    assert (diffusion.FOLDER / "small.npz").stat().st_size < 20e6
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))
    for name, other in note["metrics"]["non_local_means"].items():
        assert note["metrics"]["validation"][name] > other


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"out.2/bias": None}, "it has no out.2/bias"),
        ({"more": np.zeros(3)}, "more was not expected"),
        ({"out.2/bias": np.zeros(5, np.float16)}, r"its out.2/bias is float16 \(5,\), numbers of shape \(12,\)"),
        ({"out.2/bias": np.full(12, np.nan, np.float16)}, "its out.2/bias is not finite"),
        *(
            ({"architecture": values}, "do not fit each other")
            for values in (
                {"width": 3},
                {"channel_mult": 3},
                {"num_res_blocks": float("inf")},
                {"num_res_blocks": 10**9},
                {"model_channels": "a"},
                {"patch": 2**40},
                {"precision": [[]]},
            )
        ),
        ({"metadata": "[" * 10**5}, "do not fit each other"),
        ({"metadata": {"architecture": []}}, "do not fit each other"),
    ],
)
def test_files_that_do_not_fit(tmp_path, changes, words):
    path = damage.change(tiny_prior.write(tmp_path), **changes)
    with pytest.raises(ValueError, match=f"cannot read the diffusion prior '.*tiny.npz': .*{words}"):
        diffusion.read(path)


def test_names(tmp_path):
    (tmp_path / "bad.npz").write_text("no archive")
    for name, words in (
        ("large", "there is no shipped diffusion prior 'large'"),
        (f"{tmp_path}/bad.npz", "not a complete"),
    ):
        with pytest.raises(ValueError, match=words):
            diffusion.load(name)
    with pytest.raises(ValueError, match="there is no such file"):
        diffusion.load(f"{tmp_path}/none.npz")
