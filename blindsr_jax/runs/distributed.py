"""Several processes, on one machine or on many, that share a list of images.

Process 0 holds the working folder's lock, plans, and writes the lists at the end; each process solves its share on its
own devices and writes its own records. JAX's distributed runtime takes no part: no array is shared, and that runtime
aborts all processes when it loses process 0. Each of the others has one connection to process 0 instead
(`handshake.py`). They survive the loss of each other; when process 0 is lost, and the folder's lock with it, they save
their states and end.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import wait as wait_for_any
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from blindsr_jax.runs import handshake
from blindsr_jax.runs.channels import LONG, Channel, LostError, clean, dismiss
from blindsr_jax.runs.handshake import JoinError
from blindsr_jax.runs.signals import StoppedError, Stopper

PLAN_SECONDS = 3600  # process 0 may have to read many inputs to plan
GRACE_SECONDS = 600  # for the others to end a chunk when process 0 stops


class Peers(NamedTuple):
    """Where this process stands among those of a run."""

    index: int = 0
    count: int = 1
    channels: Mapping[int, Channel] = MappingProxyType({})  # from 0 to each other process, from each other one to 0

    @property
    def label(self) -> str:
        """What the lines of this process begin with."""
        return f"process {self.index}: " if self.count > 1 else ""

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items of this process."""
        return items[self.index :: self.count]


class RefusedError(Exception):
    """Another process has refused to start; the message is one sentence."""


def join(
    address: str | None = None, count: int | None = None, index: int | None = None, *, seconds: float = 120
) -> Peers:
    """Joins the other processes of the run, before anything is computed.

    Args:
      address: HOST:PORT where process 0 listens; with None for all three, SLURM, the TPU pod or MPI is asked.
      count: number of processes.
      index: of this process.
      seconds: for all to come together.

    Raises:
      JoinError: they do not come together.
    """
    if address is None:
        address, count, index = _detect(seconds)
    if count == 1:
        return Peers()
    if index == 0:
        return Peers(0, count, handshake.gather(address, count, seconds))
    return Peers(index, count, {0: handshake.reach(address, count, index, seconds)})


def _detect(seconds: float) -> tuple[str, int, int]:
    """What the environment says of the place of this process, as `jax.distributed.initialize` would find it.

    Where it starts several processes on a machine, each gets one of its GPUs. JAX has no public name for this.
    """
    from jax._src import clusters

    given = os.environ.get("JAX_COORDINATOR_ADDRESS")
    try:
        address, count, index, devices = clusters.ClusterEnv.auto_detect_unset_distributed_params(
            given, None, None, None, None, int(seconds)
        )
    except Exception as error:  # whatever the environment lacks
        reason = f"{type(error).__name__}, {clean(error)}"
        raise JoinError(f"the cluster's environment does not say which process this is ({reason})") from error
    if address is None or count is None or index is None:
        raise JoinError(
            "no cluster (SLURM, TPU pod, MPI) says which process this is, expected one, or --coordinator_address, "
            "--num_processes and --process_id"
        )
    if devices:
        for platform in ("cuda", "rocm"):
            jax.config.update(f"jax_{platform}_visible_devices", ",".join(map(str, devices)))
    return address, count, index


def send_plan(peers: Peers, items: Sequence[Any]) -> None:
    """Hands each of the other processes its share of a list (of anything that JSON can hold), from process 0."""
    for index, channel in peers.channels.items():
        channel.send({"plan": items[index :: peers.count]})


def receive_plan(peers: Peers, stopper: Stopper) -> Any:
    """The share of this process in the list of process 0.

    Raises:
      RefusedError: it has refused to start.
      LostError: it is gone.
      StoppedError: a signal has come.
    """
    peers.channels[0].limit = LONG
    return receive(peers, "plan", stopper, PLAN_SECONDS)


def receive(peers: Peers, key: str, stopper: Stopper, seconds: float) -> Any:
    """What process 0 has to say under a key; see `receive_plan`."""
    message = peers.channels[0].receive(stopper.check, seconds)
    if key in message:
        return message[key]
    raise RefusedError(f"process 0 has ended: {clean(message.get('end', 'it says nothing that is known here'))}")


def obey(peers: Peers, stopper: Stopper) -> None:
    """Stops this process as a signal would if process 0 has stopped or is lost; asked after each chunk."""
    if peers.index > 0 and stopper.number is None:
        message = peers.channels[0].poll()
        if message is not None or peers.channels[0].is_lost:
            stopper.number = signal.SIGTERM


def tell_done(peers: Peers) -> None:
    """Says that this process has solved its share.

    Raises:
      LostError: process 0, which would write the lists, is gone.
    """
    if peers.index > 0:
        peers.channels[0].poll()
        if peers.channels[0].is_lost:
            raise LostError("process 0 has been lost")
        peers.channels[0].send({"done": peers.index})


@contextlib.contextmanager
def following(peers: Peers) -> Iterator[None]:
    """Around what the others do: says so where they end since process 0 is gone.

    Raises:
      StoppedError: it is.
    """
    try:
        yield
    except (StoppedError, LostError) as error:
        if isinstance(error, StoppedError) and not peers.channels[0].is_lost:
            raise
        message = "process 0 has been lost; what is done is saved, the same command in all processes goes on from there"
        raise StoppedError(message, 1) from error


def wait(peers: Peers, stopper: Stopper) -> list[int]:
    """In process 0: waits until the others have ended, however they did.

    Returns:
      Those that have not finished their share.

    Raises:
      StoppedError: a signal has come.
    """
    done, left = set(), dict(peers.channels)
    while left:
        stopper.check()
        wait_for_any(left.values(), 0.2)
        for index, channel in list(left.items()):
            while (message := channel.poll()) is not None:
                if "done" in message:
                    done.add(index)
            if channel.is_lost:
                del left[index]
    return [index for index in peers.channels if index not in done]


@contextlib.contextmanager
def together(peers: Peers) -> Iterator[None]:
    """Around what a process does: if it ends early, it says why. In the end it leaves the others.

    If process 0 ends early, the others save their states and end, and it waits for that.
    """
    try:
        yield
    except BaseException as error:
        dismiss(peers.channels.values(), str(error), GRACE_SECONDS if peers.index == 0 else 0)
        raise
    for channel in peers.channels.values():
        channel.close()
