r"""The demonstration of `make demo`: a real blurred photograph, and two photographs blurred by known kernels.

python launch/demo.py --workdir=out/demo
"""

import os
import subprocess
import sys
import time

import skimage.data
from absl import flags

from blindsr_jax import io
from blindsr_jax.io import documents
from blindsr_jax.runs import cli, ownership, report, schemas, summary
from blindsr_jax.runs.records import require_records

_WORKDIR = flags.DEFINE_string("workdir", "out/demo", "Folder of the results; made where missing.")

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGS = os.path.join(os.path.dirname(HERE), "configs")
# Name, family and seed of the kernel, and the corner of the crop: all have one LR size, so one program serves both.
CASES = (("astronaut", "gaussian", 1, (10, 140)), ("coffee", "motion", 4, (90, 270)))
SIDE, SCALE = 169, 2


def launch(script: str, **options) -> None:
    """Runs a launch and shows its command; its failure ends the demonstration."""
    words = [f"--{name}={value}" for name, value in options.items()]
    print(f"\n$ python launch/{script}.py {' '.join(words)}", flush=True)
    code = subprocess.run([sys.executable, os.path.join(HERE, f"{script}.py"), *words]).returncode
    if code:
        sys.exit(code)


def solve_clock(folder: str) -> str:
    """A clock, photographed by a moving camera: nothing is known of its blur."""
    photo = io.Image(skimage.data.clock()[..., None] / 255, None, 8)
    io.write_image(os.path.join(folder, "photographs", "clock.png"), photo)
    results = os.path.join(folder, "clock")
    source = os.path.join(folder, "photographs", "clock.png")
    launch("solve", config=f"{CONFIGS}/dip_dkp_motion.py", input=source, scale=1, workdir=results, restart=True)
    return results


def solve_synthetic(folder: str) -> str:
    """Two photographs, one under a Gaussian kernel, one under a motion kernel; the solver sees the LR images alone."""
    data = os.path.join(folder, "synthetic")
    for name, family, seed, (top, left) in CASES:
        pixels = getattr(skimage.data, name)()[top : top + SIDE, left : left + SIDE] / 255
        source = os.path.join(folder, "photographs", f"{name}.png")
        io.write_image(source, io.Image(pixels, None, 8))
        place = {"boundary": "valid", "kernel_center": "aligned"}
        launch("degrade", input=source, scale=SCALE, family=family, seed=seed, workdir=data, **place)
    results = os.path.join(data, "solved")
    launch(
        "solve",
        config=f"{CONFIGS}/dip_dkp_fast.py",
        input=f"{data}/lr/*.png",
        scale=SCALE,
        workdir=results,
        restart=True,
    )
    truth = {"hr": os.path.join(data, "hr"), "scale": SCALE}
    launch("evaluate", results=results, kernels=os.path.join(data, "kernels"), **truth)
    launch("evaluate", results=os.path.join(data, "bicubic"), images=os.path.join(results, "inputs"), **truth)
    return results


def is_demo(folder: str) -> bool:
    """Whether a folder holds the demonstration, or the beginning of one."""
    return ownership.is_solve(os.path.join(folder, "clock")) or bool(ownership.noted_names(folder))


def scores_of(folder: str) -> dict[str, dict]:
    """Rows of scores.json by name."""
    found = documents.require(os.path.join(folder, "scores.json"), schemas.SCORES, "scores were expected")
    return {row["name"]: row for row in found["images"]}


def main() -> int:
    """Solves, scores, and ends by saying where the page is."""
    begin = time.perf_counter()
    layout = ownership.Layout("demonstration", ("index.html",), ("photographs",), is_demo)
    ownership.check_folder(_WORKDIR.value, layout)
    folder = cli.make_workdir(_WORKDIR.value)
    with ownership.making(folder, ["clock", *(case[0] for case in CASES)]):
        clock = solve_clock(folder)
    synthetic = solve_synthetic(folder)
    scores, bicubic = scores_of(synthetic), scores_of(os.path.join(folder, "synthetic", "bicubic"))
    entries = [summary.page_entry(clock, record) for record in require_records(clock)]
    print()
    for record in require_records(synthetic):
        name = record.name
        row = scores[name] | {"bicubic_psnr_y": bicubic[name]["psnr_y"]}
        data = os.path.join(folder, "synthetic")
        truth = {"hr": os.path.join(data, "hr", f"{name}.png"), "kernel": os.path.join(data, "kernels", f"{name}.npy")}
        entries.append(summary.page_entry(synthetic, record, scores=row, **truth))
        gain = row["psnr_y"] - row["bicubic_psnr_y"]
        print(f"{name}: PSNR-Y {row['psnr_y']:.2f} dB, bicubic {row['bicubic_psnr_y']:.2f} dB, gain {gain:+.2f} dB")
    page = os.path.join(folder, "index.html")
    report.write_page(
        page, title="blindsr_jax: blur kernels and sharp images from blurred photographs", entries=entries
    )
    print(f"\nDone in {time.perf_counter() - begin:.0f} s. Open {os.path.abspath(page)}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
