r"""Training of USRNet (Zhang et al. 2020), which restores an image whose kernel is known, on a folder of sharp images.

    python launch/train_usrnet.py --config=configs/usrnet.py --input='train/*.jpg' --validation='val/*.jpg' \
        --workdir=out/usrnet

One network for all scales, kernels and noise levels that are named here. The default has the sizes of the released
'tiny' network, `usrnet.py:cpu` fewer iterations and examples. --config.start=FILE.npz goes on from a trained network.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import read_variant


def get_config(variant: str = "gpu"):
    """`variant` is 'gpu' or 'cpu'."""
    gpu = read_variant(variant, machine=("cpu", "gpu"))["machine"] == "gpu"
    return ConfigDict(
        {
            "scales": (1, 2, 3, 4),  # each step has one of them, drawn at random
            "boundary": "valid",  # 'valid' for photographs, 'circular' as the paper
            "kernel_center": "aligned",  # 'aligned' for photographs, 'release' for benchmarks
            "prior": {
                "families": ("gaussian", "trajectory"),
                "weights": config_dict.placeholder(tuple),
                "gaussian": {"variance_range": config_dict.placeholder(object)},
                "line": {"length_range": config_dict.placeholder(tuple)},
                "trajectory": {"major_variance_range": config_dict.placeholder(object)},
            },
            "widths": (16, 32, 64, 64),  # channels of each level of the denoiser
            "blocks": 2,  # residual blocks a level
            "hidden": 32,  # units of the network that sets weights and noise levels
            "iterations": 6 if gpu else 3,
            "data_iterations": 10,  # of conjugate gradients, for 'valid'
            "precision": "tf32" if gpu else "float32",  # of the denoiser: float32, tf32 or bfloat16
            "start": config_dict.placeholder(str),  # .npz of a network of these sizes to go on from
            "side": 96 if gpu else 64,  # of a sharp patch, in pixels
            "noise_max": 25 / 255,  # the noise is U(0, noise_max) strong, on the [0, 1] scale
            "clean": 0.5,  # share of the examples without noise and with the true kernel
            # Beside noise, the kernel that the network is shown has up to this share of another one in it: kernels that
            # are estimates are never right. Who restores with an estimate tells the network of some noise.
            "kernel_error": 0.5,
            "batch_size": 32 if gpu else 4,
            "num_epochs": 300 if gpu else 50,
            "steps_per_epoch": 500 if gpu else 100,
            "learning_rate": 5e-4 if gpu else 1e-3,
            "schedule": "cosine",
            "warmup_steps": 200,
            "averaging": 0.999,
            "clip": 1.0,
            "weight_decay": 0.0,
            "validate_every": 10,  # epochs
            "validation_patches": 32,  # a scale
            "seed": 0,
        }
    )
