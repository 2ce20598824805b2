r"""Double-DIP: a network without a prior for the kernel (Ren et al. 2020; settings of the FKP release).

    python launch/solve.py --config=configs/double_dip.py --input='photos/*.jpg' --scale=4 --workdir=out/double_dip

A baseline: nothing tells a kernel from a picture of one, and nothing keeps it in its place, where
it starts as a round Gaussian (`--config.kernel.start=uniform` as released).
"""

from ml_collections import ConfigDict

from configs.dip_dkp import get_config as dip_dkp


def get_config():
    """The image model of `dip_dkp` and a free kernel network."""
    config = dip_dkp()
    config.kernel = ConfigDict({"name": "fcn", "learning_rate": 1e-4, "start": "round"})
    return config
