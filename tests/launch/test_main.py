import subprocess
import sys

import pytest

from blindsr_jax.config import config_folder
from blindsr_jax.runs.main import commands, expand
from tests.launch.commands import ROOT, environment, forked, read_json, usage_error
from tests.launch.conftest import levels

SWITCHES = {"restart", "memory_check"}


def test_each_launch_is_a_command():
    assert set(commands()) == {path.stem for path in (ROOT / "launch").glob("*.py")}


@pytest.mark.parametrize(
    "words, expected",
    [
        (["photo.jpg", "--scale", "3"], ["--config=PHOTO", "--workdir=W", "--input=photo.jpg", "--scale=3"]),
        (["photo.jpg"], ["--config=PHOTO", "--scale=2", "--workdir=W", "--input=photo.jpg"]),
        (["--restart", "a.png"], ["--config=PHOTO", "--scale=2", "--workdir=W", "--input=a.png", "--restart"]),
        (["--nomemory_check", "a.png"], ["--config=PHOTO", "--scale=2", "--workdir=W", "--input=a.png"]),
        (["--config=own.py", "--input=*.png"], ["--scale=2", "--workdir=W", "--config=own.py", "--input=*.png"]),
        (["a.png", "--config", "pipeline:mean+cubic"], ["--scale=2", "--workdir=W", "--input=a.png"]),
    ],
)
def test_words_become_flags(words, expected):
    photo, pipeline = (config_folder() / f"{name}.py" for name in ("photo", "pipeline"))
    known = {"PHOTO": str(photo), "W": "blindsr_results"}
    expected = [word.replace("=PHOTO", f"={known['PHOTO']}").replace("=W", f"={known['W']}") for word in expected]
    found = expand("solve", words, SWITCHES)
    assert found[: len(expected)] == expected
    if "pipeline:mean+cubic" in words:
        assert found[-1] == f"--config={pipeline}:mean+cubic"


def blindsr(*words, cwd):
    code = "from blindsr_jax.runs.main import main; main()"
    env = environment() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_one_photograph_is_one_short_line(tmp_path):
    import PIL.Image

    PIL.Image.fromarray(levels(3, (24, 26))).save(tmp_path / "photo.png")
    small = "--config.estimators.mean.num_samples=16"
    code, out, err = blindsr("solve", "photo.png", "--config", "pipeline:mean+cubic", small, cwd=tmp_path)
    assert code == 0, err
    record = read_json(tmp_path, "blindsr_results", "records", "photo.json")
    assert record["status"] == "ok" and record["scale"] == 2
    with PIL.Image.open(tmp_path / "blindsr_results/images/photo.png") as result:
        assert result.size == (52, 48)


def test_what_is_no_command_is_named(tmp_path):
    code, out, err = blindsr("slove", cwd=tmp_path)
    assert code == 2 and "'slove'" in err and "solve" in err and err.count("\n") == 1


def test_what_a_command_cannot_use_is_one_sentence(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photo.png").write_bytes(b"")
    script = tmp_path / "blindsr.py"
    script.write_text("from blindsr_jax.runs.main import main\n\nmain()\n")
    cases = (
        (["photos"], ("'photos'", "folder")),
        (["missing.png"], ("'missing.png'",)),
        (["photo.png", "--scael", "2"], ("'scael'", "scale")),
        (["photo.png", "--scale", "9"], ("--scale=9",)),
        (["photo.png", "--config", "nonsense"], ("nonsense",)),
        (["photo.png", "photos"], ("'photos'",)),
        ([], ("--input",)),
    )
    before = f"import os; os.chdir({str(tmp_path)!r})"
    runs = forked(*({"argv": [str(script), "solve", *words], "before": before} for words, _ in cases))
    for found, (_, named) in zip(runs, cases, strict=True):
        assert all(word in usage_error(found) for word in named), found
    assert not (tmp_path / "blindsr_results").exists()
