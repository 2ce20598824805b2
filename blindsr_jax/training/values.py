"""The range of every value of the configs of trainings; the options of kernel families stand beside these."""

from collections.abc import Mapping
from typing import Any

from blindsr_jax.config import RULES as METHOD
from blindsr_jax.config import rules
from blindsr_jax.networks import evidence, unet
from blindsr_jax.networks.kenet import LARGEST_REACH, SMALLEST_SIDE
from blindsr_jax.networks.layers import PRECISIONS
from blindsr_jax.training.engine import SCHEDULES
from blindsr_jax.training.kenet_losses import LOSSES

Table = Mapping[str, rules.Rule]

_MANY = rules.whole(1, 10**6)
_SIDE = rules.whole(1, 4096)  # pixels
_WIDTH = rules.whole(1, 4096)  # channels
_UNITS = rules.whole(1, 65536)
_SHARE = rules.number(0, 1)
_PRIOR = {name: rule for name, rule in METHOD.items() if name.startswith("prior.")}
_KERNELS = {"scale": rules.whole(1, 8), "kernel_size": METHOD["kernel_size"], **_PRIOR}
_SEED = {"seed": rules.whole(0, 2**31 - 1)}
_POOL = {"kernel_pool": rules.whole(1, 10**7)}
# Of `corruption.Corruption`: what happens to the LR image of an example.
_CORRUPTION = {
    "noise_max": rules.NOISE,
    "noisy": _SHARE,
    "correlated": _SHARE,
    "gray": _SHARE,
    "jpeg": _SHARE,
    "jpeg_quality": rules.optional(rules.span(rules.whole(1, 100))),
}
ENGINE: Table = {
    **_SEED,
    "num_epochs": rules.STEPS,
    "steps_per_epoch": rules.STEPS,
    "batch_size": _MANY,
    "learning_rate": rules.RATE,
    "schedule": rules.choice(*SCHEDULES),
    "warmup_steps": rules.STEPS_FROM_0,
    "averaging": rules.below(0, 1),
    "clip": rules.above(0, 1e9),
    "weight_decay": rules.number(0, 1000),
    "validate_every": rules.STEPS,
    "seconds": rules.optional(rules.above(0, 1e9)),
}
FLOW: Table = {
    **_KERNELS,
    **_SEED,
    "kernels": rules.optional(rules.NAME),
    "smoothing": rules.number(0, 100),
    "num_blocks": rules.whole(1, 64),
    "hidden_size": rules.optional(_UNITS),
    "normalization": rules.optional(rules.above(0, 1e6)),
    "num_epochs": rules.STEPS,
    "kernels_per_epoch": rules.whole(1, 10**8),
    "batch_size": rules.whole(2, 10**6),  # a variance needs two
    "learning_rate": rules.RATE,
    "weight_decay": rules.number(0, 1000),
    "decay": rules.above(0, 1),
    "decay_at": rules.several(rules.above(0, 1), least=0),
    "half_precision": rules.FLAG,
    "sheet_every": rules.STEPS,
}
KENET: Table = {
    **_KERNELS,
    **_POOL,
    **_CORRUPTION,
    **ENGINE,
    "channels": _WIDTH,
    "hidden": _UNITS,
    "reach": rules.whole(0, LARGEST_REACH),
    "precision": rules.choice(*PRECISIONS),
    "loss": rules.choice(*LOSSES),
    "category_weight": rules.WEIGHT,
    "lr_side": rules.whole(SMALLEST_SIDE, 4096),
    "validation_patches": _MANY,
}
EVIDENCE: Table = {
    **_KERNELS,
    **_POOL,
    **_CORRUPTION,
    **ENGINE,
    "channels": _WIDTH,
    "hidden": _UNITS,
    "features": _UNITS,
    "reach": rules.optional(rules.whole(1, evidence.LARGEST_REACH)),
    "precision": rules.choice(*PRECISIONS),
    "others": _MANY,
    "lr_side": rules.whole(evidence.SMALLEST_SIDE, 4096),
    "least_side": rules.whole(evidence.SMALLEST_SIDE, 4096),
    "validation_patches": _MANY,
}
USRNET: Table = {
    **_PRIOR,
    **_POOL,
    **_CORRUPTION,
    **ENGINE,
    "scales": rules.several(rules.whole(1, 8)),
    "kernel_sizes": rules.optional(rules.several(rules.optional(rules.whole(1, 1025)))),
    "other_center": _SHARE,
    "wrong_kernel": _SHARE,
    "fold": rules.whole(1, 16),
    "boundary": METHOD["boundary"],
    "kernel_center": METHOD["kernel_center"],
    "widths": rules.several(_WIDTH, most=10),
    "blocks": rules.whole(1, 64),
    "hidden": _UNITS,
    "iterations": rules.whole(1, 100),
    "data_iterations": rules.whole(1, 1000),
    "precision": rules.choice(*PRECISIONS),
    "start": rules.optional(rules.FILE),
    "side": _SIDE,
    "clean": _SHARE,
    "kernel_error": _SHARE,
    "validation_patches": _MANY,
}
DIFFUSION: Table = {
    **ENGINE,
    "network.model_channels": _WIDTH,
    "network.channel_mult": rules.several(rules.whole(1, 64), most=10),
    "network.num_res_blocks": rules.whole(1, 64),
    "network.attention_rates": rules.several(rules.whole(1, 1024), least=0),
    "network.head_channels": _WIDTH,
    "network.patch": rules.whole(1, 64),
    "network.normalize": rules.FLAG,
    "network.precision": rules.choice(*unet.PRECISIONS),
    "network.checkpoint": rules.FLAG,
    "learn_variance": rules.FLAG,
    "patch_size": _SIDE,
    "time_power": rules.above(0, 100),
    "noise_levels": rules.several(rules.number(0, 255)),
    "validation_size": _SIDE,
    "validation_images": _MANY,
}


def check(config: Any, table: Table) -> None:
    """Checks a training's config (a ConfigDict); `methods.families.build_family` checks the options of kernel families.

    Raises:
      ValueError: names the value and what was expected.
    """
    values = config.to_dict()
    if "prior" in values:
        values["prior"] = {name: values["prior"].get(name) for name in ("families", "weights")}
    rules.check(values, table)
