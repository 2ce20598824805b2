"""Numbers that papers print in their tables. PSNR in dB and SSIM of the luma; kernel PSNR in dB where there is one."""

from typing import NamedTuple


class Score(NamedTuple):
    """One entry of a printed table."""

    psnr_y: float
    ssim_y: float | None = None
    kernel_psnr: float | None = None


class Place(NamedTuple):
    """Of which problem a number is printed."""

    method: str
    dataset: str
    scale: int | None  # None: the paper does not say
    family: str


Printed = dict[Place, Score]
SETS = ("Set5", "Set14", "BSD100", "Urban100")
IMAGES = {"Set5": 5, "Set14": 14, "BSD100": 100, "Urban100": 100}  # of the whole sets
UNKNOWN = "not stated"

# DKP (Yang et al. 2024), table 2. The scale is that of its release, x4. None: the entry is missing.
_DKP = {
    "gaussian": {
        "Double-DIP": ((20.99, 0.5578), (18.31, 0.4426), (18.57, 0.3815), (18.15, 0.4491)),
        "DASR": ((27.37, 0.7859), (25.43, 0.6591), (25.11, 0.6129), (22.88, 0.6448)),
        "DIP-FKP": ((27.77, 0.7914), (25.65, 0.6764), (25.15, 0.6354), (22.89, 0.6327)),
        "BSRDM": ((27.81, 0.8029), (25.35, 0.6859), (25.61, 0.6526), (22.36, 0.6601)),
        "DCLS": ((27.50, 0.7948), (25.68, 0.6639), (25.34, 0.6169), (22.92, 0.6475)),
        "DiffBIR": ((25.15, 0.6468), (23.01, 0.5935), (23.88, 0.5586), (21.94, 0.5657)),
        "DARM": ((26.25, 0.6818), (24.19, 0.6187), (24.29, 0.5898), (22.14, 0.5967)),
        "DIP-DKP": ((28.03, 0.8039), (25.98, 0.6878), (25.66, 0.6531), None),
        "Diff-DKP": ((29.44, 0.8592), (26.76, 0.7400), (26.63, 0.7057), (23.92, 0.6875)),
    },
    "motion": {
        "Double-DIP": ((18.92, 0.4510), (20.41, 0.4847), (19.00, 0.3757), (15.42, 0.2932)),
        "DASR": ((24.21, 0.7252), (24.16, 0.6145), (22.47, 0.5836), (20.24, 0.5478)),
        "DIP-FKP": ((24.61, 0.7371), (24.21, 0.6227), (22.80, 0.5880), (20.33, 0.5572)),
        "BSRDM": ((24.01, 0.7098), (23.56, 0.6009), (22.62, 0.5791), (20.40, 0.5494)),
        "DCLS": ((24.78, 0.7323), (24.38, 0.6211), (22.74, 0.5922), (20.49, 0.5534)),
        "DiffBIR": ((23.63, 0.6367), (23.59, 0.6043), (22.35, 0.5784), (20.14, 0.5347)),
        "DARM": ((24.23, 0.7269), (23.95, 0.6294), (22.48, 0.5830), (20.58, 0.5595)),
        "DIP-DKP": ((25.30, 0.7417), (24.52, 0.6434), (23.02, 0.6136), (21.24, 0.5667)),
        "Diff-DKP": ((28.74, 0.8313), (26.03, 0.6719), (24.10, 0.6287), (22.26, 0.5862)),
    },
}

# DKP, table 1: the numbers of samples of its seven columns are not known, nor is the data set.
_SAMPLES = {
    "DIP-DKP": (20.99, 27.12, 28.44, 28.57, 28.52, 28.29, 28.03),
    "Diff-DKP": (21.97, 28.95, 29.40, 29.47, 29.76, 29.67, 29.26),
}

UNITS = (10, 100, 1000, 10000)  # per layer
# DKP, table 4: layers -> PSNR for each of UNITS; neither method nor data set are named.
NETWORKS = {
    1: (13.75, 23.57, 28.93, 28.24),
    3: (13.61, 28.97, 28.48, 28.35),
    5: (13.30, 28.81, 28.52, 26.65),
    7: (13.86, 28.30, 28.54, 27.93),
}

# KENet (Cao et al.), table 1.
_KENET = {
    2: {
        "Bicubic": ((28.54, 0.8571), (26.41, 0.7691), (26.32, 0.7156), (23.74, 0.7205)),
        "RCAN": ((28.71, 0.8713), (26.49, 0.7835), (26.58, 0.7386), (23.97, 0.7462)),
        "KernelGAN+ZSSR": ((25.19, 0.7693), (24.62, 0.7430), (25.45, 0.7411), (22.98, 0.7414)),
        "DAN": ((29.39, 0.8880), (27.18, 0.8153), (27.31, 0.7883), (24.84, 0.8025)),
        "MZSR": ((27.96, 0.8509), (27.78, 0.8131), (27.49, 0.8097), (25.79, 0.8210)),
        "KENet+USRNet": ((36.06, 0.9503), (32.11, 0.8978), (31.27, 0.8789), (29.15, 0.8889)),
        "GT kernel+USRNet": ((36.37, 0.9514), (32.56, 0.9021), (31.47, 0.8824), (30.13, 0.9023)),
    },
    4: {
        "Bicubic": ((24.29, 0.7261), (23.15, 0.6231), (23.79, 0.5979), (21.03, 0.5806)),
        "RCAN": ((23.70, 0.7329), (22.37, 0.6185), (22.71, 0.5836), (19.22, 0.5333)),
        "KernelGAN+ZSSR": ((17.31, 0.4388), (17.19, 0.4151), (17.34, 0.3879), (15.96, 0.4075)),
        "DAN": ((28.46, 0.8475), (26.10, 0.7380), (25.85, 0.6975), (23.22, 0.764)),
        "MZSR": ((28.79, 0.8543), (26.59, 0.7455), (26.15, 0.7086), (23.98, 0.7297)),
        "KENet+USRNet": ((31.23, 0.8835), (27.81, 0.7705), (27.04, 0.7224), (25.18, 0.7650)),
        "GT kernel+USRNet": ((31.35, 0.8851), (27.90, 0.7735), (27.11, 0.7260), (25.32, 0.7682)),
    },
}


def _over_sets(rows: dict, scale: int, family: str) -> Printed:
    places = (
        (method, dataset, entry) for method, row in rows.items() for dataset, entry in zip(SETS, row, strict=True)
    )
    return {Place(method, dataset, scale, family): Score(*entry) for method, dataset, entry in places if entry}


def dkp(family: str) -> Printed:
    """DKP's comparison for one family of kernels, 'gaussian' or 'motion'."""
    return _over_sets(_DKP[family], 4, family)


SAMPLES = {
    Place(f"{method} (column {column})", UNKNOWN, None, UNKNOWN): Score(psnr)
    for method, row in _SAMPLES.items()
    for column, psnr in zip("abcdefg", row, strict=True)
}
NETWORK = {
    Place(f"{layers} x {units} units", UNKNOWN, None, UNKNOWN): Score(psnr)
    for layers, row in NETWORKS.items()
    for units, psnr in zip(UNITS, row, strict=True)
}
KENET = _over_sets(_KENET[2], 2, "gaussian") | _over_sets(_KENET[4], 4, "gaussian")
# KENet, table 2: losses on BSD100.
KENET_LOSS = {
    Place("L1", "BSD100", 2, "gaussian"): Score(31.20, 0.8757, 59.52),
    Place("L_att", "BSD100", 2, "gaussian"): Score(31.27, 0.8789, 61.51),
    Place("L1", "BSD100", 4, "gaussian"): Score(26.95, 0.7265, 46.11),
    Place("L_att", "BSD100", 4, "gaussian"): Score(27.04, 0.7224, 57.36),
}
# KENet, table 3: kernel estimators, all with USRNet.
ESTIMATORS = {
    Place("KernelGAN", "Set5", 2, "gaussian"): Score(20.35, 0.6237, 35.48),
    Place("DIPFKP", "Set5", 2, "gaussian"): Score(28.27, 0.8801, 37.46),
    Place("KENet", "Set5", 2, "gaussian"): Score(36.06, 0.9503, 51.04),
    Place("GT kernel", "Set5", 2, "gaussian"): Score(36.37, 0.9514),
}
