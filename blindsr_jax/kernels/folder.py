"""Kernels of a folder: a finite set, all equally probable. Files are read by `blindsr_jax.io`."""

import os
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax import io
from blindsr_jax.config import rules
from blindsr_jax.kernels import geometry, placement
from blindsr_jax.kernels.family import KernelFamily, cached, check_draws

SUFFIXES = (".npy", ".mat")
_MOST_LOST = 0.05  # share of a kernel that may fall outside the window


class FolderLatent(NamedTuple):
    """Which kernel, in the order of the names of the files."""

    index: jax.Array  # () integer


def options(family_name: str, path: str | None) -> dict[str, str | None]:
    """The options of a family by its name and the flag --kernels; raises ValueError where the flag is of no use."""
    if family_name == "folder":
        return {"path": path}
    if path is not None:
        raise ValueError(f"--kernels={path} is of no use, expected --family=folder beside it")
    return {}


def read_kernels(path: str | os.PathLike, *, kernel_size: int, center: float) -> np.ndarray:
    """The kernels of a folder or a pattern, moved to a centre: (n, k, k) float32, not negative, sums 1.

    Args:
      path: a folder, whose .npy and .mat files are taken, or a pattern of files.
      kernel_size: k; larger kernels are cropped, smaller ones padded.
      center: of mass on both axes, pixels.

    Raises:
      InputError: there is none, or one is bad or does not fit into the window.
    """
    if os.path.isdir(path):
        files = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.lower().endswith(SUFFIXES)]
    else:
        files = list(map(os.fspath, io.find_inputs(path)))
    if not files:
        raise io.InputError(f"{os.fspath(path)!r} holds no kernels, files {' or '.join(SUFFIXES)} were expected")
    check_draws(f"the number of files of {os.fspath(path)!r}", len(files), kernel_size)
    found = []
    for file in files:
        kernel = jnp.asarray(io.read_kernel(file), jnp.float32)
        lost = placement.fit(kernel, center=center, size=kernel_size)[1]
        if float(lost) > _MOST_LOST:
            raise io.InputError(
                f"{file!r}: {100 * float(lost):.0f} % of the kernel lie outside {kernel_size} x {kernel_size} pixels, "
                f"at most {100 * _MOST_LOST:.0f} % were expected"
            )
        found.append(np.asarray(placement.place(kernel, center, kernel_size)))
    return np.stack(found)


@cached
def family(
    *,
    scale: int,
    kernel_size: int | None = None,
    kernel_center: str = "release",
    path: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
) -> KernelFamily:
    """The kernels of a folder; wherever a file has its centre, here it is that of the convention.

    Args:
      scale: s.
      kernel_size: odd k, None for `geometry.default_kernel_size`.
      kernel_center: 'release' or 'aligned'.
      path: a folder of .npy and .mat files, or a pattern.

    Raises:
      ValueError: no path, an even size, an unknown centre, or files that are no kernels.
    """
    window = geometry.window(scale, kernel_size, kernel_center)
    if path is None:
        raise ValueError("the kernel family 'folder' has no path, expected config.prior.folder.path or --kernels")
    try:
        kernels = read_kernels(path, kernel_size=window.size, center=window.center)
    except io.InputError as error:
        raise ValueError(str(error)) from error

    def sample(key):
        return FolderLatent(jax.random.randint(key, (), 0, len(kernels)))

    def render(latent):
        return jnp.asarray(kernels, jnp.result_type(float))[latent.index]

    def log_prior(latent):
        inside = (latent.index >= 0) & (latent.index < len(kernels))
        return jnp.where(inside, -jnp.log(jnp.asarray(len(kernels), jnp.result_type(float))), -jnp.inf)

    return KernelFamily("folder", sample, render, log_prior)
