"""The config that all configs start from, with every name that all methods share."""

from ml_collections import ConfigDict, config_dict


def base_config() -> ConfigDict:
    """Shared values. `image` and `kernel` name a file in `image_models` and `kernel_models`, plus its options."""
    return ConfigDict(
        {
            "boundary": "valid",  # 'valid' for photographs, 'circular' for benchmarks
            "kernel_center": "aligned",  # 'aligned' for photographs, 'release' for benchmarks
            "kernel_size": config_dict.placeholder(int),  # odd; default min(4 scale + 3, 21)
            "num_steps": 1000,  # updates of the image half
            "ssim_steps": 80,  # the first of them descend 1 - SSIM, the others the squared error
            "chunk_steps": 50,  # steps between two reports
            "averaging": 0.0,  # decay of the running mean that is returned; 0 returns the last step
            "image": {"name": "dip"},
            "kernel": {"name": "dkp"},
            # Where random kernels come from: files of `kernels`, and options of each (None is the family's default).
            "prior": {
                "families": ("gaussian",),
                "weights": config_dict.placeholder(tuple),
                "gaussian": {"variance_range": config_dict.placeholder(object)},
                "line": {"length_range": config_dict.placeholder(tuple)},
                "trajectory": {"major_variance_range": config_dict.placeholder(tuple)},
            },
        }
    )
