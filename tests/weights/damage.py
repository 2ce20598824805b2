"""Weights with other arrays or other metadata than they were written with, their checksum taken again."""

import json

import numpy as np

from blindsr_jax.weights import archive


def change(path, *, architecture=None, metadata=None, **arrays):
    """Changes a file of weights.

    Args:
      path: of the file.
      architecture: entries of it to change; None as a value removes one.
      metadata: likewise; a string takes the place of all.
      arrays: by name, None removes one.
    """
    with np.load(path) as file:
        found = {**file, **arrays}
    said = json.loads(str(found.pop(archive.METADATA)))
    found = {name: x for name, x in found.items() if x is not None}
    objects = any(x.dtype == object for x in found.values())
    said["sha256"] = "" if objects else archive.digest(found)
    said["architecture"] = _without_none(said["architecture"] | (architecture or {}))
    text = metadata if isinstance(metadata, str) else json.dumps(_without_none(said | (metadata or {})))
    np.savez(path, **{archive.METADATA: np.asarray(text)}, **found)
    return path


def _without_none(values):
    return {name: x for name, x in values.items() if x is not None}
