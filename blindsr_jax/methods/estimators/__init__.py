"""Estimators: an LR image alone gives the blur kernel. One file each.

A file defines `build(spec, **options) -> Solver`; the kernel is `State.kernel`, of the spec's size and centre.
"""
