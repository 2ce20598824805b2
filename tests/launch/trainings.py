"""What the tests of trainings share: a command, images, and a training that is stopped and goes on."""

import json
import pathlib
from typing import NamedTuple

import jax
import numpy as np
import PIL.Image

from tests.launch.commands import command

# A signal in each epoch of a module's `run_epoch`; a call with a tracer only asks what an epoch measures.
_STOP = """
import os, signal
import jax
import {0} as module

run_epoch = module.run_epoch

def stopped(key, *args, **options):
    if not isinstance(key, jax.core.Tracer):
        os.kill(os.getpid(), signal.SIGTERM)
    return run_epoch(key, *args, **options)

module.run_epoch = stopped
"""


class Training(NamedTuple):
    """A launch with flags for a tiny training; called with a folder and more flags it is the command."""

    launch: str
    flags: tuple[str, ...]
    place: pathlib.Path  # above the folders

    def __call__(self, folder, *flags):
        return command(self.launch, *self.flags, f"--workdir={self.place / folder}", *flags)


def images(place):
    """Writes an image of 32 x 24 px to train on, a broken one and one to validate on; returns the flags."""
    rng = np.random.default_rng(0)
    for name in ("train", "val"):
        (place / name).mkdir()
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        coarse.resize((32, 24), PIL.Image.BICUBIC).save(place / name / "image.png")
    (place / "train" / "broken.png").write_text("no image")
    return f"--input={place}/train", f"--validation={place}/val/*.png"


def metrics(folder, epochs):
    """The lines of metrics.jsonl, one an epoch."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, epochs + 1))
    return lines


def check_going_on(train, cached, read, *, epochs, module="blindsr_jax.training.engine"):
    """A training in "two" that is stopped in its first epoch and goes on ends as the one in "one", to the last bit."""
    stopped, rest = cached({"argv": train("two"), "before": _STOP.format(module)}, train("two"))
    assert stopped.code == 143 and "state saved" in stopped.err, stopped
    assert rest.code == 0 and f"1 of {epochs} epochs were done before" in rest.out, rest
    ours, theirs = (jax.tree.leaves(read(train.place / folder)) for folder in ("one", "two"))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
