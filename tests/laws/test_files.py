"""Laws of files: what is written is what is read."""

import csv
import os
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np

from blindsr_jax import io
from blindsr_jax.io import documents, paths, png16
from blindsr_jax.io.kernels import read_kernel, write_kernel_mat
from tests.laws.law import arrays, kernels, law

SHAPES = st.tuples(*[st.integers(1, 12)] * 2, st.sampled_from((1, 3)))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.lists(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=12), max_size=30
)


def place(name):
    return Path(tempfile.mkdtemp(), name)


@law(few=20, shape=SHAPES, bits=st.sampled_from((8, 16)), has_alpha=st.booleans(), data=st.data())
def test_levels_of_an_image_come_back(shape, bits, has_alpha, data):
    white, path = 2**bits - 1, place("a.png")
    levels = np.rint(white * data.draw(arrays(*shape)))
    alpha = np.rint(white * data.draw(arrays(*shape[:2]))) if has_alpha else None
    io.write_image(path, io.Image(levels / white, None if alpha is None else alpha / white, bits))
    found = io.read_image(path)
    assert found.bits == bits and (found.alpha is None) == (alpha is None)
    np.testing.assert_array_equal(np.rint(white * np.asarray(found.pixels, np.float64)), levels)
    if alpha is not None:
        np.testing.assert_array_equal(np.rint(white * np.asarray(found.alpha, np.float64)), alpha)


@law(few=50, shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)), seed=st.integers(0, 999))
def test_sixteen_bits_come_back(shape, seed):
    samples = np.random.default_rng(seed).integers(0, 2**16, shape, np.uint16)
    np.testing.assert_array_equal(png16.decode(png16.encode(samples)), samples)


@law(few=20, half=st.integers(1, 8), is_mat=st.booleans(), data=st.data())
def test_kernels_come_back(half, is_mat, data):
    kernel, path = data.draw(kernels(2 * half + 1)), place("k.mat" if is_mat else "k.npy")
    (write_kernel_mat if is_mat else io.write_kernel)(path, kernel)
    np.testing.assert_allclose(read_kernel(path), kernel, rtol=1e-5, atol=1e-9)


@law(few=50, value=VALUES)
def test_documents_come_back_or_lose_only_what_json_cannot_hold(value):
    path = place("a.json")
    io.write_json(path, value)
    assert documents.require(path, documents.anything, "") == value


@law(
    few=30,
    rows=st.lists(
        st.dictionaries(st.sampled_from("abc"), st.text() | st.integers(), min_size=1), min_size=1, max_size=5
    ),
)
def test_a_table_has_a_line_per_row_and_no_formula(rows):
    path = place("a.csv")
    io.write_csv(path, rows)
    with open(path, newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    for row, cells in zip(rows, found, strict=True):
        for name, value in row.items():
            assert cells[name].lstrip("'").replace("\\r", "\r") == str(value).lstrip("'").replace("\\r", "\r")


@law(few=100, names=NAMES)
def test_names_of_results_are_different_plain_and_the_same_again(names):
    found = io.unique_stems(names)
    assert len({paths.key(name) for name in found}) == len(names) == len(found)
    assert found == io.unique_stems(names)
    assert all(os.path.basename(name) == name and paths.is_clean(name) for name in found)
