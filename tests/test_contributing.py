"""The worked example of CONTRIBUTING.md is run as it stands: a new prior is one file, one config, one test."""

import importlib
import pathlib
import re
import sys

import jax
import pytest

from blindsr_jax import kernels
from blindsr_jax.config import check_config
from blindsr_jax.methods import build

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Code of the example by file name, with its kernel family where the package looks for families."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    code = {pathlib.Path(name).name: text for name, text in blocks}
    (tmp_path / "ring.py").write_text(code["ring.py"])
    monkeypatch.setattr(kernels, "__path__", [*kernels.__path__, str(tmp_path)])
    monkeypatch.syspath_prepend(ROOT)
    importlib.invalidate_caches()
    yield code
    sys.modules.pop("blindsr_jax.kernels.ring", None)


def run(code):
    names = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    return names


def test_the_example_family_passes_its_own_test(example):
    run(example["test_ring.py"])["test_rings_are_kernels"]()


def test_the_example_config_builds_a_solver(example):
    config = run(example["dip_dkp_mirror_lens.py"])["get_config"]()
    check_config(config)
    spec = build.build_spec(config, 2)
    family = build.build_family(config.prior, spec)
    assert family.name == "ring" and family.render(family.sample(jax.random.key(0))).shape == (11, 11)
    build.build_solver(config, spec)


def test_the_map_names_every_room():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = [p.name for p in (ROOT / "blindsr_jax").iterdir() if p.is_dir() and p.name[0] != "_"]
    assert not [name for name in rooms if f"| `{name}/` |" not in text]
