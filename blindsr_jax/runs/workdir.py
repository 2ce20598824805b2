"""The working folder of a solve: what is written for one image, and its record after all the rest."""

import contextlib
import dataclasses
import errno
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from blindsr_jax import io
from blindsr_jax.imaging.problem import Belief, Result, Status
from blindsr_jax.runs import outputs, ownership, receipt
from blindsr_jax.runs.records import Record, read_record, record_path, write_record
from blindsr_jax.runs.signals import StoppedError

FOLDERS = (*outputs.ALWAYS, "records")
SOLVE = ownership.Layout(
    "solve",
    files=("config.json", "results.json", "results.csv", "index.html"),
    folders=(*outputs.KINDS, "records", ownership.STATE),
    is_ours=ownership.is_solve,
)
# With these, writing another image would fail as well.
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.EIO)


@contextlib.contextmanager
def writing(workdir: str) -> Iterator[None]:
    """Around writes: where none can succeed (a full disk), the run stops, rather than solve images for nothing.

    Raises:
      StoppedError: the disk is full or the folder cannot be written any more.
      OSError: another error, of one file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _HOPELESS:
            raise
        message = f"stopped: {workdir!r} cannot be written ({error.strerror}); what is finished is kept, "
        raise StoppedError(message + "the same command goes on from there", 1) from error


def write_result(
    workdir: str,
    record: Record,
    source: io.Image,
    result: Result,
    *,
    second_try: bool = False,
    rates: Sequence[str] = (),
    has_figure: bool = True,
) -> Record:
    """Writes what a solve found, with a sentence in the record unless all went well.

    Args:
      workdir: folder of the results.
      record: of the image.
      source: the LR image.
      result: what was found.
      second_try: whether this is that of a second try.
      rates: the learning rates that a config can set, see `methods.build.rate_options`.
      has_figure: whether one is drawn.

    Returns:
      The record that has been written.
    """
    sentence = result.status.sentence
    if result.status.has_image:
        record = dataclasses.replace(record, status=result.status).noted(sentence)
        return write_outputs(workdir, record, source, result, has_figure=has_figure)
    again = ", in a second try too" if second_try else ""
    advice = f", try a smaller {' or '.join(f'--config.{name}' for name in rates)}" if rates else ""
    return write_failure(workdir, record, sentence + again + advice, status=result.status)


def believed(belief: Belief) -> dict[str, Any]:
    """What a record says of what is known of a kernel; directions are counter-clockwise, as one sees an image."""
    width = [round(float(x), 4) for x in belief.width]
    center, low, high = map(float, np.rad2deg(belief.direction))
    center, reach = -center % 180, (high - low) / 2
    return {
        "confidence": round(float(belief.confidence), 4),
        "families": {name: round(float(share), 4) for name, share in belief.families.items()},
        "width_px": width[0],
        "width_px_80": width[1:],
        "direction_deg": round(center, 2),
        "direction_deg_80": [round(center - reach, 2), round(center + reach, 2)],
    }


def write_outputs(workdir: str, record: Record, source: io.Image, result: Result, *, has_figure: bool = True) -> Record:
    """Writes all files of an image and then its record, so that a record means that all the rest is there.

    The rest is on the disk itself before the record is written, and the record when this returns.

    Returns:
      The record that has been written.
    """
    std = None if result.uncertainty is None else np.asarray(result.uncertainty)
    kernels = None if result.kernel_map is None else np.asarray(result.kernel_map)
    image, kernel = np.asarray(result.image), np.asarray(result.kernel)
    belief = jax.tree.map(np.asarray, result.belief)
    result = result._replace(image=image, kernel=kernel, uncertainty=std, kernel_map=kernels, belief=belief)
    solved = outputs.Solved(record.name, record.scale, source, result, has_figure)
    promised, residual = outputs.write(workdir, solved), solved.residual
    mean = None if std is None else float(f"{std.mean():.6g}")
    known: dict[str, Any] = {} if belief is None else believed(belief)
    known["residual_rms_255"] = None if residual is None else round(receipt.rms(residual), 4)
    record = dataclasses.replace(record, outputs=promised, uncertainty=mean, **known)
    write_record(workdir, record)
    return record


def write_failure(workdir: str, record: Record, message: str, *, status: Status = Status.FAILED) -> Record:
    """Writes the record of an image without a result; what an earlier run left under its name goes away.

    Returns:
      The record that has been written, or that could not be.
    """
    record = dataclasses.replace(record, status=status, outputs=None).noted(message)
    try:
        with writing(workdir):
            if owns_outputs(workdir, record.name):
                outputs.remove(workdir, record.name)
            write_record(workdir, record)
    except OSError:  # a name that is too long, say: the record still stands in the list of all
        pass
    return record


def owns_outputs(workdir: str, name: str) -> bool:
    """Whether outputs of an image are ours: it is noted, or has a record, which of a failure promises none."""
    record = read_record(record_path(workdir, name))
    return ownership.is_noted(workdir, name) or (record is not None and record.status.has_image)
