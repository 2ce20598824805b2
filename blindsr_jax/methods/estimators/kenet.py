"""KENet: the blur kernel in one pass of a network that was trained on many images and kernels (networks.kenet)."""

import os
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.imaging import tiling
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference.blur_evidence import UNEVEN, axis_variance, is_sampling, unevenness
from blindsr_jax.inference.shape_search import Found, can_search, search
from blindsr_jax.inference.windows import best
from blindsr_jax.kernels import geometry, placement
from blindsr_jax.methods.estimators import doubt
from blindsr_jax.methods.interfaces import Solver, State, Weights, silent_trace
from blindsr_jax.networks.kenet import SMALLEST_SIDE, KENet
from blindsr_jax.networks.layers import PRECISIONS, Compute
from blindsr_jax.weights import kenet as trained

ENLARGED_DOUBT = 6.0  # as those of `doubt`, of a kernel that was found in a smaller image
AT_ONCE = 8  # windows that the network sees together
# A smaller image is believed where its kernel, enlarged, has a standard deviation along an axis of WIDE pixels and is
# WIDER times that of the image before it: the network makes kernels that are too wide for it narrower.
WIDE, WIDER = 3.2, 1.5
LEAST_WINDOWS = 4  # of a part of an image with a kernel of its own
VARIES = (
    "the windows of the image disagree on its blur; if it varies over the image, kernels of its parts may serve it "
    "better (--config.kernel_map=4x3)"
)


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    spec: Spec
    network: KENet
    window: int | None
    num_windows: int | None
    kernel_map: tuple[int, int] | None  # rows, columns
    families: tuple[str, ...]
    reductions: int = 1
    shapes: bool = False


class Findings(NamedTuple):
    """What the network says beside the kernel."""

    probabilities: jax.Array  # (F,) of each family
    unevenness: jax.Array  # () of the widths of the kernels of windows, see `blur_evidence.unevenness`
    reduction: jax.Array  # () of the image that the kernel was found in, 1 for the image itself


def _in_parts(function: Callable, windows: jax.Array) -> Any:
    """A function of windows (n, a, b, c), applied to AT_ONCE of them at a time: memory does not grow with n."""
    n = len(windows)
    if n <= AT_ONCE:
        return function(windows)
    parts = windows[jnp.arange(-(-n // AT_ONCE) * AT_ONCE) % n].reshape(-1, AT_ONCE, *windows.shape[1:])
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], jax.lax.map(function, parts))


def own_doubt(doubts: tuple[float, ...], belief: Findings) -> jax.Array:
    """The doubt (), in 1/255, that is left of a kernel, from that of each family (F,), see `doubt`."""
    return jnp.where(belief.reduction > 1, ENLARGED_DOUBT, doubt.expected(belief.probabilities, doubts))


def _restorer_noise(doubts: tuple[float, ...], state: State, problem: Problem) -> jax.Array:
    """The noise of a problem, and what the probabilities of the families add to it."""
    return doubt.told(problem.noise_std, own_doubt(doubts, state.kernel_state)).astype(problem.lr.dtype)


def build(
    spec: Spec,
    *,
    weights: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
    window: Annotated[int | None, rules.optional(rules.whole(SMALLEST_SIDE, 4096))] = None,
    num_windows: Annotated[int | None, rules.optional(rules.whole(1, 4096))] = None,
    kernel_map: tuple[int, int] | None = None,
    reductions: Annotated[int, rules.whole(1, 8)] = 1,
    shapes: bool = False,
    precision: Annotated[str, rules.choice(*PRECISIONS)] = "float32",
) -> Solver:
    """The estimator; its one step does all the work, further steps repeat it.

    A gray image is shown to the network as three equal colours. `State.kernel_state` of the result is its `Findings` on
    the families of `weights.kenet.load(weights, scale).families`.

    Args:
      spec: the problem's static part; the kernel comes in its size and with its centre.
      weights: a .npz file of launch/train_kenet.py; None for the shipped network of the scale, 'wide' for the one that
        was trained with noise, JPEG and all kernel families (scales 1 to 4).
      window: side of LR windows whose kernels are averaged; None shows the network the whole image at once.
      num_windows: how many of them, those that show most; None for all that cover the image.
      kernel_map: rows and columns of equal parts of the image that get kernels of their own, `State.kernel_map`, from
        `num_windows` in all; `State.kernel` is then still that of the whole image.
      reductions: at scale 1, a kernel that is too wide for the network is looked for in the image made smaller by 2, 3,
        ... up to this, where that holds a window, and is enlarged by as much; at other scales it has no effect.
      shapes: whether a disc or a straight line that explains the power spectrum of the image better takes the place of
        the network's kernel, see `inference.shape_search`.
      precision: of the activations, one of `networks.layers.PRECISIONS`.

    Raises:
      ValueError: there is no network for the scale, or an option is out of range.
    """
    settings, params = load(
        spec,
        weights=weights,
        window=window,
        num_windows=num_windows,
        kernel_map=kernel_map,
        reductions=reductions,
        shapes=shapes,
        precision=precision,
    )
    return Solver(
        partial(init, settings),
        partial(_step, settings),
        smallest_side(settings),
        weights=Weights(params),
        num_steps=1,
        restorer_noise=partial(_restorer_noise, doubt.doubts_of(settings.families, spec.scale)),
        explain=lambda state: explain(settings, state.kernel, state.kernel_state),
    )


def load(
    spec: Spec,
    *,
    weights: str | os.PathLike | None,
    window: int | None,
    num_windows: int | None,
    kernel_map: tuple[int, int] | None,
    reductions: int,
    shapes: bool,
    precision: str = "float32",
) -> tuple[Settings, Any]:
    """What stays the same, and the parameters of the network; arguments and errors are those of `build`."""
    if window is not None and window < SMALLEST_SIDE:
        raise ValueError(f"window is {window}, expected None or a whole number of at least {SMALLEST_SIDE}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
    reductions = reductions if spec.scale == 1 else 1
    if reductions > 1 and (window is None or num_windows is None):
        raise ValueError(f"reductions is {reductions}, expected 1, or window and num_windows too")
    model = trained.load(weights, spec.scale)
    network = model.network(Compute(precision=precision))
    settings = Settings(spec, network, window, num_windows, kernel_map, tuple(model.families), reductions, shapes)
    return settings, jax.device_put(model.params)


def smallest_side(settings: Settings) -> int:
    """Of the canvas of an image whose parts the network can see."""
    spec, parts = settings.spec, 1 if settings.kernel_map is None else max(settings.kernel_map)
    # min_lr_side takes the margin off again
    return parts * SMALLEST_SIDE * spec.scale + spec.canvas_shape((0, 0, 1))[0]


def _estimate(
    settings: Settings, lr: jax.Array, mask: jax.Array | None, params: Any, number: int | None
) -> tuple[jax.Array, Findings]:
    """The kernel (k, k) of an image (h, w, 3), from so many of its windows."""
    window = settings.window
    if window is None:
        shown = lr[None]
    else:
        shown = tiling.cut(lr, window) if number is None else best(lr, window, number, mask)
    mean, belief = _mean_of(settings, shown, params)
    return _placed(settings, mean), belief


def _mean_of(settings: Settings, shown: jax.Array, params: Any) -> tuple[jax.Array, Findings]:
    """The mean of the kernels of windows (n, a, b, 3), as the network gives them."""
    prediction = _in_parts(partial(settings.network.apply, params), shown)
    belief = Findings(
        jnp.mean(jax.nn.softmax(prediction.category_logits), 0).astype(shown.dtype),
        unevenness(prediction.kernel).astype(shown.dtype),
        jnp.ones((), shown.dtype),
    )
    return jnp.mean(prediction.kernel, 0).astype(shown.dtype), belief


def _placed(settings: Settings, mean: jax.Array, factor: int = 1) -> jax.Array:
    """The kernel (k, k) of the problem, from that of an image made smaller by a factor."""
    spec = settings.spec
    if factor > 1:
        size = spec.kernel_size
        shift = jnp.full(2, (size - factor * len(mean)) / 2, mean.dtype)  # to the middle
        scale = jnp.full(2, factor, mean.dtype)
        mean = jax.image.scale_and_translate(mean, (size, size), (0, 1), scale, shift, "linear", antialias=False)
    return geometry.normalize(placement.convert(mean, spec.scale, "release", spec.kernel_center, spec.kernel_size))


def _reduced(x: jax.Array, factor: int) -> jax.Array:
    """The means of blocks of an image (h, w, c), or whether all of a mask's block counts."""
    h, w, c = (x.shape[0] // factor, x.shape[1] // factor, x.shape[2])
    blocks = x[: factor * h, : factor * w].reshape(h, factor, w, factor, c)
    return blocks.all((1, 3)) if x.dtype == bool else blocks.mean((1, 3))


def _estimate_wide(
    settings: Settings, lr: jax.Array, mask: jax.Array | None, params: Any
) -> tuple[jax.Array, Findings]:
    """As `_estimate`, of the image or of a smaller one, see WIDER."""
    window, number = settings.window, settings.num_windows
    factors = [f for f in range(1, settings.reductions + 1) if f == 1 or min(lr.shape[:2]) // f >= window]

    def windows(factor):
        image, counts = (x if x is None or factor == 1 else _reduced(x, factor) for x in (lr, mask))
        shown = best(image, window, number, counts)
        return shown[jnp.arange(number) % len(shown)]  # of one shape for all factors

    def look(level):
        return _mean_of(settings, jax.lax.switch(level, [partial(windows, f) for f in factors]), params)

    means, beliefs = jax.lax.map(look, jnp.arange(len(factors)))
    widths = jnp.sqrt(jax.vmap(axis_variance)(means)) * jnp.asarray(factors, lr.dtype)
    is_wider = (widths[1:] > WIDE) & (widths[1:] > WIDER * widths[:-1])
    level = jnp.sum(jnp.cumprod(is_wider.astype(jnp.int32)))  # up to the first that is not
    kernels = [_placed(settings, means[i], f) for i, f in enumerate(factors)]
    belief = jax.tree.map(lambda x: x[level], beliefs)
    return jnp.stack(kernels)[level], belief._replace(reduction=jnp.asarray(factors, lr.dtype)[level])


def find_shape(settings: Settings, problem: Problem, kernel: jax.Array, belief: Findings) -> Found:
    """The disc or line in place of a kernel (k, k), where the spectrum is for it."""
    # At scale 1 long lines are known from smaller images, at others they could not be told from waves and stripes.
    line_size = None if settings.reductions > 1 else settings.network.kernel_size
    of_disc = doubt.probability(("disc",), settings.families, belief.probabilities)
    return search(problem.lr, kernel, settings.spec, problem.mask, disc_probability=of_disc, line_size=line_size)


def after_search(settings: Settings, found: Found, belief: Findings) -> Findings:
    """What to believe once shapes have been searched for."""
    probabilities = doubt.after_search(found, settings.families, belief.probabilities)
    reduction = jnp.where(found.is_disc | found.is_line, jnp.ones_like(belief.reduction), belief.reduction)
    return belief._replace(probabilities=probabilities, reduction=reduction)


def estimate_map(settings: Settings, problem: Problem, params: Any) -> jax.Array | None:
    """The kernels (rows, columns, k, k) of equal parts of an LR image in colours, if they are wanted."""
    if settings.kernel_map is None:
        return None
    (rows, columns), k = settings.kernel_map, settings.spec.kernel_size
    lr, mask = problem.lr, problem.mask
    side = lr.shape[0] // rows, lr.shape[1] // columns
    places = [np.linspace(0, n - a, m).round() for n, a, m in zip(lr.shape, side, (rows, columns), strict=False)]
    corners = tiling.corners(*places)
    wanted = settings.num_windows
    number = None if wanted is None else max(LEAST_WINDOWS, wanted // len(corners))

    def kernel(corner):
        parts = (None if x is None else tiling.take(x, corner, side) for x in (lr, mask))
        return _estimate(settings, *parts, params, number)[0]

    return jax.lax.map(kernel, corners).reshape(rows, columns, k, k)


def init(settings: Settings, key: Any, problem: Problem, kernel: Any = None, weights: Any = None) -> State:
    """The state before the step, with the probabilities of a guess."""
    del key, kernel, weights
    dtype, k, known = problem.lr.dtype, settings.spec.kernel_size, len(settings.families)
    belief = Findings(jnp.full((known,), 1 / known, dtype), jnp.zeros((), dtype), jnp.ones((), dtype))
    kernels = None if settings.kernel_map is None else jnp.zeros((*settings.kernel_map, k, k), dtype)
    canvas = jnp.zeros(problem.canvas_shape, dtype)
    return State((), belief, canvas, jnp.zeros((k, k), dtype), kernel_map=kernels)


def _step(
    settings: Settings, key: Any, state: State, problem: Problem, i: Any, weights: Any
) -> tuple[State, dict[str, jax.Array]]:
    del key, i
    problem = problem.in_colours()
    kernel, belief = estimate(settings, problem, weights)
    if settings.shapes and can_search(settings.spec, problem.lr.shape):
        found = find_shape(settings, problem, kernel, belief)
        kernel, belief = found.kernel, after_search(settings, found, belief)
    kernels = estimate_map(settings, problem, weights)
    return state._replace(kernel_state=belief, kernel=kernel, kernel_map=kernels), silent_trace(problem.lr.dtype)


def estimate(settings: Settings, problem: Problem, params: Any) -> tuple[jax.Array, Findings]:
    """The kernel (k, k) of an LR image in colours before the search for shapes, and what there is beside it."""
    if settings.reductions > 1:
        return _estimate_wide(settings, problem.lr, problem.mask, params)
    return _estimate(settings, problem.lr, problem.mask, params, settings.num_windows)


def explain(settings: Settings, kernel: jax.Array, belief: Findings) -> str:
    """What a person is told beside a kernel (k, k), empty where there is nothing to tell."""
    varies = settings.kernel_map is None and float(belief.unevenness) > UNEVEN
    return VARIES if varies and not is_sampling(axis_variance(kernel), settings.spec) else ""
