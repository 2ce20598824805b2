"""Parity vectors made with independent code. Call `load` in tests and fixtures, not when a module is imported."""

import os
import pathlib

import numpy as np
import pytest

_DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "shared" / "golden"


def load(name: str) -> dict[str, np.ndarray]:
    """Arrays of NAME.npz from $BLINDSR_GOLDEN (or the default folder); skips where absent, but fails under CI."""
    folder = pathlib.Path(os.environ.get("BLINDSR_GOLDEN") or _DEFAULT)
    path = folder / f"{name.removesuffix('.npz')}.npz"
    if not path.is_file():
        reason = f"no parity vectors {path.name}: set BLINDSR_GOLDEN to their folder"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with np.load(path) as archive:
        return dict(archive)
