r"""DIP-Softmax: every entry of the kernel is an unknown of its own (Liang et al. 2021, the baseline of FKP).

    python launch/solve.py --config=configs/dip_softmax.py --input='photos/*.jpg' --scale=4 --workdir=out/softmax

A baseline: it shows what a solve gives without any prior for the kernel. It starts as a round Gaussian
at its place (`--config.kernel.start=uniform` as released).
"""

from ml_collections import ConfigDict

from configs.dip_dkp import get_config as dip_dkp


def get_config():
    """The image model of `dip_dkp` and free logits."""
    config = dip_dkp()
    config.kernel = ConfigDict({"name": "softmax", "learning_rate": 0.5, "freeze_steps": 76, "start": "round"})
    return config
