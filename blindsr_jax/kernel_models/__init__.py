"""Kernel halves: what stands for the blur kernel in a joint solver, and how it moves. One file each.

A file defines `build(spec, **options) -> KernelModel`; a config names the file.
"""

from blindsr_jax.kernel_models.base import KernelInfo, KernelModel

__all__ = ["KernelInfo", "KernelModel"]
