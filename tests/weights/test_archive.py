"""Archives of arrays: what is read, how much memory it takes, and one sentence for what cannot be read."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from blindsr_jax.weights import archive as weight_archive

ARRAYS = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b.c": np.asarray("text")}


def read(path, max_bytes=2**20):
    return weight_archive.read_arrays(path, kind="flow", expected="launch/train_flow.py", max_bytes=max_bytes)


def npz(**arrays):
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def archive(name, content):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(name, content)
    return data.getvalue()


def header(description):
    data = io.BytesIO()
    np.lib.format.write_array_header_1_0(data, description)
    return data.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(save, tmp_path):
    save(tmp_path / "a.npz", **ARRAYS)
    found = read(tmp_path / "a.npz")
    assert set(found) == set(ARRAYS)
    for name, wanted in ARRAYS.items():
        assert found[name].dtype == wanted.dtype
        np.testing.assert_array_equal(found[name], wanted)


DAMAGED = {
    "empty": b"",
    "text": b"no archive",
    "cut": npz(**ARRAYS)[:-30],
    "flipped": npz(**ARRAYS).replace(ARRAYS["a"].tobytes(), ARRAYS["a"][::-1].tobytes()),  # its CRC tells
    "objects": npz(a=np.asarray([None])),
    "no array": archive("a.npy", b"bytes"),
    "a claim": archive("a.npy", header({"descr": "<f4", "fortran_order": False, "shape": (2**50,)})),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_one_sentence(name, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(ValueError) as error:
        read(path)
    reason = "it is not a complete .npz file of arrays, one of launch/train_flow.py was expected"
    assert str(error.value) == f"cannot read the flow {str(path)!r}: {reason}"


def test_missing_and_too_large_files(tmp_path):
    with pytest.raises(ValueError, match="cannot read the flow '.*/none.npz': there is no such file"):
        read(tmp_path / "none.npz")
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1000, np.float32))
    assert (tmp_path / "a.npz").stat().st_size < 1000
    with pytest.raises(ValueError, match=r"its arrays take 4\d\d\d bytes, at most 3000 were expected"):
        read(tmp_path / "a.npz", max_bytes=3000)


def test_a_file_is_in_memory_once(tmp_path):
    size = 2**23
    np.savez(tmp_path / "a.npz", a=np.zeros(size // 2, np.uint8), b=np.zeros(size // 2, np.uint8))
    tracemalloc.start()
    try:
        read(tmp_path / "a.npz", max_bytes=2 * size)
        assert tracemalloc.get_traced_memory()[1] < 1.3 * size
    finally:
        tracemalloc.stop()


def test_metadata_are_read_without_the_arrays(tmp_path):
    wanted = {"name": "x", "data": ["y"]}
    np.savez(tmp_path / "a.npz", metadata=np.asarray(json.dumps(wanted)), a=np.zeros(3))
    assert weight_archive.read_metadata(tmp_path / "a.npz") == wanted
    others = {**DAMAGED, "no metadata": npz(a=np.zeros(2)), "a list": npz(metadata=np.asarray("[]"))}
    for data in others.values():
        (tmp_path / "b.npz").write_bytes(data)
        assert weight_archive.read_metadata(tmp_path / "b.npz") is None
