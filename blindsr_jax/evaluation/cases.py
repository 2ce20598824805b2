"""Cases: an LR image with its truth, in one of three layouts of folders.

- a folder per case, with lr.png, hr.png and kernel.npy or kernel.mat (launch/make_cases.py);
- a set with hr/, lr/ and kernels/, files matched by their stem (launch/degrade.py);
- a set of the FKP and DKP releases, with HR/, MODEL_lr_xS/ and MODEL_gt_k_xS/, such as DIPDKP_lr_x4/.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from blindsr_jax import io

_KERNELS = (".npy", ".mat")
_RELEASED = re.compile(r"(\w+)_lr_x([1-8])")


class Case(NamedTuple):
    """One LR image and its truth."""

    name: str
    lr: np.ndarray  # (h, w, c) in [0, 1]
    hr: np.ndarray  # (s h, s w, c)
    kernel: np.ndarray  # (k, k)
    scale: int


def _kernel_path(stem: Path) -> Path:
    """The file of a kernel without its suffix; raises InputError where there is none."""
    found = next((path for path in (stem.with_name(stem.name + end) for end in _KERNELS) if path.is_file()), None)
    if found is None:
        raise io.InputError(f"{str(stem.parent)!r} has no kernel, {stem.name}.npy or {stem.name}.mat was expected")
    return found


def _read(name: str, lr_path: Path, hr_path: Path, kernel: Path, *, scale: int | None = None) -> Case:
    """Reads a case; the HR image is cut to multiples of the scale where that is given, and else says the scale."""
    lr, hr = (np.asarray(io.read_image(path).pixels) for path in (lr_path, hr_path))
    if scale is not None:
        hr = hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]
    ratio = hr.shape[0] // lr.shape[0]
    if hr.shape != (ratio * lr.shape[0], ratio * lr.shape[1], lr.shape[2]) or scale not in (None, ratio):
        raise io.InputError(f"{str(hr_path)!r} {hr.shape} is no whole multiple of {str(lr_path)!r} {lr.shape}")
    return Case(name, lr, hr, io.read_kernel(kernel), ratio)


def read_case(folder: Path) -> Case:
    """Reads a case in a folder of its own; the scale is the ratio of the sizes.

    Raises:
      InputError: a file is missing or bad, or the sizes do not fit each other.
    """
    return _read(folder.name, folder / "lr.png", folder / "hr.png", _kernel_path(folder / "kernel"))


def read_set(folder: Path) -> list[Case]:
    """The cases of a folder of launch/degrade.py, sorted by name; raises InputError as `read_case` does."""
    paths = sorted((folder / "lr").glob("*.png"))
    return [_read(p.stem, p, folder / "hr" / p.name, _kernel_path(folder / "kernels" / p.stem)) for p in paths]


def read_released(folder: Path) -> list[Case]:
    """The cases of a set in the layout of the releases, of all its models and scales, as STEM_xS_MODEL.

    Raises:
      InputError: a file is missing or bad, or the sizes do not fit each other.
    """
    found = []
    for place in sorted(folder.iterdir()):
        if (match := _RELEASED.fullmatch(place.name)) is not None and place.is_dir():
            model, scale = match[1], int(match[2])
            kernels = folder / f"{model}_gt_k_x{scale}"
            for lr in sorted(place.glob("*.png")):
                name = f"{lr.stem}_x{scale}_{model}"
                found.append(_read(name, lr, folder / "HR" / lr.name, _kernel_path(kernels / lr.stem), scale=scale))
    return found


def read_cases(root: str | os.PathLike) -> list[Case]:
    """All cases of a folder in any of the layouts, sorted by name.

    Raises:
      InputError: there is none, or one is bad.
    """
    root = Path(root)
    if (root / "lr").is_dir() and (root / "hr").is_dir():
        found = read_set(root)
    elif (root / "HR").is_dir():
        found = read_released(root)
    else:
        found = [read_case(folder) for folder in sorted(p.parent for p in root.glob("*/lr.png"))]
    if not found:
        raise io.InputError(
            f"{str(root)!r} holds no case, expected folders with lr.png, hr.png and kernel.mat; or hr, lr and kernels; "
            "or HR, DIPDKP_lr_x4 and DIPDKP_gt_k_x4 as in the releases"
        )
    return found
