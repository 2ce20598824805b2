"""Wrong usage: one sentence on stderr that names what is wrong, exit code 2."""

import re

import PIL.Image
import pytest

from tests.launch.commands import TINY, command, forked, usage_error
from tests.launch.conftest import levels

# Flags, and what the sentence names: the flag or value and what was expected.
CONFIG_VALUES = {
    "nope=3": ("config.nope", "num_steps"),
    "nope.nope=3": ("config.nope", "num_steps"),
    "num_steps.nope=3": ("config.num_steps",),
    "image.nope=3": ("image.nope", "learning_rate"),
    "kernel.nope=3": ("kernel.nope", "num_samples"),
    "prior.nope=3": ("config.prior.nope", "families"),
    "prior.gaussian.nope=3": ("nope",),
    "num_steps=abc": ("--config.num_steps=abc", "whole number"),
    "num_steps=-1": ("--config.num_steps=-1", "from 1 to"),
    "num_steps=0": ("config.num_steps", "from 1 to"),
    "ssim_steps=-1": ("config.ssim_steps", "from 0 to"),
    "chunk_steps=0": ("config.chunk_steps", "from 1 to"),
    "averaging=1": ("config.averaging", "0 to below 1"),
    "averaging=-0.1": ("config.averaging", "0 to below 1"),
    "averaging=nan": ("config.averaging", "0 to below 1"),
    "noise_share=-1": ("config.noise_share", "from 0 to"),
    "uses_mask=2": ("config.uses_mask", "True or False"),
    "image.channels=0": ("config.image.channels", "from 2 to"),
    "image.levels=0": ("config.image.levels", "from 1 to"),
    "image.learning_rate=0": ("config.image.learning_rate", "above 0"),
    "image.learning_rate=-1": ("config.image.learning_rate", "above 0"),
    "image.learning_rate=nan": ("config.image.learning_rate", "above 0"),
    "image.learning_rate=abc": ("config.image.learning_rate=abc", "number"),
    "image.gradient_weight=abc": ("config.image.gradient_weight", "from 0 to"),  # a default of the half
    "kernel.learning_rate=0": ("config.kernel.learning_rate", "above 0"),
    "kernel.num_samples=0": ("config.kernel.num_samples", "from 1 to"),
    "kernel.weights=nope": ("kernel.weights", "release, posterior"),
    "kernel.name=given": ("config.kernel.name", "--kernel"),
    "kernel.name=nope": ("nope", "dkp"),
    "image.name=nope": ("nope", "dip"),
    "image=3": ("config.image=3", "dict"),
    "boundary=foo": ("boundary", "foo", "circular, valid"),
    "kernel_center=foo": ("kernel_center", "foo", "release, aligned"),
    "kernel_size=4": ("kernel_size is 4", "odd"),
    "kernel_size=-3": ("config.kernel_size", "whole number"),
    "kernel_size=foo": ("--config.kernel_size=foo", "whole number"),
    "prior.families=('nope',)": ("nope", "gaussian"),
    "prior.families=()": ("prior.families", "tuple"),
    "prior.gaussian.variance_range=3": ("config.prior.gaussian.variance_range", "(low, high)"),
    "prior.gaussian.variance_range=(5,1)": ("variance_range", "(5, 1)"),
    "image.checkpoint=abc": ("--config.image.checkpoint=abc", "True or False"),
    "image.learning_rate=1e308": ("--config.image.learning_rate=1e+308", "up to"),
    "kernel.hidden=1000000000000": ("--config.kernel.hidden=1000000000000", "from 1 to"),
    "kernel.num_samples=100000000": ("--config.kernel.num_samples=100000000", "from 1 to"),
    "kernel.prior_weight=nan": ("--config.kernel.prior_weight=nan", "a number"),
    "kernel.redraw=2": ("--config.kernel.redraw=2", "True or False"),
    "ssim_steps=2147483648": ("--config.ssim_steps=2147483648", "from 0 to"),
}
SOLVE = {
    "--nope=3": ("'nope'", "--help"),
    "--scal=3": ("'scal'", "scale"),
    "stray.png": ("'stray.png'", "--name=value"),
    "--scale=0": ("--scale=0", "[1, 8]"),
    "--scale=9": ("--scale=9", "[1, 8]"),
    "--scale=two": ("--scale=two", "whole number"),
    "--seed=-1": ("--seed=-1", "range"),
    "--seed=99999999999999999999": ("--seed=", "range"),
    "--input={}/*.jpg": ("*.jpg", "no file matches"),
    "--input={}/missing.png": ("missing.png", "no file matches"),
    "--input={}": ("is a folder", "*.png"),
    "--kernel={}/missing.npy": ("missing.npy", "no such file"),
    "--kernel={}/a.png": ("a.png", "gray kernel"),
    "--flip_kernel": ("--flip_kernel", "--kernel=FILE"),
    "--signed_kernel": ("--signed_kernel", "--kernel=FILE"),
    "--white_level=0": ("--white_level=0", "range"),
    "--white_level=nan": ("--white_level=nan", "number"),
    "--white_level=white": ("--white_level=white", "number"),
    "--workdir={}/a.png/below": ("--workdir=", "a.png/below", "writable folder"),
    "--workdir={}/link": ("--workdir=", "link", "writable folder"),
    "--workdir={}/taken": ("--workdir=", "taken/images", "writable folder"),
    "--workdir=/proc/nowhere": ("--workdir=", "/proc/nowhere", "writable folder"),
    "--checkpoint_seconds=-1": ("--checkpoint_seconds", "-1"),
    "--workdir=": ("--workdir=", "writable folder"),
    "--config={}/missing.py": ("missing.py", "No such file", "configs/"),
    "--config={}/syntax.py": ("syntax.py", "never closed", "configs/"),
    "--config={}/raises.py": ("raises.py", "two lines", "configs/"),
    "--config={}/without.py": ("without.py", "get_config()"),
    "--config={}/incomplete.py": ("is missing", "base_config()"),
    "--config=": ("config file ''",),
    "--config=configs/dip_dkp_release.py:moton": ("'moton'", "gaussian, motion"),
    "--config=configs/dip_gaussian.py:abc": ("dip_gaussian.py:abc",),
    "--group_size=0": ("--group_size=0", "positive"),
    "--group_size=x": ("--group_size=x", "whole number"),
    "--process_id=1": ("--process_id", "--distributed"),
    "--distributed": ("--distributed", "SLURM", "--coordinator_address"),
    "--distributed --process_id=1": ("--process_id", "--num_processes"),
    "--distributed --coordinator_address=localhost:1 --num_processes=2 --process_id=2": ("--process_id=2", "0 to 1"),
    "--distributed --coordinator_address=here --num_processes=2 --process_id=0": ("=here", "HOST:PORT"),
    "--distributed --coordinator_address=localhost:99999 --num_processes=2 --process_id=0": ("99999", "HOST:PORT"),
    "--distributed --coordinator_address=nowhere.invalid:1 --num_processes=2 --process_id=1": ("nowhere", "HOST:PORT"),
}
DEGRADE = {
    "--nope=3": ("'nope'",),
    "--scale=0": ("--scale=0", "[1, 8]"),
    "--scale=9": ("--scale=9", "[1, 8]"),
    "--family=nope": ("--family=nope", "mixture"),
    "--noise_std=-1": ("--noise_std=-1", "-1"),
    "--noise_std=nan": ("--noise_std=nan", "at least 0"),
    "--noise_std=abc": ("--noise_std=abc", "a number"),
    "--boundary=foo": ("--boundary=foo", "circular|valid"),
    "--kernel_center=foo": ("--kernel_center=foo", "release|aligned"),
    "--kernel_size=4": ("kernel_size is 4", "odd"),
    "--input={}/*.jpg": ("*.jpg", "no file matches"),
    "--workdir={}/a.png/below": ("--workdir=", "writable folder"),
    "--workdir={}/broken": ("manifest.json", "manifest"),
}
EVALUATE = {
    "--scale=9": ("--scale=9", "[1, 8]"),
    "--border=-1": ("--border=-1", "non-negative"),
    "--results={}/missing": ("--results", "missing/images", "folder"),
    "--images={}/missing": ("--images", "missing", "folder"),
    "--images={}/taken": ("--images", "taken", "no images"),
    "--hr={}/missing": ("--hr", "missing", "folder"),
    "--kernels={}/missing": ("--kernels", "missing", "folder"),
}
MISSING = {
    "solve": ("--config", "--input", "--scale", "--workdir"),
    "degrade": ("--input", "--scale", "--workdir"),
    "evaluate": ("--results", "--scale"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("usage")
    PIL.Image.fromarray(levels(3)).save(place / "a.png")
    (place / "link").symlink_to(place / "nowhere")
    for name, file, text in (("taken", "images", ""), ("broken", "manifest.json", "[1]")):
        (place / name).mkdir()
        (place / name / file).write_text(text)
    (place / "syntax.py").write_text("def get_config(\n")
    (place / "without.py").write_text("x = 1\n")
    (place / "raises.py").write_text("def get_config():\n    raise RuntimeError('two\\nlines')\n")
    (place / "incomplete.py").write_text(
        "from ml_collections import ConfigDict\n\ndef get_config():\n    return ConfigDict({'num_steps': 3})\n"
    )
    return place


@pytest.fixture(scope="module")
def answers(folder):
    """All commands of this file in one go."""
    basic = [f"--input={folder}/a.png", "--scale=2", f"--workdir={folder}/out"]
    results = [f"--results={folder}", f"--images={folder}", "--scale=2"]
    cases = [("solve", (f"--config.{value}",), [TINY, *basic]) for value in CONFIG_VALUES]
    cases += [("solve", (flag,), [TINY, *basic]) for flag in SOLVE]
    cases += [("degrade", (flag,), basic) for flag in DEGRADE]
    cases += [("evaluate", (flag,), results[:1] + results[2:] if "results" in flag else results) for flag in EVALUATE]
    cases += [(name, (), []) for name in MISSING]
    cases += [("solve", ("--config.num_steps=3",), basic)]
    words = (
        [*base, *(word.format(folder) for f in more for word in re.split(" (?=--)", f))] for _, more, base in cases
    )
    runs = forked(*(command(case[0], *argv) for case, argv in zip(cases, words, strict=True)))
    return {case[:2]: run for case, run in zip(cases, runs, strict=True)}


CASES = [("solve", f"--config.{value}", words) for value, words in CONFIG_VALUES.items()] + [
    (name, flag, words)
    for name, table in (("solve", SOLVE), ("degrade", DEGRADE), ("evaluate", EVALUATE))
    for flag, words in table.items()
]


@pytest.mark.parametrize("name,flag,words", CASES)
def test_wrong_value(answers, folder, name, flag, words):
    sentence = usage_error(answers[name, (flag,)])
    assert sentence.startswith(f"{name}.py: ")
    assert [word for word in words if word not in sentence] == [], sentence
    assert not (folder / "out").exists()  # refused before anything is made


@pytest.mark.parametrize("name", MISSING)
def test_missing_flags(answers, name):
    sentence = usage_error(answers[name, ()])
    assert all(flag in sentence for flag in MISSING[name]), sentence


def test_config_value_without_config(answers):
    assert "--config must be given" in usage_error(answers["solve", ("--config.num_steps=3",)])
