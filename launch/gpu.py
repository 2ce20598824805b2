r"""The work of a rented hour of an accelerator: a short bench, then the trainings of the shipped networks, by worth.

python launch/pack_data.py --input='BSDS500/train/*.jpg' --validation='BSDS500/val/*.jpg' --output=out/data.zip
python launch/gpu.py --data=out/data.zip --workdir=out/gpu --stages=bench:240,usrnet:1500,kenet_x2:600,kenet_x4:600

Each stage is a launch of its own with a budget of seconds, its log in --workdir. Trainings know their time: their
learning rate has fallen to zero when it is over. `manifest.json` says what was done on what device and how it ended;
`STAGE.zip`, written again every minute, holds all of a stage but the state of its training. The same command goes on
where an interrupted one stopped: stages that ended well are not repeated, trainings go on from their states.

--jobs=N runs N stages at the same time, which fills the gaps that one alone leaves; a bench is always alone.
"""

import contextlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags

from blindsr_jax import io
from blindsr_jax.runs import cli
from blindsr_jax.runs.signals import Stopper

_WORKDIR = flags.DEFINE_string("workdir", "out/gpu", "Folder of all results; made where missing.")
_DATA = flags.DEFINE_string("data", "out/data.zip", "Images to train on: a file of launch/pack_data.py.")
_STAGES = flags.DEFINE_list("stages", None, "NAME:SECONDS of each stage, in their order; see --help for the names.")
_JOBS = flags.DEFINE_integer("jobs", 1, "How many trainings run at the same time.", lower_bound=1)
_SMALL = flags.DEFINE_bool("small", False, "Tiny networks, to try the script.")

LAUNCH = Path(__file__).resolve().parent
CONFIGS = {"usrnet": "usrnet.py", "kenet": "kenet.py:wide", "evidence": "evidence.py:wide"}
DEFAULT = (
    "bench:240",
    "usrnet:1200",
    "evidence_x2:400",
    "evidence_x4:400",
    "kenet_x2:350",
    "kenet_x4:350",
    "evidence_x1:250",
    "evidence_x3:250",
    "kenet_x3:200",
    "kenet_x1:200",
)
KERNEL_SIZES = {1: 21, 2: 15, 3: 19, 4: 21}
TRAININGS = ("usrnet", *(f"{kind}_x{scale}" for kind in ("evidence", "kenet") for scale in KERNEL_SIZES))
# Epochs of 100 steps; scoring kernels takes the host seconds.
VALIDATE_EVERY = {"usrnet": 20, "kenet": 100, "evidence": 25}
END_SECONDS = 15.0  # of a training: beginning to import, and writing in the end
GRACE_SECONDS = 20.0  # beyond the budget, until a stage is asked to stop; and then until it is killed
PACK_EVERY = 60.0  # seconds
PACKAGES = ("blindsr_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# --small: networks and patches for a test on a CPU.
TINY = {
    "bench": [],
    "usrnet": [
        "--config.scales=(1,2)",
        "--config.kernel_sizes=(5,5)",
        "--config.widths=(4,6)",
        "--config.blocks=1",
        "--config.hidden=4",
        "--config.iterations=1",
        "--config.data_iterations=2",
        "--config.side=12",
    ],
    "kenet": ["--config.kernel_size=7", "--config.channels=2", "--config.hidden=8", "--config.lr_side=8"],
    "evidence": [
        "--config.kernel_size=7",
        "--config.channels=2",
        "--config.hidden=8",
        "--config.features=4",
        "--config.others=8",
        "--config.lr_side=12",
        "--config.least_side=8",
    ],
    "training": [
        "--config.num_epochs=3",
        "--config.validate_every=2",
        "--config.kernel_pool=64",
        "--config.batch_size=2",
        "--config.steps_per_epoch=2",
        "--config.validation_patches=8",
        "--config.precision=float32",
    ],
}


class Stage(NamedTuple):
    """One launch."""

    name: str
    seconds: float  # its budget
    command: tuple[str, ...]
    is_alone: bool


def _training(name: str, seconds: float, folder: str) -> list[str]:
    """The flags of a training; its own clock ends it within the budget."""
    kind, _, scale = name.partition("_x")
    words = [
        f"train_{kind}.py",
        f"--config={LAUNCH.parent / 'configs' / CONFIGS[kind]}",
        f"--input={os.path.abspath(_DATA.value)}",
        f"--validation={os.path.abspath(_DATA.value)}",
        f"--workdir={os.path.join(folder, name)}",
        "--config.schedule=clock",
        f"--config.seconds={max(seconds - END_SECONDS, 1.0)}",
        "--config.num_epochs=1000000",
        "--config.steps_per_epoch=100",
        f"--config.validate_every={VALIDATE_EVERY[kind]}",
    ]
    if scale:
        words += [f"--config.scale={scale}", f"--config.kernel_size={KERNEL_SIZES[int(scale)]}"]
    return words + (TINY[kind] + TINY["training"] if _SMALL.value else [])


def stage_of(word: str, folder: str) -> Stage:
    """The stage that NAME:SECONDS means.

    Raises:
      UsageError: there is none of that name, or the time is not a number above 0.
    """
    name, _, budget = word.partition(":")
    try:
        seconds = float(budget)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise cli.UsageError(f"--stages={word}: expected NAME:SECONDS with a number above 0")
    if name == "bench":
        words = ["bench_gpu.py", f"--workdir={os.path.join(folder, name)}", f"--budget_seconds={seconds}"]
        return Stage(name, seconds, (*words, *(["--small"] if _SMALL.value else [])), True)
    if name not in TRAININGS:
        known = ", ".join(["bench", *TRAININGS])
        raise cli.UsageError(f"--stages={word}: expected NAME:SECONDS with one of {known}")
    return Stage(name, seconds, tuple(_training(name, seconds, folder)), False)


def run_stage(stage: Stage, folder: str, stopper: Stopper) -> dict:
    """Runs a launch to its end, or until its time is over or a signal has come; returns what the manifest says."""
    begin = time.monotonic()
    with open(os.path.join(folder, f"{stage.name}.log"), "a") as log:
        child = subprocess.Popen(
            [sys.executable, str(LAUNCH / stage.command[0]), *stage.command[1:]],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=LAUNCH.parent,
            env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONUNBUFFERED": "1"},
        )
        limit = stage.seconds + GRACE_SECONDS  # since its begin
        asked = None  # when it was asked to stop
        while child.poll() is None:
            now = time.monotonic()
            if asked is None and (now - begin > limit or stopper.number is not None):
                child.send_signal(signal.SIGTERM)
                asked = now
            elif asked is not None and now - asked > GRACE_SECONDS:
                child.kill()
            time.sleep(0.2)
    status = "ok" if child.returncode == 0 else "stopped" if asked else "failed"
    seconds = round(time.monotonic() - begin, 1)
    return {"status": status, "exit_code": child.returncode, "seconds": seconds, "command": list(stage.command)}


def last_line(folder: str, name: str) -> str:
    """What a stage said last."""
    lines = Path(folder, f"{name}.log").read_text(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else ""


def pack(folder: str, name: str) -> None:
    """Writes NAME.zip: the log and all files of a stage but the states of its training, whole or not at all."""
    place = os.path.join(folder, f"{name}.zip")
    with zipfile.ZipFile(f"{place}.tmp", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [Path(folder, f"{name}.log"), *sorted(Path(folder, name).rglob("*"))]:
            parts = path.relative_to(folder).parts
            if path.is_file() and "state" not in parts and path.name != ".lock":
                with contextlib.suppress(FileNotFoundError):  # a training may just be replacing it
                    archive.write(path, os.path.join(*parts))
    os.replace(f"{place}.tmp", place)


def run_all(stages: list[Stage], folder: str, manifest: dict, stopper: Stopper) -> None:
    """Runs the stages that are left; the manifest is on disk after each."""
    waiting, running = [s for s in stages if manifest["stages"].get(s.name, {}).get("status") != "ok"], {}
    packed = time.monotonic()
    with ThreadPoolExecutor(_JOBS.value) as pool:
        while waiting or running:
            if stopper.number is not None:
                waiting.clear()
            alone = any(stage.is_alone for stage in running.values())
            while waiting and len(running) < _JOBS.value and not alone and not (waiting[0].is_alone and running):
                stage = waiting.pop(0)
                running[pool.submit(run_stage, stage, folder, stopper)] = stage
                alone = stage.is_alone
            done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                stage = running.pop(future)
                found = manifest["stages"][stage.name] = future.result()
                io.write_json(os.path.join(folder, "manifest.json"), manifest)
                said = last_line(folder, stage.name)
                print(f"{stage.name}: {found['status']} after {found['seconds']:.0f} s: {said}", flush=True)
                pack(folder, stage.name)
            if time.monotonic() - packed > PACK_EVERY:
                for stage in running.values():
                    pack(folder, stage.name)
                packed = time.monotonic()


def read_manifest(folder: str) -> dict:
    """What earlier runs of the folder did, and on what this one runs."""
    place = os.path.join(folder, "manifest.json")
    try:
        stages = dict(json.loads(Path(place).read_text())["stages"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):  # none, or one that is damaged: all runs again
        stages = {}
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {"device": jax.local_devices()[0].device_kind, "versions": versions, "stages": stages}


def main() -> int:
    """Runs the stages; exit code 1 where one of them did not end well."""
    folder = cli.make_workdir(os.path.abspath(_WORKDIR.value))
    stages = [stage_of(word, folder) for word in _STAGES.value or DEFAULT]
    if any(not stage.is_alone for stage in stages) and not os.path.isfile(_DATA.value):
        raise cli.UsageError(f"--data={_DATA.value}: there is no such file, expected one of launch/pack_data.py")
    manifest = read_manifest(folder)
    print(f"{manifest['device']}, {len(stages)} stages, {sum(stage.seconds for stage in stages):.0f} s", flush=True)
    stopper = Stopper()
    run_all(stages, folder, manifest, stopper)
    stopper.check()
    print(f"results in {folder}")
    ended_well = all(manifest["stages"][stage.name]["status"] == "ok" for stage in stages)
    return cli.OK if ended_well else cli.SOME_FAILED


if __name__ == "__main__":
    cli.run(main)
