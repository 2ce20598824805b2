r"""Training of KENet, which names the blur kernel of an LR image in one pass, on a folder of sharp images.

    python launch/train_kenet.py --config=configs/kenet.py --config.scale=4 --input='train/*.jpg' \
        --validation='val/*.jpg' --workdir=out/kenet_x4

The default is a narrow network for a CPU, on Gaussian and motion kernels alike; `kenet.py:gaussian` and
`kenet.py:motion` know one family. `kenet.py:paper` has the width, kernels, patches and batch of the paper, and needs an
accelerator; its kernels have variances of 0.2 to 4 px^2.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import read_variant

FAMILIES = {"both": ("gaussian", "trajectory"), "gaussian": ("gaussian",), "motion": ("trajectory",)}


def get_config(variant: str = "both"):
    """`variant` is 'both', 'gaussian', 'motion' or 'paper'."""
    paper = read_variant(variant, name=(*FAMILIES, "paper"))["name"] == "paper"
    return ConfigDict(
        {
            "scale": config_dict.placeholder(int),  # 1 to 8
            "kernel_size": config_dict.placeholder(int),  # odd; default min(4 scale + 3, 21)
            "prior": {
                "families": FAMILIES["gaussian" if paper else variant],
                "weights": config_dict.placeholder(tuple),
                "gaussian": {"variance_range": (0.2, 4.0) if paper else config_dict.placeholder(object)},
                "line": {"length_range": config_dict.placeholder(tuple)},
                "trajectory": {"major_variance_range": config_dict.placeholder(object)},
            },
            "channels": 64 if paper else 16,  # of the first stage
            "hidden": 1024 if paper else 256,
            "reach": 0 if paper else 5,  # lags of the image's autocorrelation that the hidden layers see, LR pixels
            "precision": "bfloat16" if paper else "float32",  # of activations: float32, tf32 or bfloat16
            "loss": "attention",  # or l1
            "category_weight": 0.02,  # of the cross entropy of the family
            "lr_side": 96 if paper else 64,  # of an LR patch
            "noise_max": 0.0 if paper else 0.01,  # the noise of a patch is U(0, noise_max) strong, on the [0, 1] scale
            "jpeg_quality": config_dict.placeholder(tuple),  # (low, high) of whole numbers; None: no compression
            "batch_size": 64 if paper else 16,
            "num_epochs": 6000 if paper else 48,
            "steps_per_epoch": 100,
            "learning_rate": 1e-3 if paper else 2e-3,
            "schedule": "cosine",
            "warmup_steps": 200,
            "averaging": 0.999,
            "clip": 1.0,
            "weight_decay": 0.0,
            "validate_every": 8,  # epochs
            "validation_patches": 256,
            "seed": 0,
        }
    )
