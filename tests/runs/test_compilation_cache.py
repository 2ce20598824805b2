"""Compiled programs on disk: where, whose, and what becomes of a broken one."""

import os
import stat

import numpy as np
import PIL.Image
import pytest

from blindsr_jax.runs import compilation_cache
from tests.launch.commands import command, forked

CPU = "processor\t: 0\nmodel name\t: A\nflags\t\t: sse avx\ncpu MHz\t\t: {}\n\nprocessor\t: 1\n"


def test_a_folder_for_each_kind_of_processor(tmp_path):
    names = []
    for i, text in enumerate((CPU.format(1), CPU.format(2), CPU.replace("avx", "avx512f"))):
        (tmp_path / str(i)).write_text(text)
        names.append(compilation_cache.processor(tmp_path / str(i)))
    assert names[0] == names[1] != names[2]
    assert compilation_cache.processor(tmp_path / "missing") not in names


def test_cache_root(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    roots = {"": tmp_path / ".cache", "relative": tmp_path / ".cache", f"{tmp_path}/x": tmp_path / "x"}
    for value, root in roots.items():
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert compilation_cache.cache_root() == root


def test_the_folder_is_private(monkeypatch, tmp_path):
    folder = tmp_path / "a" / "b"
    compilation_cache.make_private(folder)
    folder.chmod(0o777)
    compilation_cache.make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="another user"):
        compilation_cache.make_private(folder)


def test_torn_files_are_dropped(tmp_path):
    for name in ("whole-cache", "whole-atime", "torn-cache"):
        (tmp_path / name).write_bytes(b"x")
    compilation_cache.drop_torn(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {".lockfile"} == {"whole-cache", "whole-atime"}


SET = "import os; os.environ['XDG_CACHE_HOME'] = {!r}\n"
TRUNCATE = """
import pathlib
for path in pathlib.Path({!r}).rglob("*-cache"):
    path.write_bytes(path.read_bytes()[:99])
"""
LIST = """
import os, pathlib
folder = pathlib.Path({!r})
(folder / "{}.txt").write_text(repr(sorted((p.name, p.stat().st_mtime_ns) for p in folder.rglob("*-cache"))))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same small run under several circumstances: its answer and what it wrote."""
    place = tmp_path_factory.mktemp("compilation")
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)).save(place / "a.png")
    home, file = str(place / "home"), str(place / "a.png")

    def words(name, *flags):
        place_flags = f"--input={file}", "--scale=2", f"--workdir={place / name}"
        return command("degrade", *place_flags, "--family=gaussian", *flags)

    listed = [SET.format(home) + LIST.format(str(place), name) for name in ("one", "two")]
    commands = {
        "first": {"argv": words("first"), "before": SET.format(home)},
        "second": {"argv": words("second"), "before": listed[0]},
        "broken": {"argv": words("broken"), "before": listed[1] + TRUNCATE.format(home)},
        "off": {"argv": words("off", "--nocompilation_cache"), "before": SET.format(str(place / "off"))},
        "no home": {"argv": words("no home"), "before": SET.format(file)},
    }
    answers = dict(zip(commands, forked(*commands.values()), strict=True))
    own = {"JAX_COMPILATION_CACHE_DIR": str(place / "own"), "XDG_CACHE_HOME": str(place / "unused")}
    (answers["own"],) = forked(words("own"), env=own)
    return place, answers


@pytest.mark.long
def test_runs_are_the_same_with_and_without(runs):
    place, answers = runs
    for name, run in answers.items():
        assert run.code == 0 and run.err == "", (name, run)
        for output in ("lr/a.png", "kernels/a.npy"):
            assert (place / name / output).read_bytes() == (place / "first" / output).read_bytes()


@pytest.mark.long
def test_programs_are_kept_once_and_where_they_belong(runs):
    place, _ = runs
    after_first, after_second = ((place / f"{name}.txt").read_text() for name in ("one", "two"))
    assert "-cache" in after_first and after_first == after_second
    (folder,) = (place / "home/blindsr_jax").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list((place / "own").glob("*-cache"))) == after_first.count("-cache")
    assert not list((place / "off").rglob("*-cache")) and not (place / "unused/blindsr_jax").exists()
