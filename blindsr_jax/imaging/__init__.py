"""The image formation y = (k * x) downsampled by s: problem, forward model, and the numerics under both."""
