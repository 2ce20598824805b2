r"""Photographs of any size: the kernel by two networks from the windows that show most, the image by USRNet in tiles.

    python launch/solve.py --config=configs/photo.py --input='photos/*.jpg' --scale=2 --workdir=out/photo

All networks were trained with noise, JPEG and every kernel family (Gaussian, camera shake, straight line, defocus,
nearly none); noise and compression are measured in each image. Scales 1 to 4; scale 1 takes a blur away. An image in
which no blur is found comes back enlarged.
"""

from ml_collections import ConfigDict

from blindsr_jax.config import base_config, read_variant


def get_config(effort: str = "normal"):
    """One estimator, one restorer; kernels are larger than those of the networks, for discs and lines that are.

    The kernel is the mean of KENet's and that of the learned posterior, which is refined in turn with the image where
    it says camera shake. `photo.py:low` takes KENet's alone, which is the quickest; `photo.py:high` restores each tile
    four times, mirrored, and takes the mean. What each gains: docs/posterior.md. `photo.py:joint` takes the kernel of a
    joint solve (DIP-DKP) of the window that tells most of it, which takes a minute or more, under a prior of one's own.
    """
    config = base_config()
    chosen = read_variant(effort, effort=("low", "normal", "high", "joint"))["effort"]
    config.estimator, config.restorer = {"low": "kenet", "joint": "dkp"}.get(chosen, "ensemble"), "tiles"
    config.kernel_sizes = (61, 31, 31, 31)
    config.trust = True
    config.restorers = ConfigDict({"tiles": {"flips": chosen == "high"}})
    kenet = {"weights": "wide", "window": 96, "num_windows": 32, "reductions": 3, "shapes": True}
    config.estimators = ConfigDict({"ensemble": {}} if config.estimator == "ensemble" else {"kenet": kenet})
    if chosen == "joint":
        # Those of the networks: a joint solve takes time with the fourth power of the size.
        config.kernel_sizes = (21, 15, 19, 21)
        config.estimators.dkp = ConfigDict({"window": 96})
        config.prior.families = ("gaussian", "trajectory", "line", "disc")
        config.prior.gaussian.variance_range = "wide"
        config.prior.trajectory.major_variance_range = "wide"
    return config
