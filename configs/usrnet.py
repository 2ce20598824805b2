r"""Training of USRNet (Zhang et al. 2020), which restores an image whose kernel is known, on a folder of sharp images.

    python launch/train_usrnet.py --config=configs/usrnet.py --input='train/*.jpg' --validation='val/*.jpg' \
        --workdir=out/usrnet

One network for all scales, kernels and noise levels that are named here; `usrnet.py:cpu` has fewer examples.
--config.start=FILE.npz goes on from a trained network. The released 'tiny' network has the sizes
--config.widths=(16,32,64,64) --config.iterations=6 --config.fold=1.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import read_variant
from configs.kenet import wide_prior


def get_config(variant: str = "gpu"):
    """`variant` is 'gpu' or 'cpu'."""
    gpu = read_variant(variant, machine=("cpu", "gpu"))["machine"] == "gpu"
    return ConfigDict(
        {
            "scales": (1, 2, 3, 4),  # each step has one of them, drawn at random
            "kernel_sizes": (21, 15, 19, 21),  # one per scale, odd; the network itself takes any
            "boundary": "valid",  # 'valid' for photographs, 'circular' as the paper
            "kernel_center": "aligned",  # 'aligned' for photographs, 'release' for benchmarks
            "other_center": 0.5,  # share of the kernels that are centred as the other one of these says
            "prior": wide_prior((0.35, 0.25, 0.1, 0.15, 0.15)),
            "kernel_pool": 16384 if gpu else 2048,  # kernels per scale, drawn before the training
            "widths": (64, 96, 128),  # channels of each level of the denoiser
            "blocks": 2,  # residual blocks a level
            "hidden": 32,  # units of the network that sets weights and noise levels
            "iterations": 3,
            "fold": 2,  # pixels: side of the blocks that the denoiser sees as one; 1 as the paper
            "data_iterations": 5,  # of conjugate gradients, for 'valid'
            "precision": "bfloat16" if gpu else "float32",  # of the denoiser: float32, tf32 or bfloat16
            "start": config_dict.placeholder(str),  # .npz of a network of these sizes to go on from
            "side": 96 if gpu else 64,  # of a sharp patch, in pixels
            # Shares of examples. Each is clean and comes with the true kernel, or may have any of what follows; the
            # network is told how strong the noise is, and of JPEG what it changed.
            "clean": 0.15,
            "noisy": 0.6,
            "noise_max": 25 / 255,  # strongest noise, on the [0, 1] scale
            "correlated": 0.5,  # of the noisy ones: colours with noise that is not independent
            "gray": 0.1,
            "jpeg": 0.3,
            "jpeg_quality": (40, 100),  # (low, high) of whole numbers; None: no compression
            "wrong_kernel": 0.4,  # an estimate is never right
            "kernel_error": 0.5,  # largest share of another kernel in such a one
            "batch_size": 32 if gpu else 4,
            "num_epochs": 300 if gpu else 50,
            "steps_per_epoch": 500 if gpu else 100,
            "seconds": config_dict.placeholder(float),  # it ends after so many at the latest, over all sittings
            "learning_rate": 7e-4 if gpu else 1e-3,
            "schedule": "cosine",  # or constant, or clock: as 'seconds' go by
            "warmup_steps": 200,
            "averaging": 0.999,
            "clip": 1.0,
            "weight_decay": 0.0,
            "validate_every": 10,  # epochs
            "validation_patches": 32,  # per scale
            "seed": 0,
        }
    )
