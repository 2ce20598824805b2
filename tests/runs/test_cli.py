import math
from pathlib import Path

import pytest

from blindsr_jax import config
from blindsr_jax.io.files import InputError
from blindsr_jax.runs import cli

CONFIGS = Path(__file__).parents[2] / "configs"


def test_errors_about_what_the_user_gave_become_usage_errors_and_others_do_not():
    for error in (ValueError("a\nb"), TypeError("a b")):
        with pytest.raises(cli.UsageError, match="^a b$"), cli.usage_errors():
            raise error
    with pytest.raises(cli.UsageError), cli.usage_errors(KeyError):
        raise KeyError("a")
    with pytest.raises(ValueError), cli.usage_errors(KeyError):
        raise ValueError("a")


def test_failure_is_one_sentence():
    assert cli.failure("a.png", InputError("cannot read 'a.png':\n it is empty")) == "cannot read 'a.png': it is empty"
    assert cli.failure("a.png", ValueError("two\nlines")) == "cannot finish 'a.png': ValueError, two lines"
    assert cli.failure("a.png", MemoryError()) == "cannot finish 'a.png': MemoryError"
    assert len(cli.failure("a.png", RuntimeError("long " * 1000))) < 400


def test_make_workdir(tmp_path):
    assert cli.make_workdir(str(tmp_path / "a/b"), folders=("c",)) == str(tmp_path / "a/b")
    assert (tmp_path / "a/b/c").is_dir() and not list((tmp_path / "a/b/c").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(cli.UsageError, match="--results=.*file.*folder"):
        cli.make_workdir(str(tmp_path / "file"), flag="results")


TRAININGS = {"flow", "diffusion", "kenet", "usrnet", "evidence"}
METHODS = sorted(path for path in CONFIGS.glob("*.py") if path.stem not in TRAININGS)


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_configs_are_in_range(path):
    config.check_config(config.load_config(str(path)))


@pytest.mark.parametrize("value", [True, 1.5, "3", None, 0, math.inf])
def test_whole_numbers(value):
    bad = config.base_config()
    del bad["num_steps"]
    bad.num_steps = value
    with pytest.raises(ValueError, match="--config.num_steps=.* is not valid, expected a whole number from 1"):
        config.check_config(bad)


def test_what_would_move_the_cursor_of_a_terminal_is_escaped(capsys):
    text = "a\x1b[2Jb\r\u2028\udce9é"
    assert cli.printable(text) == "a\\x1b[2Jb\\r\\u2028\\udce9é"
    assert cli.one_line(ValueError("a\nb\x1b\ud800")) == "a b\\x1b\\ud800"
    cli.say(text)
    assert capsys.readouterr().out == "a\\x1b[2Jb\\r\\u2028\\udce9é\n"
