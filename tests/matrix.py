r"""The oldest and the newest packages that setup.py allows, for each Python, with a short run of tests in each.

python tests/matrix.py --folder=out/matrix

Says which environments could not be had and why. Needs a Python with venv and an index of packages, no more: the oldest
versions are chosen by uv, which it installs beside them.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
CHOICES = {"oldest": "lowest-direct", "newest": "highest"}
SHOWN = ("jax", "jaxlib", "flax", "optax", "distrax", "orbax-checkpoint", "numpy", "scipy")
# Of each room one file that runs its programs, in about two minutes.
SMOKE = (
    "tests/imaging/test_degradation.py",
    "tests/inference/test_langevin.py",
    "tests/io/test_io.py",
    "tests/kernels/test_geometry.py",
    "tests/methods/test_sequence.py",
    "tests/networks/test_skip.py",
    "tests/runs/test_checkpoints.py",
    "tests/runs/test_pipeline.py",
    "tests/solvers/test_loop.py",
    "tests/training/test_engine.py",
    "tests/weights/test_archive.py",
    "tests/launch/test_main.py",
)


def find_python(version: str) -> str | None:
    """An interpreter of a version: on the path, or one of pyenv's."""
    homes = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [shutil.which(f"python{version}"), *sorted(map(str, homes.glob(f"{version}.*/bin/python")))]
    for path in filter(None, found):  # a shim may lead nowhere
        asked = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([path, "-c", asked], capture_output=True, text=True)
        if done.stdout.strip() == version:
            return path
    return None


def run(*words: object, log: Path, **more: str) -> int:
    """The exit code of a command, whose output goes to a file."""
    with open(log, "ab") as file:
        return subprocess.run(
            list(map(str, words)), cwd=ROOT, env=os.environ | more, stdout=file, stderr=file
        ).returncode


def last_lines(log: Path) -> str:
    """The end of a log."""
    return " | ".join(log.read_text(errors="replace").splitlines()[-4:])


def versions(python: Path) -> str:
    """What is installed of what matters."""
    code = f"from importlib.metadata import version; print(*(f'{{n}} {{version(n)}}' for n in {SHOWN}), sep=', ')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def try_one(folder: Path, uv: Path, version: str, choice: str, tests: list[str]) -> tuple[str, str]:
    """Verdict and details of one environment."""
    interpreter = find_python(version)
    if interpreter is None:
        return "could not be had", f"no python{version} on this machine"
    place = folder / f"{version}-{choice}"
    log, python = folder / f"{version}-{choice}.log", place / "bin" / "python"
    log.unlink(missing_ok=True)
    made = run(uv, "venv", "--clear", "--python", interpreter, place, log=log)
    # The oldest of which there are wheels: for a new Python older ones would have to be built.
    wheels = ("--only-binary", ":all:", "--no-binary", "blindsr-jax")
    options = ("--resolution", CHOICES[choice], *wheels, "--python", python)
    if made or run(uv, "pip", "install", *options, "-e", ".[test]", log=log):
        return "could not be had", last_lines(log)
    # The tests of an environment must not find the programs that another jax has compiled.
    cache = {"PYTHONPATH": str(ROOT), "BLINDSR_TEST_PROGRAMS": f"{place}-programs"}
    failed = run(python, "-m", "pytest", "-p", "no:cacheprovider", *tests, log=log, **cache)
    return ("FAILED, see " + str(log) if failed else "passed"), versions(python)


def main() -> int:
    """One line per environment; 1 if the tests of one fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("out/matrix"))
    parser.add_argument("--python", nargs="*", default=PYTHONS, help="versions")
    parser.add_argument("--choice", nargs="*", default=list(CHOICES), choices=list(CHOICES))
    parser.add_argument("tests", nargs="*", default=SMOKE)
    args = parser.parse_args()
    folder = args.folder.absolute()
    uv, log = folder / "tools" / "bin" / "uv", folder / "tools.log"
    folder.mkdir(parents=True, exist_ok=True)
    if not uv.exists() and (
        run(sys.executable, "-m", "venv", folder / "tools", log=log)
        or run(folder / "tools" / "bin" / "pip", "install", "uv>=0.9,<1", log=log)
    ):
        print(f"uv could not be installed: {last_lines(log)}", file=sys.stderr)
        return 1
    verdicts = []
    for version in args.python:
        for choice in args.choice:
            verdict, details = try_one(folder, uv, version, choice, list(args.tests))
            print(f"Python {version}, {choice}: {verdict} ({details})", flush=True)
            verdicts.append(verdict)
    return int(any(verdict.startswith("FAILED") for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
