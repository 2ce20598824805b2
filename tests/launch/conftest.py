"""One solve of a mixed folder, shared: compiling is most of the time of these tests."""

import os
from typing import NamedTuple

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from tests.launch.commands import TINY, Run, forked, launch

H, W = 11, 13  # odd
KINDS = {"palette": "RGB", "rgba": "RGBA", "gray": "L", "la": "LA", "rgb": "RGB", "rgb_2": "RGB", "<b>&": "RGB"}
KINDS_16 = {"gray16": "L", "rgb16": "RGB"}
GOOD = {*KINDS, *KINDS_16}
BAD = {"dangling", "empty", "loop", "nan", "small", "text", "truncated"}


class Solved(NamedTuple):
    run: Run
    inputs: object
    workdir: object


def levels(channels, shape=(H, W), seed=0):
    """Smooth random samples, uint8."""
    coarse = np.random.default_rng(seed).uniform(0, 1, (4, 4, channels)).astype(np.float32)
    planes = [PIL.Image.fromarray(coarse[..., c]).resize(shape[::-1]) for c in range(channels)]
    return np.rint(255 * np.clip(np.stack(planes, -1), 0, 1)).astype(np.uint8)


def write_good(folder):
    rgb = PIL.Image.fromarray(levels(3))
    rgb.save(folder / "rgb.bmp")
    rgb.save(folder / "rgb.png")
    rgb.save(folder / "<b>&.png")
    rgb.quantize(8).save(folder / "palette.png")
    PIL.Image.fromarray(levels(4)).save(folder / "rgba.png")
    PIL.Image.fromarray(levels(1)[..., 0]).save(folder / "gray.png")
    PIL.Image.fromarray(levels(2)).save(folder / "la.png")
    for name, channels in (("rgb16", 3), ("gray16", 1)):
        io.write_image(folder / f"{name}.png", io.Image(levels(channels).astype(np.float64) / 256, bits=16))


def write_bad(folder):
    (folder / "text.png").write_text("this is not an image")
    (folder / "empty.png").write_bytes(b"")
    (folder / "truncated.png").write_bytes((folder / "rgb.png").read_bytes()[:120])
    os.symlink("nowhere.png", folder / "dangling.png")
    os.symlink("loop.png", folder / "loop.png")
    np.save(folder / "nan.npy", np.full((H, W, 3), np.nan, np.float32))
    PIL.Image.fromarray(levels(3, (5, 30))).save(folder / "small.png")
    (folder / "folder.png").mkdir()


@pytest.fixture(scope="session")
def solved(tmp_path_factory):
    inputs, workdir = tmp_path_factory.mktemp("inputs"), tmp_path_factory.mktemp("solved") / "made" / "here"
    write_good(inputs)
    write_bad(inputs)
    run = launch("solve", TINY, f"--input={inputs}/*.*", "--scale=2", f"--workdir={workdir}")
    return Solved(run, inputs, workdir)


@pytest.fixture(scope="session")
def cached():
    """`forked`, whose programs are kept between runs: a run that has been compiled before takes a few seconds."""
    return forked
