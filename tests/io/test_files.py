import csv
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


FORMULAS = (
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\n=1",
    '=HYPERLINK("http://x","y")',
    "-",
    "=",
    "-0.5e",
    "+x",
)
PLAIN = ("-0.5", "+3", "-1e-3", "1=1", "a", "", " =1", "a\t=")


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_is_text_in_a_csv(tmp_path, text):
    io.write_csv(tmp_path / "a.csv", [{"name": text, text: 1}])
    assert read_csv(tmp_path / "a.csv") == [{"name": "'" + text, "'" + text: "1"}]


def test_the_end_of_a_line_in_a_text_begins_no_cell_of_a_csv(tmp_path):
    io.write_csv(tmp_path / "a.csv", [{"name": "a\r=1", "other": "\r=1"}, {"name": "b\n=1"}])
    assert read_csv(tmp_path / "a.csv") == [{"name": "a\\r=1", "other": "\\r=1"}, {"name": "b\n=1", "other": ""}]


def test_plain_texts_and_numbers_stay_as_they_are_in_a_csv(tmp_path):
    rows = [{"name": text, "number": -0.5, "list": [-1]} for text in PLAIN]
    io.write_csv(tmp_path / "a.csv", rows)
    assert read_csv(tmp_path / "a.csv") == [{"name": text, "number": "-0.5", "list": "[-1]"} for text in PLAIN]


def test_names_that_are_no_text_are_escaped_in_text_files(tmp_path):
    io.write_csv(tmp_path / "a.csv", [{"name": "caf\udce9 \ud800"}])
    assert read_csv(tmp_path / "a.csv") == [{"name": "caf\\udce9 \\ud800"}]
    io.write_text(tmp_path / "a.txt", "caf\udce9")
    assert (tmp_path / "a.txt").read_text() == "caf\\udce9"
    io.write_json(tmp_path / "a.json", {"input": "caf\udce9"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"input": "caf\udce9"}
