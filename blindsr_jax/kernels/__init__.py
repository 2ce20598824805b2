"""Where blur kernels come from: geometry, families of kernels, mixtures of families."""
