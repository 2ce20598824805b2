r"""Diff-DKP with the small diffusion prior of this package, and the kernel model of dip_dkp.

python launch/solve.py --config=configs/diff_dkp.py --input='photos/*.jpg' --scale=2 --workdir=out/diffusion

No network is trained, so that a solve takes few steps. `--config.image.samples=8` draws several images under one kernel
and tells how far they agree (uncertainty/*.png). `--kernel=FILE` restores with a known kernel. `diff_dkp.py:posterior`
starts from the learned posterior over kernels and samples kernel and image in turn (scales 1 to 4; docs/diffusion.md).
"""

from blindsr_jax.config import base_config, read_variant
from configs.dip_dkp import get_config as dip_dkp


def get_config(kernel: str = "dkp"):
    """The image model is a chain of denoising steps; the kernel model moves several times in each."""
    chosen = read_variant(kernel, kernel=("dkp", "posterior"))["kernel"]
    config = dip_dkp()
    config.image = base_config().image
    config.image.update(
        {
            "name": "diffusion",
            "weights": "small",
            "first_time": 120,
            "method": "ddim",
            "eta": 1.0,
            "noise_std": 0.0005,
            "samples": 4,
            "tile": 256,
            "overlap": 64,
        }
    )
    config.num_steps = 60
    config.ssim_steps = 0
    config.kernel_steps = 8
    config.averaging = 0.8
    config.kernel.freeze_steps = 80
    if chosen == "posterior":
        config.kernel = {"name": "posterior"}
    return config
