r"""The learned posterior over kernels: its mean, how sure it is, and the image by USRNet in tiles; seconds per image.

    python launch/solve.py --config=configs/posterior.py --input='photos/*.jpg' --scale=2 --workdir=out/posterior

The record says the probability that the kernel is right, that of each family of blurs, and the width and direction of
the blur with intervals. Scales 1 to 4; for the best image of a photograph see configs/photo.py.
`posterior.py:joint` lets Markov chains over kernels alternate with a deep image prior, minutes per image.
"""

from blindsr_jax.config import base_config, read_variant
from configs.dip_dkp_fast import get_config as dip_dkp_fast


def get_config(variant: str = "mean"):
    """An estimator, a restorer, and the kernel sizes of the networks; or 'joint', an image half and a kernel half."""
    if read_variant(variant, name=("mean", "joint"))["name"] == "joint":
        config = dip_dkp_fast()  # its image half, steps and prior
        config.kernel = {"name": "posterior"}
    else:
        config = base_config()
        config.estimator, config.restorer = "posterior", "tiles"
        config.kernel_sizes = (21, 15, 19, 21)
    config.trust = True
    return config
