import io
import struct

import numpy as np
import pytest
import scipy.io

from blindsr_jax import mat5


def mat_bytes(*, compress=False, **content):
    data = io.BytesIO()
    scipy.io.savemat(data, content, do_compression=compress)
    return data.getvalue()


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "i2", "u4", "i8"])
def test_agrees_with_scipy_writer(compress, dtype):
    for size in (1, 2, 5):
        matrix = np.arange(size * 7).reshape(size, 7).astype(dtype)
        data = mat_bytes(compress=compress, note="text", k=np.eye(2), Kernel=matrix, cells=np.array([{}], object))
        read = mat5.read_matrix(data, "Kernel")
        assert read.dtype == matrix.dtype
        np.testing.assert_array_equal(read, matrix)
        np.testing.assert_array_equal(mat5.read_matrix(data, "k"), np.eye(2))


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_packed_numbers(order):
    # MATLAB stores whole numbers of a double matrix in the smallest type that holds them.
    def element(kind, content):
        return struct.pack(order + "II", kind, len(content)) + content + bytes(-len(content) % 8)

    name = struct.pack(order + "I", 1 | 4 << 16) + b"Kern"
    body = element(6, struct.pack(order + "II", 6, 0)) + element(5, struct.pack(order + "2i", 2, 3)) + name
    body += element(2, bytes([1, 2, 3, 4, 5, 6]))
    data = bytes(124) + struct.pack(order + "H", 0x100) + (b"IM" if order == "<" else b"MI") + element(14, body)
    np.testing.assert_array_equal(mat5.read_matrix(data, "Kern"), [[1, 3, 5], [2, 4, 6]])


def test_bad_files():
    data = mat_bytes(Kernel=np.eye(3))
    with pytest.raises(ValueError, match="no variable 'k'"):
        mat5.read_matrix(data, "k")
    for content in ("text", np.eye(3) * 1j, {"a": 1}):
        with pytest.raises(ValueError, match="real numbers"):
            mat5.read_matrix(mat_bytes(Kernel=content), "Kernel")
    hdf5 = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(400)
    for other in (b"", b"hello", hdf5):
        with pytest.raises(ValueError, match="version 5 to 7"):
            mat5.read_matrix(other, "Kernel")


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
            mat5.read_matrix(data, "Kernel")
        except ValueError as error:
            assert any(text in str(error) for text in ("damaged", "no variable", "version", "real numbers"))
