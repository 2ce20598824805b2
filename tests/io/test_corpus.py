"""Every reader of files from strangers, on damaged copies of the files of tests/corpus: a value, or one sentence."""

from pathlib import Path

import pytest

from blindsr_jax import io
from blindsr_jax.io import documents
from blindsr_jax.runs import schemas
from blindsr_jax.runs.records import RECORD, read_record
from blindsr_jax.weights import archive, torch_reader
from tests.io.test_fuzz import damaged

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())
KINDS = {"record": RECORD, "note": schemas.NOTE, "run": schemas.RUN, "lock": schemas.LOCK}


def read(path):
    """Reads a file as its place in the corpus says; raises what its reader says and nothing else."""
    if path.suffix == ".npz":
        return archive.read_arrays(path, kind="flow", expected="weights were expected", max_bytes=2**24)
    if path.suffix == ".pt":
        return torch_reader.read_tensors(path, path.read_bytes())
    if path.suffix == ".json":
        kind = KINDS[path.stem]
        assert kind is not RECORD or (read_record(path) is None) == (documents.read(path, kind) is None)
        return documents.require(path, kind, "a document was expected")
    return io.read_kernel(path) if path.parent.name == "kernels" else io.read_image(path)


def test_there_is_a_file_for_each_reader():
    assert {path.suffix for path in FILES} >= {".png", ".jpg", ".tif", ".npy", ".mat", ".npz", ".pt", ".json"}
    for path in FILES:
        if path.suffix == ".json" or path.parent.name in ("images", "kernels"):
            assert read(path) is not None


@pytest.mark.parametrize("count", [4, pytest.param(1000, marks=pytest.mark.long)])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_damaged_files_are_values_or_one_sentence(path, count, tmp_path, recwarn):
    copy = tmp_path / path.parent.name / path.name
    copy.parent.mkdir()
    refusal = ValueError if path.suffix == ".npz" else io.InputError  # as `read_arrays` says
    for data in damaged(path.read_bytes(), sum(path.name.encode()), count):
        copy.write_bytes(data)
        try:
            read(copy)
        except refusal as error:
            assert str(copy) in str(error) and str(error).isprintable()
    assert not recwarn.list
