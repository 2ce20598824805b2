"""What the images of a run share, and one image of it that has been read."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blindsr_jax import io
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.runs import distributed
from blindsr_jax.runs.compile_clock import CompileClock
from blindsr_jax.runs.records import Record
from blindsr_jax.runs.signals import Stopper
from blindsr_jax.solvers.loop import Attempt


class Run(NamedTuple):
    """What all images of a run share."""

    name: str  # of the config
    config: Any
    spec: Spec
    solver: Solver
    kernel: np.ndarray | None  # (k, k)
    folder: str
    seed: int
    group_size: int | None  # None: as many as memory holds, and one on a CPU
    checkpoint_seconds: float
    memory_check: bool
    memory_gb: float | None  # that the run may take; None: a share of what is free
    white_level: float | None  # the value of white in the files; None: as their types say
    kernel_notes: tuple[str, ...]  # what was done to the known kernel
    stopper: Stopper
    clock: CompileClock
    figures: bool = True  # whether one is drawn of each image
    peers: distributed.Peers = distributed.Peers()

    def steps(self, lr_shape: tuple[int, ...]) -> dict[str, int]:
        """How long a solve of an LR image (h, w, c) and its chunks are."""
        num_steps = self.solver.steps(self.config.num_steps, lr_shape=lr_shape)
        return {"num_steps": num_steps, "chunk_steps": self.config.chunk_steps}


class ImageTask(NamedTuple):
    """An image that has been read: where it is from, what is known and written of it, and what is to be solved."""

    path: Path
    label: str  # what its lines begin with
    record: Record  # so far; it has the name of the image, and the digest of the bytes that were read
    source: io.Image
    attempt: Attempt
    seconds: float = 0.0  # spent so far, without compiling

    @property
    def name(self) -> str:
        """The name of the image and of its results."""
        return self.record.name
