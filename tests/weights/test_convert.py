"""Released files are read without torch; anything but tensors is refused."""

import collections
import io
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from blindsr_jax.io.files import InputError
from blindsr_jax.weights import convert
from blindsr_jax.weights import flow as flow_weights
from blindsr_jax.weights.torch_reader import read_tensors
from tests import golden, hostile_weights

_RELEASED = pathlib.Path(
    os.environ.get("BLINDSR_PRETRAINED") or pathlib.Path(__file__).parents[3] / "shared/pretrained"
)


class _Call:
    """Pickles as a call of a global function."""

    def __init__(self, module, name, *args):
        self.parts = module, name, args


class _Storage(collections.namedtuple("_Storage", "kind key size")):
    """Pickles as a persistent id."""


class _Global:
    def __init__(self, module, name):
        self.parts = module, name


class _Writer(pickle._Pickler):
    """Writes what torch writes, without torch."""

    def persistent_id(self, obj):
        if isinstance(obj, _Storage):
            return ("storage", _Global("torch", obj.kind), obj.key, "cpu", obj.size)
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, _Global):
            self.write(b"c" + "\n".join(obj.parts).encode() + b"\n")
        elif isinstance(obj, _Call):
            self.save(_Global(*obj.parts[:2]))
            self.save(obj.parts[2])
            self.write(b"R")
        else:
            super().save(obj, save_persistent_id)


def dumps(obj):
    file = io.BytesIO()
    _Writer(file, 2).dump(obj)
    return file.getvalue()


def tensor(key, array, shape=None, strides=None, offset=0):
    kind = {"f4": "FloatStorage", "i8": "LongStorage"}[array.dtype.str[1:]]
    strides = strides or tuple(n // array.itemsize for n in array.strides)
    storage = _Storage(kind, key, array.size)
    hooks = collections.OrderedDict()
    return _Call("torch._utils", "_rebuild_tensor_v2", storage, offset, shape or array.shape, strides, False, hooks)


def zipped(tree, storages):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", dumps(tree))
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return file.getvalue()


def legacy(tree, storages):
    parts = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}, tree, list(storages)]
    body = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return b"".join(map(dumps, parts)) + body


FORMATS = pytest.mark.parametrize("write", [zipped, legacy])
A, B = np.arange(6, dtype="<f4").reshape(2, 3), np.arange(4, dtype="<i8")


@FORMATS
def test_tensors_come_back(write):
    tree = collections.OrderedDict(a=tensor("0", A), b=tensor("1", B), t=tensor("0", A, (3, 2), (1, 3)), n=[1, "x"])
    tree["row"] = tensor("0", A, (3,), (1,), offset=3)
    found = read_tensors("x.pt", write(tree, {"0": A, "1": B}))
    np.testing.assert_array_equal(found["a"], A)
    np.testing.assert_array_equal(found["t"], A.T)
    np.testing.assert_array_equal(found["row"], A[1])
    assert found["b"].dtype == np.int64 and found["n"] == [1, "x"]


@FORMATS
def test_a_program_is_refused_and_not_run(write, tmp_path):
    for call in (
        _Call("os", "system", f"touch {tmp_path}/ran"),
        _Call("builtins", "eval", "1"),
        _Global("torch", "load"),
    ):
        with pytest.raises(InputError, match=r"it asks for \S+\.\S+, a file of tensors only was expected"):
            read_tensors("x.pt", write({"a": tensor("0", A), "b": call}, {"0": A}))
    assert not list(tmp_path.iterdir())


@FORMATS
def test_truncated_files_are_refused(write):
    data = write({"a": tensor("0", A)}, {"0": A})
    for length in (*range(0, len(data), 7), len(data) - 1):
        with pytest.raises(InputError, match="not a complete file of torch.save"):
            read_tensors("x.pt", data[:length])


@FORMATS
@pytest.mark.parametrize("change", [{"shape": (3, 3)}, {"shape": (2**20, 2**20), "strides": (0, 0)}, {"offset": 1}])
def test_a_tensor_beyond_its_storage_is_refused(write, change):
    with pytest.raises(InputError, match="not a complete file"):
        read_tensors("x.pt", write({"a": tensor("0", A, **change)}, {"0": A}))


@FORMATS
def test_no_dict(write):
    with pytest.raises(InputError, match="holds no dict"):
        read_tensors("x.pt", write([tensor("0", A)], {"0": A}))


@pytest.mark.parametrize("name, file", [("FKP_x2", "FKP_x2.pt"), ("USRNet_tiny", "usrnet_tiny.pth")])
def test_the_released_files(name, file):
    known = golden.load(name)
    if not (_RELEASED / file).is_file():
        pytest.skip(f"no released file {file}: set BLINDSR_PRETRAINED to its folder")
    found = convert.unwrap(read_tensors(file, (_RELEASED / file).read_bytes()))
    assert found.keys() == known.keys()
    for key, value in known.items():
        np.testing.assert_array_equal(found[key], value)
    assert convert.check(found) == {"FKP_x2": "fkp", "USRNet_tiny": "usrnet_tiny"}[name]


def test_a_converted_flow_is_read_back(tmp_path):
    tensors = golden.load("FKP_x3")
    path = tmp_path / "x3.npz"
    path.write_bytes(convert.MODELS[convert.check(tensors)].convert(tensors))
    flow, scale = flow_weights.read(path)
    assert scale == 3
    np.testing.assert_array_equal(flow.params.shift.w1[4], tensors["net.8.t_net.2.weight"].T)
    np.testing.assert_array_equal(flow.stats.variance[2], tensors["net.5.running_var"])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("net.3.beta"), r"as fkp it lacks net\.3\.beta"),
        (lambda t: t.update(extra=np.zeros(1)), "as fkp it has extra, which was not expected"),
        (lambda t: t.update(alpha=np.zeros(2)), r"its alpha is float64 \(2,\), .*shape \(1,\) were expected"),
        (lambda t: t.update({"net.1.beta": np.full(121, np.nan)}), "its net.1.beta is not finite"),
        (lambda t: t.pop("net.0.s_net.0.weight"), "are of no known model, expected one of fkp, usrnet_tiny"),
    ],
)
def test_other_state_dicts_are_refused(change, message):
    tensors = golden.load("FKP_x2")
    change(tensors)
    with pytest.raises(ValueError, match=message):
        convert.check(tensors)


def test_small_files_cannot_ask_for_much_time_or_memory(tmp_path):
    files = hostile_weights.files()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        assert len(data) < 2**24
    paths = [tmp_path / name for name in files]
    run = subprocess.run(
        [sys.executable, "-m", "tests.hostile_weights", *paths],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr  # otherwise it ran into a limit of its time
    for name, line in zip(files, run.stdout.splitlines(), strict=True):
        found = json.loads(line)
        assert found["said"] and "\n" not in found["said"] and len(found["said"]) < 500, (name, found)
        assert "not a complete file" in found["said"] or "expected" in found["said"], (name, found)
        assert found["grown"] < 150, (name, found)  # MB


def test_a_network_of_impossibly_many_blocks_is_refused():
    keys = ("output_blocks.0.0.in_layers.0.weight", "output_blocks.999999999.0")
    with pytest.raises(ValueError, match="1000000000 blocks of one kind, at most"):
        convert.check(dict.fromkeys(keys, np.zeros(1, np.float32)))
