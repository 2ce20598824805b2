r"""Packs the images of trainings into one file, for a machine that does not have their folders.

python launch/pack_data.py --input='BSDS500/train/*.jpg' --input='photographs/train/*.png' \
    --validation='BSDS500/val/*.jpg' --output=out/data.zip

The trainings take the file in place of a pattern: --input=out/data.zip --validation=out/data.zip.
"""

import os

from absl import flags

from blindsr_jax import io
from blindsr_jax.runs import cli
from blindsr_jax.training import packs

_INPUT = flags.DEFINE_multi_string("input", None, "Sharp images to train on: a quoted glob; may be repeated.")
_VALIDATION = flags.DEFINE_multi_string("validation", None, "Sharp images to validate on, likewise.")
_OUTPUT = flags.DEFINE_string("output", "out/data.zip", "The file to write.")
flags.mark_flags_as_required(["input", "validation"])


def main() -> int:
    """Writes the pack."""
    if not packs.is_pack(_OUTPUT.value):
        raise cli.UsageError(f"--output={_OUTPUT.value}: expected a name that ends in .zip")
    try:
        os.makedirs(os.path.dirname(_OUTPUT.value) or ".", exist_ok=True)
        number = packs.write(_OUTPUT.value, {packs.PARTS[flag.name]: flag.value for flag in (_INPUT, _VALIDATION)})
    except io.InputError as error:
        raise cli.UsageError(cli.one_line(error)) from error
    except OSError as error:
        raise cli.UsageError(f"--output={_OUTPUT.value}: it cannot be written ({error.strerror})") from error
    print(f"{number} images, {os.path.getsize(_OUTPUT.value) / 2**20:.1f} MiB, in {_OUTPUT.value}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
