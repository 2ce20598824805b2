r"""Seconds that process 0 needs for a number of images, beside solving them, by what it does.

PYTHONPATH=. python tests/launch/leader_cost.py --images=10000 --workdir=/dev/shm/leader

The working folder must be new; a folder in memory leaves the program's own time.
"""

import argparse
import json
import os
import time
from pathlib import Path

from blindsr_jax import io
from blindsr_jax.imaging.problem import Status, make_spec
from blindsr_jax.runs import leading, outputs, ownership, records, resume, summary, workdir

DOCUMENT = {"config": "x", "flags": {}, "kernel_sha256": None, "image": {}, "kernel": {}, "num_steps": 3}


def timed(name, call, *args, **options):
    """What a call returns; its seconds are printed."""
    begin = time.perf_counter()
    value = call(*args, **options)
    print(f"{name:28s}{time.perf_counter() - begin:8.2f} s", flush=True)
    return value


def finish(folder: str, jobs: list[resume.Job]) -> None:
    """Outputs of a byte and the record of each image."""
    spec = make_spec(scale=2, kernel_size=7, boundary="valid")
    rows = [row for row in outputs.OUTPUTS if row.needs is None]
    for job in jobs:
        for row in rows:
            Path(row.path(folder, job.name)).write_bytes(b"x")
        known = {"input": str(job.path), "sha256": resume.sha256(job.path), "status": Status.OK, "seconds": 1.0}
        known["outputs"] = {row.file(job.name): {"bytes": 1, "sha256": "0" * 64} for row in rows}
        record = records.new_record(job.name, spec=spec, config="x", seed=0, **known)
        Path(records.record_path(folder, job.name)).write_text(json.dumps(record.to_json(), indent=1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--workdir", type=Path, required=True)
    args = parser.parse_args()
    inputs, folder = args.workdir / "in", str(args.workdir / "out")
    for place in (inputs, *(Path(folder, kind) for kind in workdir.FOLDERS)):
        place.mkdir(parents=True)
    for i in range(args.images):
        (inputs / f"frame{i:06d}.png").write_bytes(b"%d" % i)
    paths = timed("input found", io.find_inputs, f"{inputs.absolute()}/*.png")
    timed("input checked", ownership.check_inputs, paths, folder, outputs=workdir.SOLVE.places)
    jobs = timed("planned, empty folder", resume.plan, folder, DOCUMENT, paths)
    finish(folder, jobs)
    found = timed("records read", records.read_records, folder)
    timed("lists and page written", summary.Summary(folder, found).write)
    for name in ("results.json", "results.csv", "index.html"):
        print(f"{name:28s}{os.path.getsize(os.path.join(folder, name)) / 1e6:8.1f} MB")
    jobs = timed("planned, all finished", resume.plan, folder, DOCUMENT, paths)
    assert leading.count_failed(found, jobs) == 0 and all(job.record is not None for job in jobs)
    moved = inputs.rename(args.workdir / "moved")
    paths = [moved.absolute() / path.name for path in paths]
    jobs = timed("planned, input moved", resume.plan, folder, DOCUMENT, paths)
    assert all(job.record is not None for job in jobs)
    timed("names, one stem", io.unique_stems, [f"/{i}/frame.png" for i in range(args.images)])


if __name__ == "__main__":
    main()
