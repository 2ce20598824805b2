r"""Training of KENet, which names the blur kernel of an LR image in one pass, on a folder of sharp images.

    python launch/train_kenet.py --config=configs/kenet.py --config.scale=4 --input='train/*.jpg' \
        --validation='val/*.jpg' --workdir=out/kenet_x4

The default is a narrow network for a CPU, on Gaussian and motion kernels alike; `kenet.py:gaussian` and
`kenet.py:motion` know one family. Two need an accelerator: `kenet.py:wide` knows all families, from half to twice their
variances, with noise and JPEG; `kenet.py:paper` has the width, kernels, patches and batch of the paper, its kernels
have variances of 0.2 to 4 px^2.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import read_variant

FAMILIES = {
    "wide": ("gaussian", "trajectory", "line", "disc", "impulse"),
    "both": ("gaussian", "trajectory"),
    "gaussian": ("gaussian",),
    "motion": ("trajectory",),
}


def wide_prior(weights):
    """All families, from half to twice the benchmarks' variances, in the shares of `weights`."""
    return {
        "families": FAMILIES["wide"],
        "weights": weights,
        "gaussian": {"variance_range": "wide"},
        "trajectory": {"major_variance_range": "wide"},
        "line": {"length_range": "wide"},
        "disc": {"radius_range": "wide"},
        "impulse": {"variance_range": config_dict.placeholder(tuple)},
    }


def get_config(variant: str = "both"):
    """`variant` is 'both', 'gaussian', 'motion', 'wide' or 'paper'."""
    variant = read_variant(variant, name=(*FAMILIES, "paper"))["name"]
    paper, wide = variant == "paper", variant == "wide"
    narrow_prior = {
        "families": FAMILIES["gaussian" if paper else variant],
        "weights": config_dict.placeholder(tuple),
        "gaussian": {"variance_range": (0.2, 4.0) if paper else config_dict.placeholder(object)},
        "line": {"length_range": config_dict.placeholder(tuple)},
        "trajectory": {"major_variance_range": config_dict.placeholder(object)},
    }
    return ConfigDict(
        {
            "scale": config_dict.placeholder(int),  # 1 to 8
            "kernel_size": config_dict.placeholder(int),  # odd; default min(4 scale + 3, 21)
            "prior": wide_prior((0.35, 0.3, 0.1, 0.15, 0.1)) if wide else narrow_prior,
            "kernel_pool": 65536 if wide else 8192,  # kernels, drawn before the training
            "channels": 64 if paper else 32 if wide else 16,  # of the first stage
            "hidden": 1024 if paper else 512 if wide else 256,
            "reach": 0 if paper else 5,  # lags of the image's autocorrelation that the hidden layers see, LR pixels
            "precision": "bfloat16" if paper or wide else "float32",  # of activations: float32, tf32 or bfloat16
            "loss": "attention",  # or l1
            "category_weight": 0.02,  # of the cross entropy of the family
            "lr_side": 96 if paper else 64,  # of an LR patch
            "noise_max": 0.0 if paper else 15 / 255 if wide else 0.01,  # strongest noise, on the [0, 1] scale
            "noisy": 0.7 if wide else 1.0,  # share of the patches with noise
            "correlated": 0.5 if wide else 0.0,  # of these: colours with noise that is not independent
            "gray": 0.1 if wide else 0.0,  # share of the patches with three equal colours
            "jpeg": 0.4 if wide else 1.0,  # share that is compressed, if `jpeg_quality` is given
            # (low, high) of whole numbers; None: no compression
            "jpeg_quality": (40, 100) if wide else config_dict.placeholder(tuple),
            "batch_size": 256 if wide else 64 if paper else 16,
            "num_epochs": 6000 if paper else 200 if wide else 48,
            "steps_per_epoch": 100,
            "seconds": config_dict.placeholder(float),  # it ends after so many at the latest, over all sittings
            "learning_rate": 1e-3 if paper or wide else 2e-3,
            "schedule": "cosine",  # or constant, or clock: as 'seconds' go by
            "warmup_steps": 200,
            "averaging": 0.999,
            "clip": 1.0,
            "weight_decay": 0.0,
            "validate_every": 8,  # epochs
            "validation_patches": 256,
            "seed": 0,
        }
    )
