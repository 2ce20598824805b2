"""The tables of the papers as protocols: which methods, on which sets, scales and kernels, beside which numbers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from blindsr_jax.evaluation import published
from blindsr_jax.evaluation.published import SETS, Printed

NO_VALUES: Mapping[str, Any] = MappingProxyType({})
SAMPLES = (0, 1, 2, 5, 10, 50, 500, 5000)  # random kernels of a prior step


class Method(NamedTuple):
    """A row of a table."""

    label: str  # that of the paper where it prints the method
    config: str  # NAME or NAME:ARGUMENT of configs/
    values: Mapping[str, Any] = NO_VALUES  # of the config, by dotted name
    is_ceiling: bool = False  # under the true kernel
    scales: tuple[int, ...] | None = None  # that the method knows; None: all
    needs: str | None = None  # value of the config that a file of --weights is for; without that it is left out
    has_kernel: bool = True  # whether the scores of the kernel say something of the method
    curve: tuple[str, int] | None = None  # of the figure of an ablation: name of a curve, and place on its axis


class Table(NamedTuple):
    """A table of a paper."""

    name: str
    title: str
    methods: tuple[Method, ...]
    datasets: tuple[str, ...]
    scales: tuple[int, ...]
    families: tuple[str, ...]
    printed: Printed
    note: str  # what is not known of the printed numbers, and what differs here
    variance_range: tuple[float, float] | None = None  # of Gaussian kernels, px^2; None: that of the family
    kernel_sizes: Mapping[int, int] = NO_VALUES  # by scale; others are the default
    keys: tuple[str, ...] = ("psnr_y", "ssim_y", "kernel_psnr", "seconds")
    axis: str | None = None  # of the figure of an ablation, whose methods have a `curve`


BICUBIC = Method("Bicubic", "pipeline:mean+cubic", has_kernel=False)


def _plain(family: str) -> tuple[Method, ...]:
    """What every table has: enlargement, and deconvolution with the mean kernel and with the true one."""
    mean = f"pipeline:mean+{{}}+{family}"
    return (
        BICUBIC,
        Method("Richardson-Lucy (mean kernel)", mean.format("richardson_lucy")),
        Method("Wiener (mean kernel)", mean.format("wiener")),
        Method("Richardson-Lucy (true kernel)", mean.format("richardson_lucy"), is_ceiling=True, has_kernel=False),
    )


def _dkp(family: str) -> tuple[Method, ...]:
    fkp = {} if family == "gaussian" else {"kernel.weights": "trajectory"}
    return (
        *_plain(family),
        Method("KENet + USRNet", "pipeline:kenet+usrnet", scales=(2, 4)),
        Method("Double-DIP", "double_dip"),
        Method("DIP-FKP", "dip_fkp_release", fkp),
        Method("DIP-DKP", f"dip_dkp_release:{family}"),
        Method("dip_dkp", "dip_dkp"),
        Method("dip_dkp (true kernel)", "dip_dkp", is_ceiling=True, has_kernel=False),
        Method("diff_dkp", "diff_dkp"),
        Method("Diff-DKP", "diff_dkp_imagenet", needs="image.weights"),
    )


_DKP_NOTE = (
    "The paper's scale is not known, that of its release is x4. Its Diff-DKP has a diffusion network trained on "
    "ImageNet; `diff_dkp` has the small one that is shipped, and `--weights=Diff-DKP=FILE` takes the large one."
)
_MOTION = (
    " The paper's motion kernels were not released: those here are drawn by `kernels/trajectory.py`, and differences "
    "to the printed numbers are those of the kernels too."
)


def _without(family: str) -> tuple[Method, ...]:
    config = f"dip_dkp_release:{family}"
    return (
        Method("DIP-DKP", config),
        Method("without RKS", config, {"kernel.without": "rks"}),
        Method("without PKE", config, {"kernel.without": "pke", "kernel.learning_rate": 0.05}),
        Method("without NLD", config, {"kernel.without": "nld"}),
    )


def _samples() -> tuple[Method, ...]:
    values = ({"kernel.num_samples": n} if n else {"kernel.without": "rks"} for n in SAMPLES)
    return tuple(
        Method(f"DIP-DKP (L = {n})", "dip_dkp_release", v, curve=("DIP-DKP", n))
        for n, v in zip(SAMPLES, values, strict=True)
    )


def _networks() -> tuple[Method, ...]:
    places = ((layers, units) for layers in published.NETWORKS for units in published.UNITS)
    return tuple(
        Method(
            f"{n} x {units} units",
            "dip_dkp_release",
            {"kernel.layers": n, "kernel.hidden": units},
            curve=(f"{n} layer{'s' if n > 1 else ''}", units),
        )
        for n, units in places
    )


_FKP = (
    *_plain("gaussian"),
    Method("KernelGAN + USRNet", "pipeline:kernelgan+usrnet+gaussian", scales=(2, 4)),
    Method("KernelGAN-FKP + USRNet", "pipeline:kernelgan_fkp+usrnet+gaussian", scales=(2, 4)),
    Method("Double-DIP", "double_dip"),
    Method("DIP-Softmax", "dip_softmax"),
    Method("DIP-FKP", "dip_fkp_release"),
    Method("dip_dkp", "dip_dkp"),
    Method("true kernel + USRNet", "pipeline:mean+usrnet", is_ceiling=True, has_kernel=False),
)
_KENET_NOTE = (
    "The paper's 'width' is taken for a variance, of 0.2 to 4 px^2, and its kernels for centred as those of FKP; "
    "whether its bicubic was moved to where such kernels put the image it does not say, here it is. The shipped KENet "
    "was trained on other kernels too, the shipped USRNet is a small one: `--weights=LABEL=FILE` takes others."
)
_KENET_PROBLEM = {"families": ("gaussian",), "variance_range": (0.2, 4.0), "kernel_sizes": {2: 11, 4: 21}}


def _with_usrnet(label: str, estimator: str, **options: Any) -> Method:
    return Method(label, f"pipeline:{estimator}+usrnet+gaussian", **options)


_ALL = (
    Table(
        "dkp_gaussian",
        "DKP (Yang et al. 2024), table 2, Gaussian kernels",
        _dkp("gaussian"),
        SETS,
        (4,),
        ("gaussian",),
        published.dkp("gaussian"),
        _DKP_NOTE,
    ),
    Table(
        "dkp_motion",
        "DKP (Yang et al. 2024), table 2, motion kernels",
        _dkp("motion"),
        SETS,
        (4,),
        ("motion",),
        published.dkp("motion"),
        _DKP_NOTE + _MOTION,
    ),
    Table(
        "dkp_samples",
        "DKP (Yang et al. 2024), table 1, the number L of random kernels",
        _samples(),
        ("Set5",),
        (4,),
        ("gaussian",),
        published.SAMPLES,
        "Neither the values of L of the seven printed columns nor their data set are known. L = 0 is without RKS.",
        axis="random kernels of a prior step, L",
    ),
    Table(
        "dkp_network",
        "DKP (Yang et al. 2024), table 4, the kernel network",
        _networks(),
        ("Set5",),
        (4,),
        ("gaussian",),
        published.NETWORK,
        "The paper names neither method nor data set, nor what counts as a layer: here hidden layers of DIP-DKP.",
        axis="units of each layer",
    ),
    *(
        Table(
            f"dkp_ablation{suffix}",
            f"DKP (Yang et al. 2024), table 3, what each of its parts does; {family} kernels",
            _without(family),
            ("Set5",),
            (4,),
            (family,),
            {},
            "The numbers of the paper are not known. Without PKE the entries of the kernel are free, at a learning "
            "rate of 0.05; without NLD random kernels alone move the kernel.",
        )
        for suffix, family in (("", "gaussian"), ("_motion", "motion"))
    ),
    Table(
        "dkp_cost",
        "DKP (Yang et al. 2024), time and memory",
        _dkp("gaussian"),
        ("Set5",),
        (4,),
        ("gaussian",),
        {},
        "The numbers of the paper are not known. Seconds are without compilation; memory is estimated from the "
        "program of a solve (`solvers/memory.py`).",
        keys=("psnr_y", "seconds", "estimated_memory_mb"),
    ),
    Table(
        "fkp_main",
        "FKP (Liang et al. 2021), its comparison",
        _FKP,
        SETS,
        (2, 3, 4),
        ("gaussian",),
        {},
        "The numbers of the paper are not known; they are means of five runs, `--seeds=5`.",
    ),
    Table(
        "kenet_main",
        "KENet (Cao et al.), table 1",
        (
            *_plain("gaussian"),
            Method("KernelGAN+ZSSR", "pipeline:kernelgan+zssr+gaussian"),
            _with_usrnet("KENet+USRNet", "kenet"),
            _with_usrnet("GT kernel+USRNet", "mean", is_ceiling=True, has_kernel=False),
        ),
        SETS,
        (2, 4),
        printed=published.KENET,
        note=_KENET_NOTE,
        **_KENET_PROBLEM,
    ),
    Table(
        "kenet_loss",
        "KENet (Cao et al.), table 2, losses",
        (
            _with_usrnet("L1", "kenet", needs="estimators.kenet.weights"),
            _with_usrnet("L_att", "kenet"),
        ),
        ("BSD100",),
        (2, 4),
        printed=published.KENET_LOSS,
        note=_KENET_NOTE + " No network trained with L1 is shipped: `launch/train_kenet.py` makes one, and "
        "`--weights='L1=out/l1_x{scale}.npz'` brings it in.",
        **_KENET_PROBLEM,
    ),
    Table(
        "kernel_estimators",
        "KENet (Cao et al.), table 3, kernel estimators",
        (
            _with_usrnet("mean kernel", "mean"),
            _with_usrnet("self_similarity", "self_similarity"),
            _with_usrnet("posterior", "posterior"),
            _with_usrnet("KENet", "kenet"),
            _with_usrnet("KernelGAN", "kernelgan"),
            _with_usrnet("KernelGAN-FKP", "kernelgan_fkp"),
            _with_usrnet("DIPFKP", "dip_fkp"),
            _with_usrnet("GT kernel", "mean", is_ceiling=True, has_kernel=False),
        ),
        ("Set5",),
        (2,),
        printed=published.ESTIMATORS,
        note=_KENET_NOTE
        + " DIPFKP has the settings of `configs/dip_fkp.py`; as in the paper its kernel goes to USRNet.",
        **_KENET_PROBLEM,
    ),
)
TABLES = {table.name: table for table in _ALL}
