"""Restorers: from an LR image and a kernel to a sharp image, one file each."""
