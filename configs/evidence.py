r"""Training of the learned evidence, a network that says how well a kernel fits an LR image, on sharp images.

    python launch/train_evidence.py --config=configs/evidence.py --config.scale=4 --input='train/*.jpg' \
        --validation='val/*.jpg' --workdir=out/evidence_x4

Kernels of all families, from nearly no blur to twice the benchmarks' variances, noise and JPEG. The default is a
narrow network for a CPU; `evidence.py:wide` is what an accelerator trains.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import read_variant
from configs.kenet import wide_prior


def get_config(variant: str = "narrow"):
    """`variant` is 'narrow' or 'wide'."""
    wide = read_variant(variant, name=("narrow", "wide"))["name"] == "wide"
    return ConfigDict(
        {
            "scale": config_dict.placeholder(int),  # 1 to 8
            "kernel_size": config_dict.placeholder(int),  # odd; default min(4 scale + 3, 21)
            "prior": wide_prior((0.35, 0.35, 0.1, 0.1, 0.1)),
            "kernel_pool": 65536 if wide else 16384,  # kernels, drawn before the training
            "channels": 32 if wide else 12,  # of the first stage
            "hidden": 512 if wide else 256,
            "features": 128,  # of the embeddings
            "reach": config_dict.placeholder(int),  # lags of the autocorrelation; default what a kernel reaches
            "precision": "bfloat16" if wide else "float32",  # of the trunk: float32, tf32 or bfloat16
            "others": 2048 if wide else 1024,  # kernels of the prior beside those of a batch
            "lr_side": 64 if wide else 40,  # of an LR patch
            "least_side": 24,  # of the part of it that is shown
            "noise_max": 15 / 255,  # strongest noise, on the [0, 1] scale; weak noise is more frequent
            "noisy": 0.7,  # share of the patches with noise
            "correlated": 0.5,  # of these: colours with noise that is not independent
            "gray": 0.15,  # share of the patches with three equal colours
            "jpeg": 0.3,  # share that is compressed
            "jpeg_quality": (40, 100),  # (low, high) of whole numbers; None: no compression
            "batch_size": 512 if wide else 96,
            "num_epochs": 200 if wide else 24,
            "steps_per_epoch": 100 if wide else 50,
            "seconds": config_dict.placeholder(float),  # it ends after so many at the latest, over all sittings
            "learning_rate": 1e-3,
            "schedule": "cosine",  # or constant, or clock: as 'seconds' go by
            "warmup_steps": 200,
            "averaging": 0.999 if wide else 0.99,
            "clip": 1.0,
            "weight_decay": 1e-4,
            "validate_every": 8,  # epochs
            "validation_patches": 512,
            "seed": 0,
        }
    )
