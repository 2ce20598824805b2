r"""A long run in one process, watched from outside: whether memory and time per image stay what they are.

PYTHONPATH=. python tests/launch/soak.py --images=2000 --shape=24x32 --workdir=/tmp/soak -- FLAGS OF launch/solve.py

Pictures are drawn at random, all of one shape. Says of each quarter of the images the seconds per image and the memory
of the process, and what both grow by per image from the second quarter on, as the first one compiles and fills caches.
With --narrow the restorer of configs/photo.py is a small one with random weights: the shipped one takes minutes for a
large image.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
from scipy import ndimage

from tests import small
from tests.launch.commands import MEAN, ROOT, command, environment


class Sample(NamedTuple):
    """What the process held at a moment."""

    moment: float  # seconds since 1970
    mb: float


class Report(NamedTuple):
    """What was seen, image by image in the order in which their records were written."""

    seconds: np.ndarray  # (n,) since the record before
    mb: np.ndarray  # (n,) of the process at that moment

    def quarters(self, values: np.ndarray) -> list[float]:
        """Medians of the four quarters."""
        return [float(np.median(part)) for part in np.array_split(values, 4)]

    def slope(self, values: np.ndarray) -> float:
        """Growth per image of a line through the values from the second quarter on."""
        values = values[len(values) // 4 :]
        return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def write_inputs(folder: Path, count: int, shape: tuple[int, int]) -> None:
    """Coarse patches under a blur, in colour, each picture another one."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        rng = np.random.default_rng(i)
        coarse = rng.uniform(20, 235, (-(-shape[0] // 4), -(-shape[1] // 4), 3)).astype(np.float32)
        image = ndimage.gaussian_filter(coarse.repeat(4, 0).repeat(4, 1)[: shape[0], : shape[1]], (0.9, 0.6, 0))
        PIL.Image.fromarray(image.astype(np.uint8)).save(folder / f"picture{i:05d}.png")


def resident_mb(pid: int) -> float | None:
    """Memory of a process, None once it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = [line for line in text.splitlines() if line.startswith("VmRSS")]
    return int(found[0].split()[1]) / 1024 if found else None


def watch(argv: list[str], every: float, log: Path) -> tuple[int, list[Sample]]:
    """The exit code of a command, and what it held every so many seconds."""
    samples = []
    with open(log, "wb") as file:
        process = subprocess.Popen([sys.executable, *argv], cwd=ROOT, env=environment(), stdout=file, stderr=file)
        try:
            while process.poll() is None:
                mb = resident_mb(process.pid)
                if mb is not None:
                    samples.append(Sample(time.time(), mb))
                time.sleep(every)
        finally:
            process.kill()
    return process.returncode, samples


def soak(folder: Path, count: int, shape: tuple[int, int], flags: list[str]) -> Report:
    """Solves drawn pictures in one process and returns what was seen; raises AssertionError if not all are solved."""
    write_inputs(folder / "in", count, shape)
    words = command("solve", *flags, f"--input={folder}/in/*.png", f"--workdir={folder}/out")
    begin = time.time()
    code, samples = watch(words, 0.2, folder / "log.txt")
    moments = sorted(path.stat().st_mtime for path in (folder / "out" / "records").glob("*.json"))
    assert code == 0 and len(moments) == count, (code, len(moments), (folder / "log.txt").read_text()[-2000:])
    mb = np.interp(moments, *zip(*samples, strict=True))
    return Report(np.diff([begin, *moments]), mb)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--shape", default="24x32", help="rows x columns of a picture")
    parser.add_argument("--narrow", action="store_true", help="restore by a small network")
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("flags", nargs="*", default=list(MEAN), help="after --, of launch/solve.py")
    args = parser.parse_args()
    rows, columns = map(int, args.shape.split("x"))
    if args.narrow:
        args.workdir.mkdir(parents=True)
        weights = small.usrnet_file(args.workdir / "narrow.npz", 0.1)
        args.flags.append(f"--config.restorers.tiles.weights={weights.absolute()}")
    found = soak(args.workdir, args.images, (rows, columns), args.flags)
    for name, values, unit in (("time per image", found.seconds, "s"), ("memory", found.mb, "MB")):
        quarters = ", ".join(f"{value:.3f}" for value in found.quarters(values))
        print(f"{name}: {quarters} {unit} in the quarters, {found.slope(values):+.2e} {unit} per image")
    print(f"most memory {found.mb.max():.0f} MB, {found.seconds.sum():.0f} s in all")


if __name__ == "__main__":
    main()
