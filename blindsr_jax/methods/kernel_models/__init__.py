"""Kernel models: what stands for the blur kernel in a joint solver, and how it moves. One file each.

A file defines `build(spec, **options) -> KernelModel`; a config names the file.
"""
