"""The installed command `blindsr`: the launches as sub-commands, with short forms for everyday use.

`blindsr solve photo.jpg --scale 2` is launch/solve.py with a config and a working folder filled in. Every flag of a
launch is accepted as it stands.
"""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from absl import flags

import blindsr_jax
from blindsr_jax.config import config_folder, folder_beside_package
from blindsr_jax.runs import cli

# What a sub-command gets where the command line does not say it.
DEFAULTS = {
    "solve": {"config": "photo", "scale": "2", "workdir": "blindsr_results"},
    "degrade": {"scale": "2", "family": "mixture", "workdir": "blindsr_degraded"},
}


def commands() -> dict[str, Path]:
    """The launches by name."""
    return {path.stem: path for path in sorted(folder_beside_package("launch").glob("[a-z]*.py"))}


def _load(path: Path) -> ModuleType:
    """A launch as a module, with its flags defined and nothing run."""
    spec = importlib.util.spec_from_file_location(f"blindsr_launch_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expand(command: str, words: list[str], switches: set[str]) -> list[str]:
    """The words of a sub-command as flags of its launch.

    A word that is no flag and does not follow one as its value is the input. `--config NAME` may be the bare name of a
    file of configs/.

    Args:
      command: name of a launch.
      words: the rest of the command line.
      switches: names of the flags that take no value.
    """
    found, rest, i = [], [], 0
    while i < len(words):
        word, name = words[i], words[i].lstrip("-")
        takes_value = "=" not in word and name not in switches and name.removeprefix("no") not in switches
        if not word.startswith("-"):
            rest.append(word)
        elif takes_value and i + 1 < len(words):
            i += 1
            found.append(f"{word}={words[i]}")
        else:
            found.append(word)
        i += 1
    named = {match[1] for word in found if (match := re.match(r"--?([a-z_]+)(?:=|$)", word))}
    if rest and "input" not in named:
        found.insert(0, f"--input={rest.pop(0)}")
    defaults = {name: value for name, value in DEFAULTS.get(command, {}).items() if name not in named}
    found = [f"--{name}={value}" for name, value in defaults.items()] + found
    return [_with_path(word) for word in found] + rest


def _with_path(word: str) -> str:
    """`--config=NAME` with the path of that file of configs/; anything else as it is."""
    match = re.match(r"--?config=([\w-]+)(:.*)?$", word)
    if not match or Path(match[1]).exists():
        return word
    return f"--config={config_folder() / f'{match[1]}.py'}{match[2] or ''}"


def main() -> None:
    """Runs the sub-command that the command line names."""
    known, words = commands(), sys.argv[1:]
    if words[:1] == ["--version"]:
        print(blindsr_jax.__version__)
        return
    if not words or words[0] in ("-h", "--help", "help"):
        print(f"usage: blindsr COMMAND ...\n\ncommands: {', '.join(known)}\n")
        print("blindsr solve photo.jpg --scale 2    the sharp image and the kernel, in blindsr_results/")
        print("blindsr COMMAND --help               all flags of a command")
        return
    if words[0] not in known:
        sys.stderr.write(f"blindsr: {words[0]!r} is not a command, expected one of {', '.join(known)}\n")
        sys.exit(cli.USAGE)
    launch = _load(known[words[0]])
    switches = {name for name in flags.FLAGS if flags.FLAGS[name].boolean}
    sys.argv = [str(known[words[0]]), *expand(words[0], words[1:], switches)]
    cli.run(launch.main)
