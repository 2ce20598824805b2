r"""DIP-DKP for a laptop: fewer and longer steps, fewer random kernels.

python launch/solve.py --config=configs/dip_dkp_fast.py --input='photos/*.jpg' --scale=2 --workdir=out/fast
"""

from configs.dip_dkp import get_config as dip_dkp


def get_config():
    """A quick look at a result."""
    config = dip_dkp()
    config.num_steps = 300
    config.ssim_steps = 300
    config.image.learning_rate = 1e-2
    config.kernel.num_samples = 1024
    return config
