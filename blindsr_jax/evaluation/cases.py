"""Cases: an LR image with its truth, in a folder with lr.png, hr.png and kernel.npy or kernel.mat."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from blindsr_jax import io


class Case(NamedTuple):
    """One LR image and its truth."""

    name: str
    lr: np.ndarray  # (h, w, c) in [0, 1]
    hr: np.ndarray  # (s h, s w, c)
    kernel: np.ndarray  # (k, k)
    scale: int


def read_case(folder: Path) -> Case:
    """Reads a case; the scale is the ratio of the sizes.

    Raises:
      InputError: a file is missing or bad, or the sizes do not fit each other.
    """
    lr, hr = (np.asarray(io.read_image(folder / f"{name}.png").pixels) for name in ("lr", "hr"))
    kernel = next((folder / name for name in ("kernel.npy", "kernel.mat") if (folder / name).is_file()), None)
    if kernel is None:
        raise io.InputError(f"{str(folder)!r} has no kernel, kernel.npy or kernel.mat was expected")
    scale = hr.shape[0] // lr.shape[0]
    if hr.shape != (scale * lr.shape[0], scale * lr.shape[1], lr.shape[2]):
        raise io.InputError(f"{str(folder)!r}: hr.png {hr.shape} is no whole multiple of lr.png {lr.shape}")
    return Case(folder.name, lr, hr, io.read_kernel(kernel), scale)


def read_cases(root: str | os.PathLike) -> list[Case]:
    """All cases of a folder, sorted by name.

    Raises:
      InputError: there is none, or one is bad.
    """
    folders = sorted(p.parent for p in Path(root).glob("*/lr.png"))
    if not folders:
        raise io.InputError(f"{str(root)!r} holds no case, expected folders with lr.png, hr.png and kernel.mat")
    return [read_case(folder) for folder in folders]
