"""Package definition of blindsr_jax. The CPU build of jax is the default; the extras add accelerators."""

from setuptools import find_packages, setup

JAX = ">=0.10.2,<0.12"  # earlier ones fill stderr with false warnings about the processor
SCIKIT_IMAGE = "scikit-image>=0.25,<0.27"
TESTS = [
    "pytest>=8,<10",
    "pytest-xdist>=3.6,<4",
    "hypothesis>=6.130,<7",  # laws of the maths on values that nobody would write down
    SCIKIT_IMAGE,
    "imagecodecs>=2025.3,<2028",
    "build>=1.2,<2",
]
LINT = ["ruff==0.17.5", "pyrefly==1.4.1"]
# Drives an installed Chromium through the page of a run; without one these tests are skipped.
BROWSER = ["playwright>=1.50,<2"]
DOCS = ["mkdocs>=1.6,<2", "mkdocstrings[python]>=1.0,<2", "mkdocs-api-autonav>=0.4,<0.5"]

setup(
    name="blindsr_jax",
    version="0.1.0",
    description="Blind image super-resolution in JAX: estimate the blur kernel and the sharp image.",
    license="Apache-2.0",
    python_requires=">=3.11",
    # In a wheel, configs/ and launch/ lie inside the package; see `folder_beside_package` in blindsr_jax/config.
    packages=[*find_packages(include=["blindsr_jax", "blindsr_jax.*"]), "blindsr_jax.configs", "blindsr_jax.launch"],
    package_dir={"blindsr_jax.configs": "configs", "blindsr_jax.launch": "launch"},
    entry_points={"console_scripts": ["blindsr = blindsr_jax.runs.main:main"]},
    package_data={"blindsr_jax": ["py.typed"], "blindsr_jax.runs": ["web/*"], "blindsr_jax.weights": ["files/**/*"]},
    install_requires=[
        f"jax{JAX}",
        "flax>=0.12.7,<0.13",
        "optax>=0.2.8,<0.3",
        "distrax>=0.1.9,<0.2",
        "orbax-checkpoint>=0.12,<0.13",
        "numpy>=2.0,<3",
        "scipy>=1.14,<2",
        "imageio>=2.37,<3",
        "pillow>=11,<14",
        "tifffile>=2025.3,<2028",
        "absl-py>=2.1,<3",
        "ml_collections>=1.1,<2",
        "matplotlib>=3.10.7,<4",
        "tqdm>=4.66,<5",
        "filelock>=3.16,<5",
    ],
    extras_require={
        # Compressed TIFF with more than 8 bits; tifffile reads the others alone.
        "tiff": ["imagecodecs>=2025.3,<2028"],
        # The restorers richardson_lucy and wiener, which are there to be compared with: no method of ours needs it.
        "baselines": [SCIKIT_IMAGE],
        # Columns of launch/reproduce.py (`--scores`); neither package loads anything else.
        "perceptual": ["ssimulacra2>=0.3,<0.4", "flip-evaluator>=1.7,<2"],
        "cuda12": [f"jax[cuda12]{JAX}"],
        "tpu": [f"jax[tpu]{JAX}"],
        "test": TESTS,
        "dev": [*TESTS, *BROWSER, *LINT, *DOCS],
        "docs": DOCS,
    },
)
