"""A first look at an image, without a solve: compression, noise, clipping, and whether and how it is blurred."""

import functools
import os
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax import io
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.imaging.tiling import cut
from blindsr_jax.inference import corruption_level, validity
from blindsr_jax.inference.blur_evidence import UNEVEN, Blur, judge, unevenness
from blindsr_jax.inference.windows import information
from blindsr_jax.io import documents
from blindsr_jax.kernels import geometry
from blindsr_jax.runs import cli, ownership
from blindsr_jax.weights import kenet

SIDE, NUMBER = 96, 16  # of the windows that the network sees
NEARLY_NONE = "impulse"  # the family of kernels that are nearly points
LONG = 1.4  # ratio of the two widths of a kernel from which it has a direction
SMALLEST = 24  # side of an image in pixels, below which nothing is said of its blur


class Look(NamedTuple):
    """What was seen."""

    name: str
    width: int
    height: int
    channels: int
    bits: int
    jpeg_quality: int | None  # of the file or of the pixels; None: no compression shows
    noise_std: float | None  # of one colour, in 1/255; None: too little tells
    gray_noise_std: float | None  # of the mean of the colours, in 1/255
    clipped: float  # share of the pixels at black or white
    stuck: int  # number of pixels that lie alone, far from their neighbours
    frame: tuple[int, int, int, int]  # rows and columns of one colour around the picture: top, right, bottom, left
    blur: str  # 'found', 'none', 'impossible' or 'unseen', see `inference.blur_evidence.Blur`
    blur_width: float | None  # standard deviation of the kernel along an axis, in pixels of the image
    direction: float | None  # degrees from the row axis towards the lower edge, of a kernel that is long
    varies: bool | None  # whether windows disagree on the width
    family: str | None  # of kernels, the most probable one
    advice: str


@functools.cache
def _trained() -> kenet.Trained:
    return kenet.load("wide", 1)


@jax.jit
def _see(params: Any, windows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The kernels of windows, and the probabilities of families."""
    prediction = _trained().network().apply(params, windows)
    return prediction.kernel, jnp.mean(jax.nn.softmax(prediction.category_logits), 0)


def _windows(pixels: np.ndarray) -> np.ndarray:
    """The windows (NUMBER, a, b, 3) that show most; where there are fewer, some of them twice: one program for all."""
    colours = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    found = cut(colours, SIDE)
    padded = found[np.resize(np.arange(len(found)), -(-len(found) // NUMBER) * NUMBER)]
    parts = [np.asarray(information(padded[i : i + NUMBER])) for i in range(0, len(padded), NUMBER)]
    scores = np.concatenate(parts)[: len(found)]
    return found[np.resize(np.argsort(-scores)[:NUMBER], NUMBER)]


def _direction(kernel: np.ndarray) -> float | None:
    """Angle in degrees, 0 to 180, of the long axis of a kernel; None where it has none."""
    values, vectors = np.linalg.eigh(np.asarray(geometry.covariance(jnp.asarray(kernel))))
    if not values[1] > LONG**2 * max(values[0], 1e-3):
        return None
    down, across = vectors[:, 1]
    return float(np.degrees(np.arctan2(down, across)) % 180)


def _advice(blur: Blur, varies: bool | None, told: float) -> str:
    if blur is Blur.FOUND:
        return "solve it with configs/photo.py" + (", in parts: its blur varies" if varies else "")
    if blur is Blur.NONE:
        return "it is not blurred" + ("; it is noisy or compressed" if told > 2 / 255 else "")
    return "a blur cannot be told from this image"


def look(name: str, image: io.Image) -> Look:
    """Looks at one image.

    Args:
      name: of the file.
      image: as `io.read_image` gives it.
    """
    pixels = np.asarray(image.pixels, np.float32)
    h, w, c = pixels.shape
    measured = corruption_level.measure(pixels, jpeg_steps=image.jpeg_steps)
    noise, found = measured.noise, validity.measure(pixels)
    seen: dict[str, Any] = dict.fromkeys(("blur_width", "direction", "varies", "family"))
    blur = Blur.UNSEEN
    if min(h, w) >= SMALLEST:
        trained = _trained()
        kernels, probabilities = jax.device_get(_see(trained.params, _windows(pixels)))
        mean = kernels.mean(0) / kernels.mean(0).sum()
        spec = make_spec(scale=1, kernel_size=len(mean))
        blur = Blur(int(judge(jnp.asarray(pixels), jnp.asarray(mean), spec, measured.noise_std).verdict))
        family = trained.families[int(np.argmax(probabilities))]
        if blur is Blur.FOUND and family == NEARLY_NONE:
            blur = Blur.NONE
        if blur is Blur.FOUND:
            seen["blur_width"], seen["direction"] = _width(mean), _direction(mean)
            seen["varies"] = bool(unevenness(jnp.asarray(kernels)) > UNEVEN)
            seen["family"] = family
    return Look(
        name=name,
        width=w,
        height=h,
        channels=c + (image.alpha is not None),
        bits=image.bits,
        jpeg_quality=measured.jpeg_quality,
        noise_std=None if noise is None else round(255 * noise.std, 3),
        gray_noise_std=None if noise is None else round(255 * noise.gray_std, 3),
        stuck=int(found.stuck.any(-1).sum()),
        frame=found.frame,
        clipped=round(float(np.mean(((pixels <= 0) | (pixels >= 1)).any(-1))), 5),
        blur=blur.name.lower(),
        advice=_advice(blur, seen["varies"], measured.noise_std),
        **seen,
    )


def _width(kernel: np.ndarray) -> float:
    """Standard deviation of a kernel along an axis, the root of the mean of both axes."""
    return round(float(np.sqrt(np.trace(np.asarray(geometry.covariance(jnp.asarray(kernel)))) / 2)), 3)


def table(looks: list[Look]) -> str:
    """The looks as lines of a table for a terminal."""
    heads = ("name", "size", "bits", "jpeg", "noise", "clipped", "blur", "width", "direction")
    rows = [heads]
    for x in looks:
        texts = (
            x.name,
            f"{x.width}x{x.height}x{x.channels}",
            str(x.bits),
            "-" if x.jpeg_quality is None else str(x.jpeg_quality),
            "?" if x.noise_std is None else f"{x.noise_std:.1f}",
            f"{100 * x.clipped:.1f} %",
            x.blur + (", varies" if x.varies else ""),
            "-" if x.blur_width is None else f"{x.blur_width:.1f} px",
            "-" if x.direction is None else f"{x.direction:.0f} deg",
        )
        rows.append(texts)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(text.ljust(n) for text, n in zip(row, widths, strict=True)).rstrip() for row in rows)


def is_looks(path: str) -> bool:
    """Whether a file is a list of looks as JSON."""
    rows = documents.read(path, documents.anything, limit=documents.LIST_BYTES)
    return isinstance(rows, list) and all(isinstance(x, dict) and {"name", "blur", "advice"} <= x.keys() for x in rows)


def run(pattern: str, json_path: str | None) -> int:
    """Looks at images and prints a table; those that cannot be read are named on stderr, and the others looked at.

    Args:
      pattern: image, folder or glob.
      json_path: file for the looks, or None.

    Returns:
      The exit code.

    Raises:
      UsageError: there are no images.
      NotOursError: the file is an image of the input, or of another kind.
    """
    with cli.usage_errors(ValueError):
        paths = io.find_inputs(pattern)
    if json_path is not None:
        kind = "a list of an earlier inspection"
        ownership.check_file(json_path, flag="json", kind=kind, is_ours=is_looks, inputs=paths)
    looks, failed = [], 0
    for path in paths:
        try:
            looks.append(look(os.path.basename(path), io.read_image(path)))
        except Exception as error:  # one bad image must not stop the others
            failed += 1
            print(f"inspect.py: {cli.failure(path, error)}", file=sys.stderr)
    if looks:
        print("\n".join(map(cli.printable, table(looks).split("\n"))))
    for x in looks:
        print(f"{cli.printable(x.name)}: {x.advice}")
    if json_path is not None:
        io.write_json(json_path, [x._asdict() for x in looks])
    return cli.SOME_FAILED if failed else cli.OK
