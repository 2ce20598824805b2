r"""Training of a flow-based kernel prior (FKP, Liang et al. 2021) on kernels of any family, or on a folder of them.

    python launch/train_flow.py --config=configs/flow.py --config.scale=4 --workdir=out/flow_x4
    python launch/train_flow.py --config=configs/flow.py:motion --config.scale=2 --workdir=out/flow_motion_x2
    python launch/train_flow.py --config=configs/flow.py --config.scale=2 --config.kernels='my/*.npy' --workdir=out/my

For Gaussian kernels the network is the release's. Its training takes 100 epochs at a rate of 1e-4 (`flow.py:release`);
ten times the rate reaches its likelihood in fewer. Motion kernels need more units.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import read_variant
from blindsr_jax.kernels.family import family_names


def get_config(variant: str = "gaussian"):
    """`variant` is a family of `blindsr_jax/kernels`, 'release' for the release's schedule, or 'FAMILY-release'."""
    found = read_variant(variant, family=family_names(), schedule=("release",))
    family = found.get("family", "gaussian")
    slow, simple = "schedule" in found, family == "gaussian"
    return ConfigDict(
        {
            "scale": config_dict.placeholder(int),  # 1 to 8
            "kernel_size": config_dict.placeholder(int),  # odd; default min(4 scale + 3, 21)
            "kernels": config_dict.placeholder(str),  # a quoted glob of own kernels in place of the families
            "prior": {
                "families": ("trajectory" if family == "motion" else family,),
                "weights": config_dict.placeholder(tuple),
                # Made as the released data are: a flow is exact enough to tell them from evaluated Gaussians.
                "gaussian": {"variance_range": config_dict.placeholder(object), "exact_release": True},
                "line": {"length_range": config_dict.placeholder(tuple)},
                "trajectory": {"major_variance_range": config_dict.placeholder(object)},
            },
            # Blurs the kernels of families as lens and pixel do, standard deviation in px per scale: of paths one pixel
            # wide a flow makes dots.
            "smoothing": 0.0 if simple else 0.15,
            "num_blocks": 5 if simple else 6,
            "hidden_size": config_dict.placeholder(int) if simple else 100,  # default min(5 (scale + 1), 25)
            "normalization": config_dict.placeholder(float),  # default: the largest entry of any kernel, plus 0.01
            "num_epochs": 100 if slow else 40 if simple else 20,
            "kernels_per_epoch": 50_000,  # drawn anew for each
            "batch_size": 100 if simple else 200,
            "learning_rate": 1e-4 if slow else 1e-3,
            "weight_decay": 1e-6,
            "decay": 0.5,
            "decay_at": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9),  # shares of the training after which the rate is halved
            "half_precision": not simple,  # networks in flow.npz, for a smaller file
            "seed": 0,
            "sheet_every": 10,  # epochs between two sheets of samples
        }
    )
