"""Commands on a prepared place: PLACE/D is the working folder, what stands beside it is somebody's."""

import json
import os
import shutil

import numpy as np
import PIL.Image

from blindsr_jax.runs.ownership import state_folder
from tests.launch.commands import MEAN, command
from tests.launch.conftest import levels
from tests.launch.test_train_flow import CONFIG as FLOW

VICTIM = "precious text"


def image(path, seed=0, channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(levels(channels, (41, 43), seed)).save(path, "PNG")


def text(path, what=VICTIM):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(what if isinstance(what, str) else json.dumps(what))


def texts(place, files):
    for name, what in files.items():
        text(place / "D" / name, what)


def kernel(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.eye(5) / 5)


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))


def solve(place, *flags, pattern="in/*.png"):
    return command("solve", *MEAN, f"--input={place}/{pattern}", f"--workdir={place}/D", *flags)


def degrade(place, *flags, pattern="in/*.png"):
    return command("degrade", "--scale=2", f"--input={place}/{pattern}", f"--workdir={place}/D", *flags)


def cases(place, *flags, pattern="in/*.png"):
    return command("make_cases", "--scale=2", "--crop=32", f"--input={place}/{pattern}", f"--workdir={place}/D", *flags)


def table(place, *flags):
    configs = "--configs=tests/launch/tiny.py"
    return command("table", f"--cases={place}/cases", configs, "--seeds=1", f"--workdir={place}/D", *flags)


def evaluate(place, *flags, truth="truth"):
    images = f"--images={place}/in", f"--kernels={place}/{truth}", "--scale=1"
    return command("evaluate", f"--results={place}/D", *images, *flags)


def train(place, *flags):
    return command("train_flow", *FLOW, "--checkpoint_seconds=0", f"--workdir={place}/D", *flags)


def convert(place, source="net.pt", output="out.npz"):
    return command("convert", f"--input={place}/{source}", f"--output={place}/{output}")


def benchmark(place, file):
    return command("benchmark", "--config=tests/launch/tiny.py", "--hr_size=32", f"--json={place}/{file}")


def hashed(name):
    return os.path.basename(state_folder("", name))


def note(place, name, folder=None, **more):
    what = {"name": name, "input": "/x", "sha256": "y"} | more
    text(place / "D/state" / (folder or hashed(name)) / "input.json", what)


def hard_link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(target, path)


def common(place):
    """What all runs find: two images, a file beside the working folder and a folder that links lead to."""
    for i in range(2):
        image(place / f"in/p{i}.png", i)
    text(place / "victim.txt")
    image(place / "victim.png")
    for name in ("thesis.txt", "0-000000002/thesis.txt", "mydata/thesis.txt", "p0.png"):
        text(place / "outside" / name)
    kernel(place / "truth/p0.npy")
    for name in ("lr", "hr"):
        image(place / f"cases/case/{name}.png")
    kernel(place / "cases/case/kernel.npy")


OURS = {"solve": solve, "degrade": degrade, "cases_": cases, "train": train}


def make_ours(place, cached, name):
    """The working folder of a finished run, PLACE/NAME."""
    if not (place / name).exists():
        (run,) = cached(OURS[name](place, f"--workdir={place}/{name}"))
        assert run.code == 0, run


def take(ours, place, name, cached):
    """A copy of a finished run as PLACE/D, with the inputs at their place."""
    make_ours(ours, cached, name)
    for path in ours.iterdir():
        if path.name not in ("solve", "degrade", "cases_", "train", name):
            shutil.copytree(path, place / path.name) if path.is_dir() else shutil.copy(path, place)
    shutil.copytree(ours / name, place / "D")
    for path in (place / "D/records").glob("*.json"):
        path.write_text(path.read_text().replace(str(ours), str(place)))
    return place
