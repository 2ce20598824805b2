r"""Diff-DKP with the released 256 x 256 network of guided diffusion: 553 million parameters, for an accelerator.

    python launch/convert.py --input=256x256_diffusion.pt --output=imagenet.npz
    python launch/solve.py --config=configs/diff_dkp_imagenet.py --config.image.weights=imagenet.npz \
        --input='photos/*.jpg' --scale=4 --workdir=out/imagenet

The chain is the release's, 100 steps from pure noise (Yang et al. 2024). The network was trained with classes; without
`--config.image.label` none is added. Not measured: the checkpoint is no part of this project.
"""

from configs.diff_dkp import get_config as diff_dkp


def get_config():
    """The paper's chain, one sample."""
    config = diff_dkp()
    config.image.weights = "imagenet.npz"
    config.image.first_time = 999
    config.image.method = "ddpm"
    config.image.samples = 1
    config.image.tile = 256
    config.image.overlap = 128
    config.num_steps = 100
    config.averaging = 0.0
    config.kernel.freeze_steps = 10 * config.kernel_steps
    return config
