import json
import os

import numpy as np
import pytest

from blindsr_jax import io


def test_json(tmp_path):
    record = {
        "nan": float("nan"),
        "inf": [np.inf, -np.inf, np.float32("nan")],
        "array": np.array([1.0, np.nan]),
        "tuple": (1, True, None),
        "numpy": np.int64(3),
        "path": tmp_path / "ä",
        4: np.bool_(True),
    }
    io.write_json(tmp_path / "a.json", record)
    text = (tmp_path / "a.json").read_text("utf-8")
    assert "NaN" not in text and "Infinity" not in text and text.startswith('{\n "nan": null')
    assert json.loads(text) == {
        "nan": None,
        "inf": [None, None, None],
        "array": [1.0, None],
        "tuple": [1, True, None],
        "numpy": 3,
        "path": str(tmp_path / "ä"),
        "4": True,
    }
    with pytest.raises(TypeError):
        io.write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text("utf-8") == text


def test_text_and_csv(tmp_path):
    io.write_text(tmp_path / "a.txt", "größe\n")
    assert (tmp_path / "a.txt").read_bytes() == "größe\n".encode()
    rows = [{"name": "a,b", "psnr": 30.5}, {"name": "c", "psnr": np.inf, "config": {"k": 1}}]
    io.write_csv(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text() == 'name,psnr,config\n"a,b",30.5,\nc,,"{""k"": 1}"\n'
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.txt"]
