"""Values of samples: from the numbers of a file to [0, 1], by their type or by the value that means white."""

import os

import numpy as np

from blindsr_jax.io.files import refuse

FLAG = "--white_level"
_DEPTHS = (8, 10, 12, 14)  # of cameras and microscopes, whose numbers stand in files of 16 bits


def full_range(dtype: np.dtype) -> int | None:
    """The sample that means white by its type; None where that says nothing, as for integers of 32 bits and more."""
    if dtype.kind == "f":
        return 1
    return np.iinfo(dtype).max if dtype.itemsize <= 2 else None


def _dark_note(samples: np.ndarray, white: int) -> tuple[str, ...]:
    """What to say where the numbers of a file with 16 bits seem to have fewer."""
    if samples.dtype.kind == "f" or white <= 255 or samples.max() > white // 4:
        return ()
    level = min(2**bits - 1 for bits in _DEPTHS if 2**bits > samples.max())
    return (f"its largest value is {samples.max()} of {white}: if its range ends at {level}, pass {FLAG}={level}",)


def _check(path, samples: np.ndarray, white_level: float | None) -> float:
    """The value of white; refuses numbers that cannot be placed."""
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise refuse(path, "it contains NaN or infinite values, finite ones in [0, 1] were expected")
    if white_level is not None:
        return white_level
    white = full_range(samples.dtype)
    low, high = str(samples.min()), str(samples.max())  # with the digits that tell them from others of their type
    if white is None:
        found = f"its values of type {samples.dtype.name} are from {low} to {high} and do not say what is white"
        raise refuse(path, f"{found}, {FLAG}=NUMBER was expected with it")
    if samples.min() < 0 or samples.max() > white:
        wanted = f"{'floats' if white == 1 else 'integers'} in [0, {white}] were expected, or {FLAG}=NUMBER with them"
        raise refuse(path, f"it has values from {low} to {high}, {wanted}")
    return white


def _alpha_range(alpha: np.ndarray, white: float) -> float:
    """What is opaque: 1, white or the end of the type's range, the smallest that holds all values."""
    ends = [1.0 if alpha.dtype.kind == "f" else white, white, full_range(alpha.dtype) or white]
    return min((end for end in ends if end >= alpha.max()), default=float(alpha.max()))


def normalize(
    path: str | os.PathLike, samples: np.ndarray, *, white_level: float | None = None, is_negative: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Divides samples by what is white: 1 for floats, 255 or 65535 and so on for integers.

    Args:
      path: file, for messages.
      samples: (H, W, 1 to 4) of floats or integers; with 2 or 4 channels the last one is alpha.
      white_level: the value of white, above 0, for files whose type does not say it; values beyond 0 and white are
        clipped then.
      is_negative: whether 0 is white and the end of the range black.

    Returns:
      (values, notes): (H, W, 1 to 4) float32 in [0, 1]; what a person should know.

    Raises:
      InputError: values that are not finite or out of range, or a type that says nothing of the range.
    """
    has_alpha = samples.shape[-1] in (2, 4)
    colours = samples[..., :-1] if has_alpha else samples
    white = _check(path, colours, white_level)
    notes = _dark_note(colours, white) if white_level is None else ()
    out = np.mean((colours < 0) | (colours > white)) if white_level is not None else 0
    if out:
        notes = (f"{100 * out:.2g} % of its values are beyond 0 and {FLAG}={white:g} and were clipped",)
        colours = np.clip(colours, 0, white)
    values = np.ascontiguousarray(colours, np.float32) / np.float32(white)
    values = 1 - values if is_negative else values
    if has_alpha:
        alpha = samples[..., -1:]
        _check(path, alpha, _alpha_range(alpha, white))
        alpha = np.clip(alpha.astype(np.float32) / np.float32(_alpha_range(alpha, white)), 0, 1)
        values = np.concatenate([values, alpha], -1)
    return values, notes
