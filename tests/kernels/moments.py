"""Moments of stacks of kernels (n, h, w) in NumPy, independent of the library."""

import numpy as np


def mean(kernels):
    """Centres of mass (n, 2), rows then columns."""
    kernels = np.asarray(kernels, np.float64)
    rows, cols = (np.arange(n) for n in kernels.shape[1:])
    total = kernels.sum((1, 2))
    return np.stack([kernels.sum(2) @ rows, kernels.sum(1) @ cols], axis=1) / total[:, None]


def principal_variances(kernels):
    """Eigenvalues (n, 2) of the covariances, ascending."""
    kernels = np.asarray(kernels, np.float64)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in kernels.shape[1:]), indexing="ij"), axis=-1)
    second = np.einsum("nhw,hwi,hwj->nij", kernels, grid, grid) / kernels.sum((1, 2))[:, None, None]
    middle = mean(kernels)
    return np.linalg.eigvalsh(second - middle[:, :, None] * middle[:, None, :])
