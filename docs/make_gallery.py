"""Makes the pictures of docs/gallery.md from parts of scikit-image's photographs, solved by `launch/solve.py`.

    python docs/make_gallery.py out/gallery     # then its strips replace docs/gallery/*.jpg

A strip is the input enlarged by bicubic, the result of `configs/photo.py`, and the kernel that was found.
"""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import jax
import numpy as np
import PIL.Image
import skimage.data

from blindsr_jax import io
from blindsr_jax.evaluation import metrics
from blindsr_jax.imaging import synthetic
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.kernels.family import load_family
from blindsr_jax.runs.records import require_records

ROOT = Path(__file__).resolve().parents[1]
SIDE = 160  # of an input, pixels
# Name: picture, corner of the part (rows, columns), scale.
AS_THEY_ARE = {
    "coffee": ("coffee", (110, 330), 2),
    "cat": ("chelsea", (40, 100), 2),
    "rocket": ("rocket", (120, 240), 2),
    "retina": ("retina", (560, 40), 2),
    "camera": ("camera", (60, 190), 2),
    "text": ("text", (6, 60), 2),
    "stars": ("hubble_deep_field", (80, 80), 2),
    "clock": ("clock", (70, 120), 1),
}
# Name: picture, corner of the part, family of the kernel, seed, JPEG quality (None: none). The input is half as large.
MADE_WORSE = {
    "astronaut_jpeg": ("astronaut", (0, 90), "gaussian", 1, 40),
    "cat_shake": ("chelsea", (0, 60), "trajectory", 3, None),
}


def picture(name: str) -> np.ndarray:
    """A picture of scikit-image: (H, W, 1 or 3) in [0, 1]."""
    pixels = getattr(skimage.data, name)()
    return (pixels if pixels.ndim == 3 else pixels[..., None])[..., :3].astype(np.float32) / 255


def part(pixels: np.ndarray, corner: tuple[int, int], side: int) -> np.ndarray:
    """A square of a picture."""
    top, left = corner
    return pixels[top : top + side, left : left + side]


def make_inputs(folder: Path) -> dict[str, tuple[int, np.ndarray | None]]:
    """Writes the inputs; name to scale and truth, where there is one."""
    found: dict[str, tuple[int, np.ndarray | None]] = {}
    for scale in (1, 2):
        (folder / f"x{scale}").mkdir(parents=True, exist_ok=True)
    for name, (source, corner, scale) in AS_THEY_ARE.items():
        io.write_image(folder / f"x{scale}" / f"{name}.png", io.Image(part(picture(source), corner, SIDE)))
        found[name] = scale, None
    spec = make_spec(scale=2)
    for name, (source, corner, family, seed, quality) in MADE_WORSE.items():
        hr, canvas = synthetic.crop_to_grid(part(picture(source), corner, 2 * 120 + spec.kernel_size - 2), spec)
        kernels = load_family(family, scale=2)
        kernel = kernels.render(kernels.sample(jax.random.key(seed)))
        lr = np.asarray(synthetic.make_lr(canvas, kernel, spec, noise_key=jax.random.key(seed), noise_std=0.0))
        if quality is None:
            io.write_image(folder / "x2" / f"{name}.png", io.Image(lr))
        else:
            levels = np.rint(255 * lr).astype(np.uint8)
            PIL.Image.fromarray(levels).save(folder / "x2" / f"{name}.jpg", quality=quality)
        found[name] = 2, hr
    return found


def strip(workdir: Path, name: str) -> bytes:
    """Input, result and kernel side by side, as a JPEG."""
    images = [PIL.Image.open(workdir / kind / f"{name}.png").convert("RGB") for kind in ("inputs", "images")]
    width, height = images[0].size
    if width < 2 * SIDE:  # pixels of small ones are shown larger, as they are
        images = [image.resize((2 * width, 2 * height), PIL.Image.Resampling.NEAREST) for image in images]
        width, height = images[0].size
    kernel = PIL.Image.open(workdir / "kernels" / f"{name}.png").convert("RGB")
    kernel = kernel.resize((120, 120), PIL.Image.Resampling.NEAREST)
    whole = PIL.Image.new("RGB", (2 * width + 136, height), "white")
    for image, left in zip((*images, kernel), (0, width + 8, 2 * width + 16), strict=True):
        whole.paste(image, (left, 0))
    data = BytesIO()
    whole.save(data, "JPEG", quality=85)
    return data.getvalue()


def main() -> None:
    """Solves, writes the strips, and says what was found."""
    folder = Path(sys.argv[1])
    inputs, strips = make_inputs(folder / "inputs"), folder / "strips"
    strips.mkdir(exist_ok=True)
    for scale in (1, 2):
        workdir = folder / f"solved_x{scale}"
        words = ["launch/solve.py", "--config=configs/photo.py", f"--input={folder}/inputs/x{scale}/*"]
        subprocess.run([sys.executable, *words, f"--scale={scale}", f"--workdir={workdir}"], cwd=ROOT, check=True)
        for record in require_records(workdir):
            (strips / f"{record.name}.jpg").write_bytes(strip(workdir, record.name))
            truth, words = inputs[record.name][1], ""
            if truth is not None:
                pair = [io.read_image(workdir / kind / f"{record.name}.png").pixels for kind in ("inputs", "images")]
                scores = [metrics.psnr_y(np.float64(image), np.float64(truth), border=2) for image in pair]
                words = f"PSNR-Y {scores[0]:.2f} -> {scores[1]:.2f} dB"
            size = os.path.getsize(strips / f"{record.name}.jpg")
            print(record.name, record.status, f"{record.seconds:.1f} s", record.message or "", words, f"{size} bytes")


if __name__ == "__main__":
    main()
