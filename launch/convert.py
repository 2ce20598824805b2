r"""Converts released PyTorch weights to .npz, without PyTorch: the FKP flows and USRNet (tiny).

python launch/convert.py --input=FKP_x4.pt --output=fkp_x4.npz

The file is read by an unpickler that makes nothing but tensors. A converted flow can be used as
--config.kernel.weights=fkp_x4.npz of dip_fkp.
"""

import os

from absl import flags

from blindsr_jax.io import files
from blindsr_jax.runs import cli, ownership
from blindsr_jax.weights import convert, torch_reader

_INPUT = flags.DEFINE_string("input", None, "Weights saved by torch.save (.pt, .pth).")
_OUTPUT = flags.DEFINE_string("output", None, "File to write (.npz).")
_MODEL = flags.DEFINE_enum("model", None, list(convert.MODELS), "Which model it is; recognised by its keys if absent.")
flags.mark_flags_as_required(["input", "output"])


def main() -> int:
    """Reads, checks and writes; a bad file leaves no output."""
    path, output = _INPUT.value, _OUTPUT.value
    if not output.endswith(".npz"):
        raise cli.UsageError(f"--output={output}: the name of a .npz file was expected")
    kind = "an archive of converted weights"
    ownership.check_file(output, flag="output", kind=kind, is_ours=convert.is_archive, inputs=[path])
    try:
        tensors = convert.unwrap(torch_reader.read_tensors(path, files.read_bytes(path)))
    except files.InputError as error:
        raise cli.UsageError(f"--input={path}: {error}") from error
    try:
        name = convert.check(tensors, _MODEL.value)
        data = convert.MODELS[name].convert(tensors)
    except ValueError as error:
        raise cli.UsageError(f"--input={path}: {error}") from error
    try:
        files.write_bytes(output, data)
    except OSError as error:
        raise cli.UsageError(f"--output={output}: it cannot be written ({error.strerror})") from error
    print(f"{name}, {len(tensors)} tensors, written to {os.path.abspath(output)}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
