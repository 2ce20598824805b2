import sys

import jax
import numpy as np
import pytest

from blindsr_jax.kernels import family as families
from blindsr_jax.kernels import gaussian, geometry, line, trajectory
from tests.kernels import moments

EACH = {
    "gaussian": {},
    "gaussian released": {"exact_release": True},
    "line": {},
    "line released": {"release": True},
    "motion": {},
}
# How far the centre of mass may be off: the released kernels are only roughly centred.
OFF_CENTER = {"gaussian released": 0.1, "line released": 0.9}


def load(name, **options):
    return families.load_family(name.split()[0], **EACH[name], **options)


@pytest.mark.parametrize("kernel_center", geometry.CENTERS)
@pytest.mark.parametrize("name", EACH)
def test_ten_thousand_kernels_in_one_call(name, kernel_center):
    num = 10_000 if kernel_center == "release" else 100
    family = load(name, scale=4, kernel_center=kernel_center)
    kernels = np.asarray(families.sample_kernels(jax.random.key(0), family, num))
    assert kernels.shape == (num, 19, 19)
    assert np.isfinite(kernels).all()
    assert kernels.min() >= -1e-5
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)
    center = geometry.center(19, 4, kernel_center)
    np.testing.assert_allclose(moments.mean(kernels), center, atol=OFF_CENTER.get(name, 1e-4))
    assert len(np.unique(kernels[:100].reshape(100, -1), axis=0)) == 100


def test_mixture_of_ten_thousand_keeps_the_shares():
    members = [load("gaussian", scale=2), load("line", scale=2), load("motion", scale=2, num_points=32)]
    mixed = families.mixture(members, [0.5, 0.0, 1.5])
    kernels = np.asarray(families.sample_kernels(jax.random.key(1), mixed, 10_000))
    assert kernels.shape == (10_000, 11, 11)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)
    # Inside the window a Gaussian is positive everywhere, a trajectory hardly ever.
    smooth = (kernels[:, :10, :10] > 0).mean((1, 2)) == 1
    assert smooth.sum() == 2500
    assert 15 <= smooth[:100].sum() <= 35  # shuffled


def test_few_draws_of_a_mixture_are_random():
    mixed = families.mixture([load("gaussian", scale=2), load("line", scale=2)])
    firsts = [np.asarray(families.sample_kernels(jax.random.key(i), mixed, 1))[0] for i in range(12)]
    smooth = [bool((k[:10, :10] > 0).all()) for k in firsts]
    assert 0 < sum(smooth) < 12


def test_mixture_latents():
    members = (load("gaussian", scale=2), load("line", scale=2))
    mixed = families.mixture(members, [1, 3])
    latents = jax.vmap(mixed.sample)(jax.random.split(jax.random.key(2), 2000))
    assert float((latents.index == 1).mean()) == pytest.approx(0.75, abs=0.05)
    for i, weight in enumerate((0.25, 0.75)):
        latent = jax.tree.map(lambda x: x[0], latents)._replace(index=np.int32(i))
        own = latent.members[i]
        np.testing.assert_allclose(mixed.render(latent), members[i].render(own), atol=1e-7)
        wanted = np.log(weight) + float(members[i].log_prior(own))
        assert float(mixed.log_prior(latent)) == pytest.approx(wanted, rel=1e-5)
    for bad in ([], [1.0], [-1.0, 2.0], [0.0, 0.0]):
        with pytest.raises(ValueError):
            families.mixture(members, bad)
    with pytest.raises(ValueError):
        families.mixture([])


def test_nested_mixtures():
    inner = families.mixture([load("gaussian", scale=1), load("line", scale=1)])
    outer = families.mixture([inner, load("motion", scale=1, num_points=32)])
    kernels = families.sample_kernels(jax.random.key(3), outer, 100)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)


def test_shares_add_up():
    for num in (1, 7, 100, 10_001):
        for weights in ((1.0,), (0.5, 0.5), (1 / 3,) * 3, (0.1, 0.0, 0.9)):
            shares = families._shares(num, weights)
            assert sum(shares) == num
            assert all(abs(n - num * w) < 1 for n, w in zip(shares, weights, strict=True))


@pytest.mark.parametrize("name", EACH)
def test_same_key_same_bits_and_vmap(name):
    family = load(name, scale=3, **({"num_points": 32} if name == "motion" else {}))
    first, again, other = (
        np.asarray(families.sample_kernels(jax.random.key(k), family, 5, batch_size=2)) for k in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    keys = jax.random.split(jax.random.key(7), 5)

    def one(key):
        latent = family.sample(key)
        return family.render(latent), family.log_prior(latent)

    kernels, log_priors = jax.jit(jax.vmap(one))(keys)
    np.testing.assert_allclose(first, kernels, atol=1e-4)
    assert np.isfinite(log_priors).all()


@pytest.mark.parametrize("module", [gaussian, line, trajectory])
def test_families_are_hashable_and_built_once(module):
    assert module.family(scale=2) is module.family(scale=2)
    assert len({module.family(scale=2), module.family(scale=2), module.family(scale=3)}) == 2
    families.sample_kernels(jax.random.key(0), module.family(scale=2), 3)
    before = families.sample_kernels._cache_size()
    families.sample_kernels(jax.random.key(1), module.family(scale=2), 3)
    assert families.sample_kernels._cache_size() == before


def test_unhashable_options_are_accepted():
    assert gaussian.family(scale=2, variance_range=[1.0, 2.0]) is gaussian.family(scale=2, variance_range=(1.0, 2.0))


def test_unknown_families_are_named():
    for name in ("wobble", "geometry", "family"):
        with pytest.raises(ValueError, match=rf"{name}.*disc, folder, gaussian, impulse, line, motion, trajectory"):
            families.load_family(name, scale=2)


def test_a_new_family_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "dot.py").write_text(
        "import jax.numpy as jnp\n"
        "from blindsr_jax.kernels.family import KernelFamily\n"
        "def family(*, scale, kernel_size=None, kernel_center='release'):\n"
        "    one = jnp.zeros((kernel_size, kernel_size)).at[1, 1].set(1)\n"
        "    return KernelFamily('dot', lambda key: (), lambda latent: one, lambda latent: jnp.zeros(()))\n"
    )
    package = sys.modules["blindsr_jax.kernels"]
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    family = families.load_family("dot", scale=1, kernel_size=3)
    kernels = families.sample_kernels(jax.random.key(0), family, 4)
    assert kernels.shape == (4, 3, 3)
    monkeypatch.delitem(sys.modules, "blindsr_jax.kernels.dot")
