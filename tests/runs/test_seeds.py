import jax

from blindsr_jax.runs import seeds


def test_image_key_depends_on_seed_and_name():
    keys = {tuple(jax.random.key_data(seeds.image_key(*args)).tolist()) for args in [(0, "a"), (0, "b"), (1, "a")]}
    assert len(keys) == 3
    assert (seeds.image_key(seeds.MAX_SEED, "é") == seeds.image_key(seeds.MAX_SEED, "é")).all()
