"""Whether the processes of a run were told the same, found out before one of them solves anything.

Process 0 sends what results depend on, and the name of a file with a random text that it has put into the working
folder; who cannot read that text works in another folder. A process that differs refuses, and so the whole run does.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

import blindsr_jax
from blindsr_jax.runs import cli, resume, workdir
from blindsr_jax.runs.channels import LostError, clean
from blindsr_jax.runs.distributed import Peers, RefusedError, receive
from blindsr_jax.runs.signals import Stopper

ANSWER_SECONDS = 600  # for a process to read its flags, its kernel and its weights
FOLDER_SECONDS = 5  # for a file to show on the other machines of a network disk
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def identity(document: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What the results of a process depend on beside the inputs, under names that its user knows.

    Args:
      document: for config.json, without the config: `config` (its name), `flags`, `kernel_sha256`.
      config: values of the config.
    """
    files = {leaf for leaf in jax.tree.leaves(config) if isinstance(leaf, str) and leaf.endswith(".npz")}
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    versions |= {"blindsr_jax": blindsr_jax.__version__, "the files of blindsr_jax": _package_digest()}
    return {  # what says most comes first: few differences are shown
        "name of --config": document["config"],
        **{f"--{name}": document["flags"].get(name) for name in ("scale", "seed", "white_level", "flip_kernel")},
        "SHA-256 of --kernel": document["kernel_sha256"],
        **{f"version of {name}": version for name, version in versions.items()},
        **{f"SHA-256 of {name}": resume.sha256(name) for name in sorted(files)},
        "--config": config,
    }


def _package_digest() -> str:
    """Of the program and its weights: a working copy changes more often than its version does."""
    top, digest = Path(blindsr_jax.__file__).parent, hashlib.sha256()
    for path in sorted(path for suffix in ("py", "npz") for path in top.rglob(f"*.{suffix}")):
        digest.update(f"{path.relative_to(top)} {resume.sha256(path)}\n".encode())
    return digest.hexdigest()


def ask(peers: Peers, told: Mapping[str, Any], folder: str, stopper: Stopper) -> None:
    """In process 0, under the folder's lock: finds out whether the others were told the same.

    Args:
      peers: those of the run; with none nothing is done.
      told: from `identity`.
      folder: the working folder.
      stopper: a signal ends the waiting.

    Raises:
      RefusedError: a process refuses, or is lost.
      StoppedError: a signal has come, or the folder cannot be written.
    """
    if not peers.channels:
        return
    refusals, end = [], time.monotonic() + ANSWER_SECONDS
    with _token(folder) as (name, text):
        # As JSON is to compare both sides.
        question = {"told": json.dumps(told, default=list), "token": name, "folder": os.path.abspath(folder)}
        for channel in peers.channels.values():
            channel.send({"agree": question})
        for index, channel in peers.channels.items():
            try:
                answer = channel.receive(stopper.check, max(1, end - time.monotonic()))
            except LostError as error:
                refusals.append(f"process {index} does not take part: {error}")
                continue
            if "end" in answer:
                refusals.append(f"process {index} has refused: {clean(answer['end'])}")
            elif answer.get("token") != text:
                refusals.append(f"process {index} cannot read the working folder of process 0")
    if refusals:
        raise RefusedError("; ".join(refusals[:3]) + ("; ..." if len(refusals) > 3 else ""))


def answer(peers: Peers, told: Mapping[str, Any], folder: str, stopper: Stopper) -> None:
    """In the other processes: compares with process 0, then makes the folders that are missing.

    Args:
      peers, told, folder, stopper: see `ask`.

    Raises:
      RefusedError: this process differs, or process 0 has ended.
      UsageError: the folder cannot be written.
      LostError: process 0 is gone.
      StoppedError: a signal has come.
    """
    channel = peers.channels[0]
    question = receive(peers, "agree", stopper, ANSWER_SECONDS)
    try:
        theirs, name = json.loads(question["told"]), question["token"]
        words = f"{{}} is {{!r}} in process 0 and {{!r}} in process {peers.index}"
        differences, place = resume.differences(theirs, told, words), clean(question.get("folder"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RefusedError("process 0 asks for something that is not known here") from error
    if differences:
        shown = "; ".join(differences[:3]) + ("; ..." if len(differences) > 3 else "")
        raise RefusedError(clean(shown))
    text = _read_token(folder, name, stopper)
    if text is None:
        raise RefusedError(
            f"--workdir={folder} in process {peers.index} is another folder than {place} of process 0, expected the "
            "same folder in all processes"
        )
    cli.make_workdir(folder, folders=workdir.FOLDERS)
    channel.send({"token": text})


@contextlib.contextmanager
def _token(folder: str) -> Iterator[tuple[str, str]]:
    """A file in the working folder while the processes agree: its name and its text.

    It has the name of a temporary file, so that the next run removes one that was left by a kill.
    """
    name, text = f".{uuid.uuid4().hex}.tmp", uuid.uuid4().hex
    path = Path(folder, name)
    with workdir.writing(folder), open(path, "x") as file:
        file.write(text)
    try:
        yield name, text
    finally:
        path.unlink(missing_ok=True)


def _read_token(folder: str, name: Any, stopper: Stopper) -> str | None:
    """The text of the file, None if it does not show."""
    if not isinstance(name, str) or not re.fullmatch(r"\.[0-9a-f]{32}\.tmp", name):
        return None
    end = time.monotonic() + FOLDER_SECONDS
    while time.monotonic() < end:
        stopper.check()
        with contextlib.suppress(OSError, ValueError):
            with open(os.path.join(folder, name)) as file:
                if len(text := file.read(64)) == 32:
                    return text
        time.sleep(0.1)
    return None
