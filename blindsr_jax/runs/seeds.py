"""Where the randomness of a run comes from: its seed, and a key per image."""

import zlib

import jax

MAX_SEED = 2**32 - 1


def image_key(seed: int, name: str) -> jax.Array:
    """The key of an image: from the seed and the image's name, never from its place in a list."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode("utf-8", "backslashreplace")))
