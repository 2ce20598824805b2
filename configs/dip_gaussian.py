r"""The simplest prior: the kernel is a Gaussian, two variances and an angle are its unknowns.

    python launch/solve.py --config=configs/dip_gaussian.py --input='photos/*.jpg' --scale=4 --workdir=out/gaussian

The honest baseline of every method that learned or draws Gaussian kernels.
"""

from ml_collections import ConfigDict

from configs.dip_dkp import get_config as dip_dkp


def get_config():
    """The image model of `dip_dkp` and three numbers."""
    config = dip_dkp()
    config.kernel = ConfigDict({"name": "gaussian", "learning_rate": 0.02, "freeze_steps": 76})
    return config
