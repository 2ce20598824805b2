"""The worked examples of CONTRIBUTING.md are run as they stand: each is one new file, one config, one test."""

import importlib
import inspect
import pathlib
import re
import sys

import jax
import numpy as np
import pytest

from blindsr_jax.config import check_config, load_config
from blindsr_jax.methods import build, families
from blindsr_jax.runs import outputs
from tests.launch.commands import forked, usage_error
from tests.launch.trainings import images

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = {
    section.partition("\n")[0]: dict(re.findall(r"```python\n# (\S+)\n(.*?)```", section, re.S))
    for section in re.split(r"^### ", TEXT, flags=re.M)[1:]
}
OUTPUT = "An output file of a solve"  # the one without a new file of the package and a config
PARTS = [title for title in EXAMPLES if title != OUTPUT]
# Makes a launch see a new file of the package that lies elsewhere.
_SEE = "import blindsr_jax.training as package; package.__path__.append({!r})"


def of_kind(files, folder):
    """The one file of an example below a folder of the repository."""
    (found,) = (pathlib.Path(name) for name in files if name.startswith(f"{folder}/"))
    return found


def module_name(path):
    return ".".join(path.with_suffix("").parts)


def write(files, place):
    """Writes the files of an example as they would lie in the repository."""
    for name, code in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(code)


@pytest.fixture(params=PARTS)
def example(request, tmp_path, monkeypatch):
    """Files of an example, which lie in the working folder; the package and the configs have them beside their own."""
    files = EXAMPLES[request.param]
    write(files, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    new = []
    for kind in ("blindsr_jax", "configs"):
        path = of_kind(files, kind)
        package = importlib.import_module(module_name(path.parent))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / path.parent)])
        new.append((package, path))
    importlib.invalidate_caches()
    yield files
    for package, path in new:
        sys.modules.pop(module_name(path), None)
        vars(package).pop(path.stem, None)


def run(code, names=None):
    names = {"__name__": "an_example", **(names or {})}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    return names


@pytest.mark.parametrize("title", PARTS)
def test_each_example_is_one_file_one_config_and_one_test(title):
    files = EXAMPLES[title]
    assert len(files) == 3 and all(of_kind(files, kind) for kind in ("blindsr_jax", "configs", "tests"))
    assert not [name for name in files if (ROOT / name).exists()]


def test_each_example_passes_its_own_test(example):
    names = run(example[str(of_kind(example, "tests"))])
    tests = [function for name, function in names.items() if name.startswith("test_")]
    assert tests and not [test for test in tests if inspect.signature(test).parameters]
    for test in tests:
        test()


def test_each_example_of_a_method_has_a_config_that_builds_a_solver(example):
    config = load_config(str(of_kind(example, "configs")))
    if "training" in config:
        return
    check_config(config)
    spec = build.build_spec(config, 2)
    family = families.build_family(config.prior, spec)
    assert family.render(family.sample(jax.random.key(0))).shape == (spec.kernel_size,) * 2
    build.build_solver(config, spec)


def test_the_example_of_a_training_runs_through_its_launch(tmp_path):
    files = EXAMPLES["A training"]
    write(files, tmp_path)
    flags = (
        f"--config={tmp_path / of_kind(files, 'configs')}",
        *images(tmp_path),
        "--config.num_epochs=2",
        "--config.steps_per_epoch=2",
        "--config.batch_size=2",
        "--config.validate_every=1",
    )
    before = _SEE.format(str(tmp_path / of_kind(files, "blindsr_jax").parent))

    def train(*more):
        return {"argv": ["launch/train.py", *flags, f"--workdir={tmp_path}/out", *more], "before": before}

    refused = ("--config.training.channels=0", "--config.training.name=driver", "--config.training.nope=1")
    done, again, *errors = forked(train(), train(), *(train(words) for words in refused))
    assert done.code == 0 and "left out" in done.out, done
    assert again.code == 0 and "2 of 2 epochs were done before" in again.out, again
    with np.load(tmp_path / "out" / "noise_level.npz") as arrays:
        assert "params/Conv_0/kernel" in arrays
    for error, words in zip(errors, refused, strict=True):
        assert words.removeprefix("--").partition("=")[0] in usage_error(error)


def test_the_example_of_an_output_is_a_row_that_passes_its_own_test(tmp_path, monkeypatch):
    files = EXAMPLES[OUTPUT]
    row = run(files["blindsr_jax/runs/outputs.py"], vars(outputs))["LOSSES"]
    monkeypatch.setattr(outputs, "OUTPUTS", (*outputs.OUTPUTS, row))
    monkeypatch.setattr(outputs, "KINDS", (*outputs.KINDS, row.kind))
    run(files["tests/runs/test_losses.py"])["test_the_losses_of_a_solve_are_a_table"](tmp_path)


def test_the_map_names_every_room():
    rooms = [p.name for p in (ROOT / "blindsr_jax").iterdir() if p.is_dir() and p.name[0] != "_"]
    assert not [name for name in rooms if f"| `{name}/` |" not in TEXT]
