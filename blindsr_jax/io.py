"""Reading and writing files: images, kernels, text, JSON and CSV. One place to import them from."""

from blindsr_jax.files import (
    InputError,
    write_array,
    write_bytes,
    write_csv,
    write_json,
    write_text,
)
from blindsr_jax.image_files import Image, bicubic_enlarge, read_image, write_image
from blindsr_jax.kernel_files import kernel_png, kernel_sheet, read_kernel, write_kernel, write_kernel_mat
from blindsr_jax.names import find_inputs, unique_stems

__all__ = [
    "Image",
    "InputError",
    "bicubic_enlarge",
    "find_inputs",
    "kernel_png",
    "kernel_sheet",
    "read_image",
    "read_kernel",
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
