"""Image models: what stands for the sharp image in a joint solver, and how it moves. One file each.

A file defines `build(spec, **options) -> ImageModel`; a config names the file.
"""
