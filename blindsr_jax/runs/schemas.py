"""Schemas of the documents of this program: which keys each has, and of what kind. That of a record is in `records`.

Keys may be added to a document at any time: readers take those that they do not know as they are, and a new one is not
required, as documents of earlier versions lack it.
"""

from blindsr_jax.imaging.problem import Status
from blindsr_jax.io.documents import (
    Key,
    anything,
    list_of,
    mapping_of,
    nullable,
    number,
    object_of,
    one_of,
    stem,
    text,
    whole,
)
from blindsr_jax.runs.seeds import MAX_SEED

SEED = whole(0, MAX_SEED)
BOUNDARY, CENTER = one_of("circular", "valid"), one_of("release", "aligned")

SHARED_KERNEL = "shared_kernel"  # key of the kernel that all images of a solve have
# WORKDIR/config.json of a solve; beside these keys stand the values of the config.
RUN = object_of(
    {
        "config": Key(text),
        "flags": Key(mapping_of(anything)),
        "kernel_sha256": Key(nullable(text), is_required=False),
        SHARED_KERNEL: Key(list_of(list_of(number)), is_required=False),
    }
)
TRAINING = mapping_of(anything)  # WORKDIR/config.json of a training: the values of the config

# WORKDIR/state/*/input.json: what the state of an unfinished image is made from.
NOTE = object_of({"name": Key(stem), "input": Key(text), "sha256": Key(nullable(text))})

# .lock: the process that works in a folder.
LOCK = object_of(
    {
        "pid": Key(whole(1, 2**31 - 1)),
        "host": Key(text, is_required=False),
        "boot": Key(text, is_required=False),
        "start": Key(text, is_required=False),
    }
)

# manifest.json of launch/degrade.py.
MANIFEST = list_of(
    object_of(
        {
            "name": Key(stem),
            "source": Key(text),
            "family": Key(text),
            "parameters": Key(mapping_of(anything)),
            "seed": Key(SEED),
            "scale": Key(whole(1, 8)),
            "kernel_size": Key(whole(1, 2**20)),
            "noise_std": Key(number),
            "boundary": Key(BOUNDARY),
            "kernel_center": Key(CENTER),
            "sha256": Key(text),
        }
    )
)

SCORE = Key(nullable(number), is_required=False)  # by the names of `metrics.SCORES`
# WORKDIR/scores.json.
SCORES = object_of({"images": Key(list_of(object_of({"name": Key(text)}))), "mean": Key(mapping_of(nullable(number)))})
# WORKDIR/cells/CASE__CONFIG__SEED.json of launch/table.py, beside its scores.
CELL_KEYS = {
    "case": Key(text),
    "config": Key(text),
    "seed": Key(SEED),
    "status": Key(one_of(*Status)),
    "seconds": Key(number),
    "peak_memory_mb": Key(number),
    "digest": Key(text),
}
