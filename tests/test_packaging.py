"""The package as others install it: what a wheel and an sdist hold, and that they work in a clean environment."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import PIL.Image
import pytest

from tests.launch.commands import read_json
from tests.launch.conftest import levels

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[1]
CLEAN = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"JAX_PLATFORMS": "cpu"}
SOURCES = ("blindsr_jax", "configs", "launch", "tests")
FROM_PYTHON = """
import numpy as np
import blindsr_jax

assert "site-packages" in blindsr_jax.__file__, blindsr_jax.__file__
options = {"method": "pipeline:mean+cubic", "overrides": {"estimators.mean.num_samples": 16}}
result = blindsr_jax.solve_image(np.full((24, 26, 3), 0.5, np.float32), scale=2, **options)
assert result.image.shape == (48, 52, 3) and result.status == "ok"
"""


def run(*words, cwd, env=CLEAN):
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel and an sdist, made from a copy in which there are results and notes, too."""
    place = tmp_path_factory.mktemp("built")
    copy = place / "copy"
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and path.name[0] != ".":
            shutil.copy(path, copy)
    for name in ("out/blindsr_jax/notes.py", "notes.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("")
    run(sys.executable, "-m", "build", "--outdir", place / "dist", copy, cwd=place, env=os.environ)
    (wheel,), (sdist,) = ([*(place / "dist").glob(pattern)] for pattern in ("*.whl", "*.tar.gz"))
    return wheel, sdist


def files_of(folder, inside=""):
    paths = [p.relative_to(ROOT) for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return {(Path(inside) / path).as_posix() for path in paths}


def test_a_wheel_holds_the_package_with_its_configs_launches_and_weights_and_nothing_else(built):
    names = {name for name in zipfile.ZipFile(built[0]).namelist() if ".dist-info/" not in name}
    expected = files_of("blindsr_jax") | files_of("configs", "blindsr_jax") | files_of("launch", "blindsr_jax")
    assert names == expected
    assert {"blindsr_jax/py.typed", "blindsr_jax/weights/files/usrnet/usrnet.npz"} <= names


def test_an_sdist_holds_what_a_wheel_is_made_from(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = files_of("blindsr_jax") | files_of("configs") | files_of("launch")
    assert expected | {"LICENSE", "README.md", "CHANGELOG.md", "setup.py", "pyproject.toml"} <= names
    assert not [name for name in names if name.split("/")[0] in ("tests", "out") or name.endswith("notes.py")]


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The folder of programs of a fresh environment with the wheel."""
    place = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", place / "venv", cwd=place)
    programs = place / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", built[0], cwd=place)
    return programs


def test_the_installed_command_solves_a_photograph_in_another_folder(installed, tmp_path):
    PIL.Image.fromarray(levels(3, (32, 36))).save(tmp_path / "photo.png")
    assert "blindsr solve photo.jpg --scale 2" in run(installed / "blindsr", "--help", cwd=tmp_path)
    run(installed / "blindsr", "solve", "photo.png", "--scale", "2", cwd=tmp_path)
    record = read_json(tmp_path, "blindsr_results", "records", "photo.json")
    assert record["status"] == "ok" and record["config"] == "photo"
    with PIL.Image.open(tmp_path / "blindsr_results" / "images" / "photo.png") as result:
        assert result.size == (72, 64)


def test_the_installed_package_solves_an_image_from_python(installed, tmp_path):
    run(installed / "python", "-c", FROM_PYTHON, cwd=tmp_path)
