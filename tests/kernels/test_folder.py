"""A folder of kernels as a family: read once, centred as the problem wants them, refused where they are none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from blindsr_jax import io
from blindsr_jax.config import base_config
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family, sample_kernels
from blindsr_jax.methods.families import build_family


@pytest.fixture
def folder(tmp_path):
    for seed, (name, size) in enumerate((("a.npy", 9), ("b.mat", 11), ("c.npy", 17))):
        kernel = np.zeros((size, size))
        kernel[size // 2, 2 + seed : size - 3] = 1
        kernel[2 : size // 2, 3] += 0.5
        kernel = ndimage.gaussian_filter(kernel, 0.8)  # what sub-pixel shifts can move
        (io.write_kernel_mat if name.endswith("mat") else io.write_kernel)(tmp_path / name, kernel)
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


@pytest.mark.parametrize("center", ["release", "aligned"])
def test_draws_are_the_files_with_their_centre_in_place(folder, center):
    options = {"scale": 4, "kernel_center": center, "path": str(folder)}
    family = load_family("folder", **options)
    assert family is load_family("folder", **options)
    drawn = np.asarray(sample_kernels(jax.random.key(0), family, 60))
    assert drawn.shape == (60, 19, 19) and len({kernel.tobytes() for kernel in drawn}) == 3
    np.testing.assert_allclose(drawn.sum((1, 2)), 1, rtol=1e-5)
    assert drawn.min() >= 0
    centres = jax.vmap(geometry.center_of_mass)(jnp.asarray(drawn))
    np.testing.assert_allclose(centres, geometry.center(19, 4, center), atol=0.05)
    for index, name in enumerate(("a.npy", "b.mat", "c.npy")):
        own = np.linalg.eigvalsh(geometry.covariance(jnp.asarray(io.read_kernel(folder / name), jnp.float32)))
        latent = family.sample(jax.random.key(0))._replace(index=jnp.int32(index))
        found = np.linalg.eigvalsh(geometry.covariance(family.render(latent)))
        np.testing.assert_allclose(found, own, rtol=0.05, atol=0.05)
        np.testing.assert_allclose(family.log_prior(latent), -np.log(3), rtol=1e-5)
    assert family.log_prior(latent._replace(index=jnp.int32(3))) == -np.inf


def test_a_config_names_the_folder(folder):
    prior = base_config().prior
    prior.families, prior.folder.path = ("folder",), f"{folder}/*.npy"
    family = build_family(prior, make_spec(scale=4))
    assert len({k.tobytes() for k in np.asarray(sample_kernels(jax.random.key(0), family, 40))}) == 2
    prior.folder.path = None
    with pytest.raises(ValueError, match="has no path"):
        build_family(prior, make_spec(scale=4))


def test_what_is_no_kernel_is_named(folder, tmp_path):
    np.save(folder / "d.npy", -np.ones((5, 5)))
    with pytest.raises(ValueError, match=r"d\.npy"):
        load_family("folder", scale=4, path=str(folder))
    (folder / "d.npy").unlink()
    with pytest.raises(ValueError, match=r"c\.npy.*outside 7 x 7 pixels"):
        load_family("folder", scale=2, kernel_size=7, path=f"{folder}/c.npy")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no kernels"):
        load_family("folder", scale=4, path=str(tmp_path / "none"))
    with pytest.raises(ValueError, match="no file matches"):
        load_family("folder", scale=4, path=f"{tmp_path}/*.xyz")
