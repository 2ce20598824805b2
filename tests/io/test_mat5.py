import struct
import zlib

import numpy as np
import pytest
import scipy.sparse

from blindsr_jax.io import mat5
from tests.file_samples import mat_bytes

LIMIT = 255**2


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "i2", "u4", "i8"])
def test_agrees_with_scipy_writer(compress, dtype):
    for size in (1, 2, 5):
        matrix = np.arange(size * 7).reshape(size, 7).astype(dtype)
        data = mat_bytes(compress=compress, note="text", k=np.eye(2), Kernel=matrix, cells=np.array([{}], object))
        read = mat5.read_matrices(data, limit=LIMIT)
        assert read["Kernel"].dtype == matrix.dtype
        np.testing.assert_array_equal(read["Kernel"], matrix)
        np.testing.assert_array_equal(read["k"], np.eye(2))
        assert "real numbers" in read["note"] and "real numbers" in read["cells"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_packed_numbers(order):
    # MATLAB stores whole numbers of a double matrix in the smallest type that holds them.
    def element(kind, content):
        return struct.pack(order + "II", kind, len(content)) + content + bytes(-len(content) % 8)

    name = struct.pack(order + "I", 1 | 4 << 16) + b"Kern"
    body = element(6, struct.pack(order + "II", 6, 0)) + element(5, struct.pack(order + "2i", 2, 3)) + name
    body += element(2, bytes([1, 2, 3, 4, 5, 6]))
    data = bytes(124) + struct.pack(order + "H", 0x100) + (b"IM" if order == "<" else b"MI") + element(14, body)
    np.testing.assert_array_equal(mat5.read_matrices(data, limit=LIMIT)["Kern"], [[1, 3, 5], [2, 4, 6]])


def test_variables_and_files_that_are_no_matrices():
    for content in ("text", np.eye(3) * 1j, {"a": 1}, np.array([{}], object), scipy.sparse.eye_array(3).tocsc()):
        assert "real numbers" in mat5.read_matrices(mat_bytes(Kernel=content), limit=LIMIT)["Kernel"]
    for head in (b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM", b"\x89HDF\r\n\x1a\n"):
        with pytest.raises(ValueError, match="7.3"):
            mat5.read_matrices(head + bytes(400), limit=LIMIT)
    for other in (b"", b"hello", bytes(400)):
        with pytest.raises(ValueError, match="version 5 to 7"):
            mat5.read_matrices(other, limit=LIMIT)


@pytest.mark.parametrize("compress", [False, True])
def test_large_matrices_are_left_packed(compress, monkeypatch):
    unpacked, decompressobj = [], zlib.decompressobj

    class Counting:
        def decompress(self, *arguments):
            unpacked.append(decompressobj().decompress(*arguments))
            return unpacked[-1]

    data = mat_bytes(compress=compress, images=np.zeros((1000, 1000)), Kernel=np.eye(3))
    monkeypatch.setattr(zlib, "decompressobj", Counting)
    read = mat5.read_matrices(data, limit=25)
    np.testing.assert_array_equal(read["Kernel"], np.eye(3))
    assert "(1000, 1000)" in read["images"]
    assert len(unpacked) == (2 if compress else 0) and sum(map(len, unpacked)) < 20000


def test_many_variables_are_refused():
    with pytest.raises(ValueError, match="more than 100 variables"):
        mat5.read_matrices(mat_bytes(**{f"k{i}": np.eye(3) for i in range(101)}), limit=LIMIT)


@pytest.mark.parametrize("compress", [False, True])
def test_damage_gives_a_matrix_or_a_short_message(compress):
    good, rng = mat_bytes(compress=compress, Kernel=np.eye(3)), np.random.default_rng(0)
    damaged = [good[:length] for length in range(128, len(good))]
    for _ in range(2000):
        data = bytearray(good)
        for place in rng.integers(124, len(data), rng.integers(1, 5)):
            data[place] = rng.integers(256)
        damaged.append(bytes(data))
    for data in damaged:
        try:
            variables = mat5.read_matrices(data, limit=LIMIT)
        except ValueError as error:
            assert any(text in str(error) for text in ("damaged", "version"))
        else:
            assert all(isinstance(value, (np.ndarray, str)) for value in variables.values())
