"""One kernel for images that have one blur: their own estimates compared by what the spectra of all of them say.

Kernels of frames differ by the chance of each estimate. Their mean is a smear; the evidence of images adds up.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax import io
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import spectrum
from blindsr_jax.io import documents
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import Solver, min_lr_side
from blindsr_jax.runs import schemas
from blindsr_jax.runs.cli import say
from blindsr_jax.solvers import loop
from blindsr_jax.solvers.measured import make_problem

MOST_IMAGES = 32  # that are looked at, evenly spaced in the list


def earlier(folder: str, spec: Spec) -> np.ndarray | None:
    """The kernel (k, k) of the earlier run in a folder: new images are solved with it too. None: there is none."""
    document = documents.read(os.path.join(folder, "config.json"), schemas.RUN)
    values = np.asarray((document or {}).get(schemas.SHARED_KERNEL) or [])
    if values.dtype.kind != "f" or values.shape != (spec.kernel_size,) * 2 or not np.isfinite(values).all():
        return None
    return values.astype(np.float32)


def as_document(kernel: np.ndarray) -> dict[str, Any]:
    """What config.json says of a kernel (k, k), for `earlier` and for telling runs apart."""
    values = np.asarray(kernel, np.float32)
    return {
        schemas.SHARED_KERNEL: values.astype(float).tolist(),
        "kernel_sha256": hashlib.sha256(values.tobytes()).hexdigest(),
    }


def _read(path: os.PathLike, spec: Spec, estimator: Solver, white_level: float | None) -> Problem | None:
    """The problem of an image, or None for one that cannot be used: what ails it is said when it is solved."""
    try:
        source = io.fill_hidden(io.read_image(path, white_level=white_level))
    except (io.InputError, OSError):
        return None
    small = min(source.pixels.shape[:2]) < min_lr_side(spec, estimator)
    return None if small else make_problem(source.pixels, spec, estimator, jpeg_steps=source.jpeg_steps)


def _own_kernel(problem: Problem, estimator: Solver) -> jax.Array:
    key = jax.random.key(0)  # estimators of one step draw nothing
    state = loop.start(key, problem, None, estimator.arrays, solver=estimator)
    return loop.run_chunk(key, state, problem, jnp.int32(0), estimator.arrays, solver=estimator, length=1)[0].kernel


_log_prior = jax.jit(spectrum.log_prior)


def choose(kernels: jax.Array, problems: Sequence[Problem]) -> jax.Array:
    """The mean of candidates (n, k, k) under the evidence of all images, (k, k)."""
    evidence = sum(_log_prior(kernels, problem) for problem in problems)
    return jnp.einsum("l,lij->ij", jax.nn.softmax(evidence), kernels, precision="highest")


def estimate(paths: Sequence[os.PathLike], config: Any, spec: Spec, *, white_level: float | None = None) -> np.ndarray:
    """One kernel for several images, (k, k).

    Args:
      paths: files of images; of many, MOST_IMAGES are looked at.
      config: whose estimator gives the candidates.
      spec: the static part of their problems.
      white_level: see `io.read_image`.

    Raises:
      ValueError: the config has no estimator of one step, or no image can be used.
    """
    estimator = build.build_estimator(config, spec)
    places = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), MOST_IMAGES)).round().astype(int))
    read = (_read(paths[i], spec, estimator, white_level) for i in places)
    problems = [problem for problem in read if problem is not None]
    if not problems:
        raise ValueError("--shared_kernel: no image can be read and is large enough, one at least was expected")
    say(f"one kernel for all images, from {len(problems)} of them")
    own = jnp.stack([_own_kernel(problem, estimator) for problem in problems])
    candidates = jnp.concatenate([own, jnp.mean(own, 0, keepdims=True)])
    return np.asarray(choose(candidates, problems))
