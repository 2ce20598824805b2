r"""Training of a small diffusion prior (Ho et al. 2020) on a folder of images.

    python launch/train_diffusion.py --config=configs/diffusion.py --input='train/*.jpg' --validation='val/*.jpg' \
        --workdir=out/prior

The network is that of guided diffusion without attention, at half resolution: pixels of 2 x 2 become channels. The
default is for a CPU; `diffusion.py:gpu` is wider and sees more images.
"""

from ml_collections import ConfigDict

from blindsr_jax.config import read_variant


def get_config(variant: str = "cpu"):
    """`variant` is 'cpu' or 'gpu'."""
    gpu = read_variant(variant, machine=("cpu", "gpu"))["machine"] == "gpu"
    return ConfigDict(
        {
            "network": {
                "model_channels": 64 if gpu else 32,
                "channel_mult": (1, 2, 3, 4) if gpu else (1, 2, 3),
                "num_res_blocks": 2 if gpu else 1,
                "attention_rates": (),  # rates of down-sampling whose levels have attention
                "head_channels": 64,
                "patch": 2,  # pixels of p x p become channels
                "normalize": False,
                "precision": "bfloat16" if gpu else "float32",
                "checkpoint": False,
            },
            "learn_variance": False,  # as the released networks; the image model uses the posterior variance
            "patch_size": 128 if gpu else 64,
            "time_power": 2.0,  # times are 1000 u^power: little noise is trained more often than much
            "batch_size": 64 if gpu else 8,
            "num_epochs": 200 if gpu else 120,
            "steps_per_epoch": 500 if gpu else 100,
            "learning_rate": 5e-4 if gpu else 1e-3,
            "schedule": "cosine",
            "warmup_steps": 200,
            "averaging": 0.999,
            "clip": 1.0,
            "weight_decay": 0.0,
            "validate_every": 10,  # epochs
            "noise_levels": (10.0, 25.0, 50.0),  # of the validation, in 255ths
            "validation_size": 128,  # side of the middle of each validation image
            "validation_images": 24,
            "seed": 0,
        }
    )
