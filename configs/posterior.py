r"""The learned posterior over kernels: its mean, how sure it is, and the image by USRNet in tiles; seconds per image.

    python launch/solve.py --config=configs/posterior.py --input='photos/*.jpg' --scale=2 --workdir=out/posterior

The record says the probability that the kernel is right, that of each family of blurs, and the width and direction of
the blur with intervals. Scales 1 to 4; for the best image of a photograph see configs/photo.py.
"""

from blindsr_jax.config import base_config


def get_config():
    """One estimator, one restorer; the sizes of kernels are those that the networks were trained for."""
    config = base_config()
    config.estimator, config.restorer = "posterior", "tiles"
    config.kernel_sizes = (21, 15, 19, 21)
    config.trust = True
    return config
