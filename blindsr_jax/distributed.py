"""Several processes, on one machine or on many, that share a list of images. JAX's runtime connects them.

Process 0 holds the working folder's lock, plans, and writes the lists at the end; each process solves its share on its
own devices and writes its own records. They talk through the key-value store of JAX's coordination service, which lives
in process 0: the others survive the loss of each other, but not of process 0, which so is never outlived by a process
that writes into a folder whose lock has gone.
"""

import contextlib
import json
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from blindsr_jax.stopping import Stopper

HEARTBEAT_SECONDS = 60  # a process is lost if it has not been heard of for so long
START_SECONDS = 300  # for all processes to come together
PLAN_SECONDS = 3600  # process 0 may have to read many inputs to plan
GRACE_SECONDS = 600  # for the others to end a chunk when process 0 stops
_PLAN, _STOP, _DONE = "blindsr_jax/plan", "blindsr_jax/stop/", "blindsr_jax/done/"


class Peers(NamedTuple):
    """Where this process stands among those of a run."""

    index: int = 0
    count: int = 1

    @property
    def label(self) -> str:
        """What the lines of this process begin with."""
        return f"process {self.index}: " if self.count > 1 else ""

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items of this process."""
        return items[self.index :: self.count]


class JoinError(Exception):
    """The processes do not come together; the message is one sentence."""


class RefusedError(Exception):
    """Process 0 has refused to start; the message is its sentence."""


def _client() -> Any:
    """The key-value store; JAX has no public name for it."""
    from jax._src import distributed

    return distributed.global_state.client


def join(address: str | None = None, count: int | None = None, index: int | None = None) -> Peers:
    """Joins the other processes of the run, before anything is computed.

    Args:
      address: HOST:PORT where process 0 listens; with None for all three, JAX asks SLURM, the TPU pod or MPI.
      count: number of processes.
      index: of this process.

    Raises:
      JoinError: they do not come together.
    """
    if address is not None:
        _check(address, index)
    jax.config.update("jax_enable_recoverability", True)  # or the loss of one ends all
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from `Stopper`
    logging.getLogger("jax._src.distributed").setLevel(logging.WARNING)
    try:
        jax.distributed.initialize(
            address,
            count,
            index,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except ValueError as error:
        raise JoinError(
            "no cluster (SLURM, TPU pod, MPI) says which process this is, expected one, or --coordinator_address, "
            "--num_processes and --process_id"
        ) from error
    except RuntimeError as error:
        raise JoinError(f"the processes do not come together ({' '.join(str(error).split())[:200]})") from error
    return Peers(jax.process_index(), jax.process_count())


def _check(address: str, index: int) -> None:
    """Finds out whether the processes can come together, as JAX would abort where they cannot.

    Process 0 tries its port, the others wait until somebody listens there.
    """
    host, _, port = address.rpartition(":")
    host, end = host.strip("[]"), time.monotonic() + START_SECONDS
    while True:
        try:
            if index == 0:
                socket.create_server(("", int(port))).close()
            else:
                socket.create_connection((host, int(port)), timeout=5).close()
            return
        except (OSError, OverflowError, UnicodeError) as error:  # the last two for a port or a name that cannot be
            is_hopeless = index == 0 or not isinstance(error, OSError) or isinstance(error, socket.gaierror)
            if is_hopeless or time.monotonic() > end:
                reason = "cannot be listened at" if index == 0 else "does not answer"
                raise JoinError(
                    f"--coordinator_address={address} {reason} ({error}), expected HOST:PORT of a free port of the "
                    "machine of process 0"
                ) from error
            time.sleep(0.2)


def send_plan(peers: Peers, plan: Any) -> None:
    """Hands a plan (anything that JSON can hold) from process 0 to the others."""
    if peers.count > 1:
        _client().key_value_set(_PLAN, json.dumps({"plan": plan}))


def receive_plan(stopper: Stopper) -> Any:
    """The plan of process 0.

    Raises:
      RefusedError: it has refused to start.
      StoppedError: a signal has come.
    """
    end = time.monotonic() + PLAN_SECONDS
    while True:
        stopper.check()
        try:
            answer = json.loads(_client().blocking_key_value_get(_PLAN, 1000))
            break
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error) or time.monotonic() > end:
                raise RefusedError("process 0 has not said what to do") from error
    if "refusal" in answer:
        raise RefusedError(answer["refusal"])
    return answer["plan"]


def obey(peers: Peers, stopper: Stopper) -> None:
    """Stops this process as a signal would if process 0 has stopped; asked after each chunk."""
    if peers.index > 0 and _client().key_value_dir_get(_STOP):
        stopper.number = stopper.number or signal.SIGTERM


def tell_done(peers: Peers) -> None:
    """Says that this process has solved its share."""
    if peers.count > 1:
        _client().key_value_set(f"{_DONE}{peers.index}", "")


def wait(peers: Peers, stopper: Stopper) -> list[int]:
    """In process 0: waits until the others have ended, however they did.

    Returns:
      Those that have not finished their share.

    Raises:
      StoppedError: a signal has come.
    """
    _wait(peers, stopper.check)
    done = {int(key.removeprefix(_DONE)) for key, _ in _client().key_value_dir_get(_DONE)}
    return [index for index in range(1, peers.count) if index not in done]


def _wait(peers: Peers, check: Callable[[], None], limit: float = float("inf")) -> None:
    # It returns when every other process has ended or has been lost. In a thread, so that signals get through.
    listener = threading.Thread(target=_client().get_live_nodes, args=(list(range(peers.count)),), daemon=True)
    listener.start()
    end = time.monotonic() + limit
    while listener.is_alive() and time.monotonic() < end:
        check()
        listener.join(0.2)


@contextlib.contextmanager
def leading(peers: Peers) -> Iterator[None]:
    """Around what process 0 does: if it ends early, it has the others save their states and end, and waits for that."""
    try:
        yield
    except BaseException as error:
        if peers.index == 0 and peers.count > 1:
            _say(_STOP + "0", "")
            _say(_PLAN, json.dumps({"refusal": str(error)}))
            _wait(peers, lambda: None, GRACE_SECONDS)
        raise


def _say(key: str, value: str) -> None:
    """Sets a key that may have been set before."""
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        _client().key_value_set(key, value)
