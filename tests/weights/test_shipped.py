"""All shipped weights have one schema, and files of the time before it are read as they were."""

import importlib
import json

import numpy as np
import pytest

from blindsr_jax.weights import archive

FILES = sorted(archive.FILES.rglob("*.npz"))


def format_of(path):
    return importlib.import_module(f"blindsr_jax.weights.{path.relative_to(archive.FILES).parts[0]}").FORMAT


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(archive.FILES)))
def test_a_shipped_file_says_what_it_is_and_where_it_came_from(path):
    found = format_of(path).read(path).metadata  # its checksum is that of the arrays
    assert found["network"] == path.relative_to(archive.FILES).parts[0] and found["name"] == path.stem
    assert found["config"]["seed"] == found["seed"] and found["data"] and found["metrics"] and found["sha256"]
    assert json.loads(path.with_suffix(".json").read_text()) == found


def before(path):
    """The arrays of a shipped file in the format of its network before the metadata."""
    with np.load(path) as file:
        arrays = dict(file)
    sizes = json.loads(str(arrays.pop(archive.METADATA)))["architecture"]
    notes = {"flow": ("scale",), "kenet": ("scale", "reach", "families")}.get(path.relative_to(archive.FILES).parts[0])
    if path.parent.name == "diffusion":
        return arrays | {"config": np.asarray(json.dumps(sizes))}
    return arrays | {name: np.asarray(sizes[name]) for name in notes or ()}


@pytest.mark.parametrize("name", ["flow/gaussian_x2", "kenet/kenet_x2", "usrnet/usrnet", "diffusion/small"])
def test_a_file_of_the_time_before_the_metadata_is_read(name, tmp_path):
    path = archive.FILES / f"{name}.npz"
    np.savez(tmp_path / "old.npz", **before(path))
    found, wanted = (format_of(path).read(place) for place in (tmp_path / "old.npz", path))
    assert found.architecture == wanted.architecture and found.arrays.keys() == wanted.arrays.keys()
    for key, value in wanted.arrays.items():
        np.testing.assert_array_equal(found.arrays[key], value)
