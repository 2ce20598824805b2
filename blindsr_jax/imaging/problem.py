"""What a solver is given and what it returns. The ground truth has no place in either."""

import dataclasses
import enum
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

from blindsr_jax.kernels import geometry

BOUNDARIES = ("circular", "valid")


class Spec(NamedTuple):
    """The static part of a problem, y = (k * x) downsampled by `scale`; hashable, so programs compile once per spec."""

    scale: int  # 1 to 8
    kernel_size: int  # odd
    boundary: str  # 'circular' (benchmarks) or 'valid' (photographs)
    kernel_center: str  # 'release' or 'aligned', see kernels.geometry.center

    @property
    def center(self) -> float:
        """Centre of mass that kernels of this problem have on both axes, in pixels from the first row or column."""
        return geometry.center(self.kernel_size, self.scale, self.kernel_center)

    def canvas_shape(self, lr_shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the unknown image: s h + k - s for 'valid', s h for 'circular'."""
        margin = self.kernel_size - self.scale if self.boundary == "valid" else 0
        h, w = lr_shape[-3:-1]
        return self.scale * h + margin, self.scale * w + margin

    def crop(self, canvas: jax.Array, lr_shape: tuple[int, ...]) -> jax.Array:
        """The part of a canvas (..., H, W, C) that lies over the LR image: (..., s h, s w, C)."""
        if self.boundary == "circular":
            return canvas
        first = (self.kernel_size - 1) // 2
        h, w = (self.scale * n for n in lr_shape[-3:-1])
        return canvas[..., first : first + h, first : first + w, :]


def least_kernel_size(scale: int, boundary: str) -> int:
    """The smallest kernel of a problem: a 'valid' canvas, which it makes larger, must reach over the whole image."""
    return max(3, 2 * scale - 1 if boundary == "valid" else scale)


def make_spec(
    *,
    scale: int,
    kernel_size: int | None = None,
    boundary: str = "valid",
    kernel_center: str = "aligned",
) -> Spec:
    """Checks the values and fills in the default kernel size min(4 s + 3, 21).

    Raises:
      ValueError: names the value and what was expected.
    """
    if scale not in range(1, 9):
        raise ValueError(f"scale is {scale}, expected a whole number from 1 to 8")
    if boundary not in BOUNDARIES:
        raise ValueError(f"boundary is {boundary!r}, expected one of {', '.join(BOUNDARIES)}")
    size = geometry.default_kernel_size(scale) if kernel_size is None else kernel_size
    least = least_kernel_size(scale, boundary)
    if size < least or size % 2 == 0:
        raise ValueError(f"kernel_size is {size}, expected an odd number of at least {least} at scale {scale}")
    geometry.center(size, scale, kernel_center)  # refuses an unknown name
    return Spec(scale, size, boundary, kernel_center)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Problem:
    """One blind super-resolution problem (a stack of problems has a leading axis on `lr`)."""

    lr: jax.Array  # (h, w, c) in [0, 1]
    spec: Spec = dataclasses.field(metadata={"static": True})
    # (), the standard deviation of the noise in `lr` on the same scale, compression told as noise; None: not known
    noise_std: jax.Array | None = None
    mask: jax.Array | None = None  # (h, w, c) bool, whether a value of `lr` tells of the scene; None: all do

    @property
    def known_noise(self) -> jax.Array:
        """(), `noise_std`, or 0 where it is not known."""
        return jnp.asarray(0 if self.noise_std is None else self.noise_std, self.lr.dtype)

    @property
    def count(self) -> jax.Array:
        """(), how many values of `lr` tell of the scene, as a float."""
        every = jnp.asarray(self.lr.size, self.lr.dtype)
        return every if self.mask is None else jnp.sum(self.mask.astype(self.lr.dtype))

    def in_colours(self) -> Self:
        """The same problem with three colours; a gray image becomes one whose colours are equal."""
        lr, mask = jax.tree.map(lambda x: jnp.broadcast_to(x, (*x.shape[:-1], 3)), (self.lr, self.mask))
        return dataclasses.replace(self, lr=lr, mask=mask)

    def in_gray(self) -> Self:
        """The same problem with the mean of the colours, which counts where all of them do."""
        mask = None if self.mask is None else jnp.all(self.mask, -1, keepdims=True)
        return dataclasses.replace(self, lr=jnp.mean(self.lr, -1, keepdims=True), mask=mask)

    def seen(self, prediction: jax.Array) -> jax.Array:
        """The LR image, with a prediction of it (h, w, c) where it tells nothing: no error and no gradient there."""
        return self.lr if self.mask is None else jnp.where(self.mask, self.lr, jax.lax.stop_gradient(prediction))

    @property
    def canvas_shape(self) -> tuple[int, int, int]:
        """Shape (H, W, c) of the unknown image."""
        return (*self.spec.canvas_shape(self.lr.shape), self.lr.shape[-1])


class Status(enum.StrEnum):
    """How an image went; `sentence` is what a person is told of it, beside what its message says otherwise."""

    sentence: str

    def __new__(cls, word: str, sentence: str = "") -> Self:
        """A member whose value is the word."""
        status = str.__new__(cls, word)
        status._value_, status.sentence = word, sentence
        return status

    OK = "ok"
    RECOVERED = (
        "recovered",
        "the losses stopped being finite or exploded, a second try with smaller steps and other random numbers went "
        "well",
    )
    DIVERGED = "diverged", "the losses stopped being finite or exploded"
    FAILED = "failed"  # an error, which the message tells

    @property
    def has_image(self) -> bool:
        """Whether there is a result that can be used."""
        return self in (Status.OK, Status.RECOVERED)


class Belief(NamedTuple):
    """What is known of the kernel of one LR image, by a posterior over kernels."""

    confidence: jax.Array  # () probability that the covariance of the kernel that was found is off by less than 25 %
    families: dict[str, jax.Array]  # name -> () probability
    width: jax.Array  # (3,) px, the root of half the trace of the covariance: median, and the ends of the 80 % interval
    direction: jax.Array  # (3,) radians, of the longer axis, from columns towards rows: likewise, about a mean axis
    kernel_std: jax.Array  # (k, k), standard deviation of each entry


class Result(NamedTuple):
    """What a solve found."""

    image: jax.Array  # (s h, s w, c), the sharp image, not clipped
    kernel: jax.Array  # (k, k), cross-correlation convention, centred as the spec says
    trace: dict[str, Any]  # one (steps,) array per quantity
    status: Status  # OK, RECOVERED by a second try, or DIVERGED
    state: Any  # the solver's last state: a solve can go on from it
    uncertainty: jax.Array | None = None  # (s h, s w), standard deviation of the image between posterior samples
    message: str = ""  # what a person should know of it, a sentence or nothing
    kernel_map: jax.Array | None = None  # (rows, columns, k, k), kernels of parts of the image where they differ
    belief: Belief | None = None  # of the kernel, where the config asks for it
