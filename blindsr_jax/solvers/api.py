"""One call from an image in memory to a result: `solve_image` and `solve_images`."""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from blindsr_jax.config import check_config, load_method, set_values
from blindsr_jax.imaging.problem import Result, Spec, least_kernel_size
from blindsr_jax.kernels import geometry
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import Solver, min_lr_side
from blindsr_jax.solvers.loop import solve
from blindsr_jax.solvers.measured import make_problem

DEFAULT_METHOD = "dip_dkp_fast"


def _configured(method: str | ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
    config = load_method(method) if isinstance(method, str) else method.copy_and_resolve_references()
    set_values(config, overrides)
    check_config(config)
    return config


@functools.lru_cache(maxsize=16)
def _prepared(text: str, scale: int) -> tuple[Spec, Solver]:
    """Spec and solver of a config (as JSON): one solver per config, so that its programs are compiled once."""
    config = ConfigDict(json.loads(text))
    spec = build.build_spec(config, scale)
    return spec, build.build_solver(config, spec)


def _as_image(lr: Any) -> tuple[jax.Array, bool]:
    """An LR image as float32 (h, w, c), and whether it came as (h, w)."""
    pixels = np.asarray(lr)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] not in (1, 3)) or 0 in pixels.shape:
        raise ValueError(f"lr has the shape {pixels.shape}, expected (h, w), (h, w, 1) or (h, w, 3)")
    if pixels.dtype.kind != "f":
        raise ValueError(f"lr has values of type {pixels.dtype}, expected floats in [0, 1]: divide uint8 by 255")
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
        raise ValueError("lr has values outside [0, 1] or that are not finite, expected floats in [0, 1]")
    is_flat = pixels.ndim == 2
    return jnp.asarray(pixels[..., None] if is_flat else pixels, jnp.float32), is_flat


def solve_images(
    images: Sequence[Any],
    *,
    scale: int,
    method: str | ConfigDict = DEFAULT_METHOD,
    seed: int = 0,
    kernel: Any = None,
    overrides: Mapping[str, Any] | None = None,
) -> list[Result]:
    """Estimates the kernel and the sharp image of each of several LR images, one after another.

    Images of one shape share their compiled programs. Result i depends on the seed, i and its image alone.

    Args:
      images: LR images, floats (h, w), (h, w, 1) or (h, w, 3) in [0, 1].
      scale: enlargement, 1 to 8.
      method: a file of configs/ by name ('dip_dkp', 'pipeline:kenet+usrnet'), the path of a config file, or a config.
      seed: of all random numbers, 0 or above.
      kernel: a known kernel (k, k) of odd size, cross-correlation convention, centred as the config's `kernel_center`
        says; the image alone is solved for.
      overrides: values of the config by dotted name, such as {"num_steps": 100, "image.channels": 16}.

    Returns:
      One `Result` per image: `image` (scale h, scale w, c), or (scale h, scale w) where the LR image was (h, w),
      `kernel` (k, k), `status` ('ok', 'recovered' or 'diverged'), `trace`.

    Raises:
      ValueError: an unknown method or config value, or an image or kernel of another kind.
    """
    config = _configured(method, overrides or {})
    if kernel is not None:
        kernel = np.asarray(kernel, np.float32)
        if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not kernel.sum() > 0:
            raise ValueError(f"kernel has the shape {kernel.shape}, expected (k, k) with a sum above 0")
        build.give_kernel(config)
        if kernel.shape[0] % 2 and scale in range(1, 9):  # what else there is, is refused below
            kernel = geometry.resize(kernel, max(kernel.shape[0], least_kernel_size(scale, config.boundary)))
        config.kernel_size = kernel.shape[0]
        kernel = jnp.asarray(kernel / kernel.sum())
    spec, solver = _prepared(config.to_json(sort_keys=True), scale)
    results = []
    for i, lr in enumerate(images):
        pixels, is_flat = _as_image(lr)
        least = min_lr_side(spec, solver)
        if min(pixels.shape[:2]) < least:
            raise ValueError(f"lr has the shape {np.shape(lr)}, expected sides of at least {least} pixels")
        key = jax.random.fold_in(jax.random.key(seed), i)
        result = solve(key, make_problem(pixels, spec, solver), solver, kernel=kernel)
        results.append(result._replace(image=result.image[..., 0]) if is_flat else result)
    return results


def solve_image(lr: Any, *, scale: int, **options: Any) -> Result:
    """Estimates the kernel and the sharp image of one LR image; `solve_images` says what the options are.

    Raises:
      ValueError: an unknown method or config value, or an image or kernel of another kind.
    """
    return solve_images([lr], scale=scale, **options)[0]
