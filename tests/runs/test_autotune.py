import json

import jax
import pytest

from blindsr_jax.imaging.conv_tuning import Layer
from blindsr_jax.runs import autotune

LAYER = Layer((1, 100, 100, 32), (3, 3, 32, 32), 1, "float32", "highest", 0)
KIND = jax.local_devices()[0].device_kind


@pytest.fixture
def counted(monkeypatch):
    """How often a layer is measured; `direct` wins."""
    calls = []
    plain = autotune.conv_tuning.Tuner

    def tuner(load, keep):
        return plain(load, keep, lambda *args: calls.append(args) or {"direct": 1.0})

    monkeypatch.setattr(autotune.conv_tuning, "Tuner", tuner)
    return calls


def test_on_a_cpu_nothing_is_measured(tmp_path, counted):
    assert autotune.tuner(tmp_path).best(LAYER, None) is None
    assert not counted and not list(tmp_path.iterdir())


def test_a_later_process_reads_what_was_found(tmp_path, counted):
    assert autotune.tuner(tmp_path, on_cpu=True).best(LAYER, None) == "direct"
    assert json.loads((tmp_path / autotune.FILE).read_text()) == {KIND: {LAYER.name: "direct"}}
    assert autotune.tuner(tmp_path, on_cpu=True).best(LAYER, None) == "direct"
    assert len(counted) == 1


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"KIND": 3}', '{"KIND": {"a": "b"}}', '{"other": {"a": "b"}}'])
def test_a_damaged_file_is_measured_again_and_tables_of_other_devices_stay(tmp_path, counted, text):
    (tmp_path / autotune.FILE).write_text(text.replace("KIND", KIND))
    assert autotune.tuner(tmp_path, on_cpu=True).best(LAYER, None) == "direct"
    kept = json.loads((tmp_path / autotune.FILE).read_text())
    assert kept[KIND][LAYER.name] == "direct" and kept.get("other") == ({"a": "b"} if "other" in text else None)


def test_without_a_folder_it_is_known_to_this_process_alone(counted):
    tuner = autotune.tuner(None, on_cpu=True)
    assert tuner.best(LAYER, None) == tuner.best(LAYER, None) == "direct" and len(counted) == 1
