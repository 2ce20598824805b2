"""Reading and writing files: images, kernels, text, JSON and CSV. One place to import them from."""

from blindsr_jax.io.files import InputError, write_array, write_bytes, write_csv, write_json, write_text
from blindsr_jax.io.images import (
    Image,
    bicubic_enlarge,
    decode_image,
    read_image,
    to_floats,
    to_levels,
    write_image,
)
from blindsr_jax.io.kernels import (
    KnownKernel,
    kernel_png,
    kernel_sheet,
    load_kernel,
    read_kernel,
    write_kernel,
    write_kernel_mat,
)
from blindsr_jax.io.paths import find_inputs, unique_stems
from blindsr_jax.io.transparency import fill_hidden

__all__ = [
    "Image",
    "InputError",
    "KnownKernel",
    "bicubic_enlarge",
    "decode_image",
    "fill_hidden",
    "find_inputs",
    "kernel_png",
    "kernel_sheet",
    "load_kernel",
    "read_image",
    "read_kernel",
    "to_floats",
    "to_levels",
    "unique_stems",
    "write_array",
    "write_bytes",
    "write_csv",
    "write_image",
    "write_json",
    "write_kernel",
    "write_kernel_mat",
    "write_text",
]
