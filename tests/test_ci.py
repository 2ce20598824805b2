"""The workflow of continuous integration: each command in it exists, and its matrix is that of tests/matrix.py."""

import re
import shlex
from pathlib import Path

import yaml

from tests import matrix

ROOT = Path(__file__).parents[1]
JOBS = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]


def test_each_command_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    commands = [shlex.split(step["run"]) for job in JOBS.values() for step in job["steps"] if "run" in step]
    assert len(commands) == 2
    for program, name, *words in commands:
        if program == "make":
            assert name in targets
            for value in (word.partition("=")[2] for word in words):
                assert (ROOT / value).exists(), value
        else:
            assert program == "python" and (ROOT / name).is_file()


def test_the_matrix_is_that_of_the_script():
    found = JOBS["matrix"]["strategy"]["matrix"]
    assert found == {"python": list(matrix.PYTHONS), "choice": list(matrix.CHOICES)}
    assert not [name for name in matrix.SMOKE if not (ROOT / name).is_file()]


def test_the_site_has_each_document():
    listed = re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text())
    documents = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert set(documents) <= set(listed)
