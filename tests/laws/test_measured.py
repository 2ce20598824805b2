"""Laws of what is measured in pixels: what tells nothing, noise and compression, and windows of an image."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.inference import corruption_level, noise_level, validity, windows
from tests.laws.law import arrays, law, masks

SHAPES = st.tuples(*[st.integers(1, 12)] * 2, st.sampled_from((1, 3)))
TURNS = {
    "transposed": (lambda x: x.swapaxes(0, 1), (3, 2, 1, 0)),
    "upside down": (lambda x: x[::-1], (2, 1, 0, 3)),
    "mirrored": (lambda x: x[:, ::-1], (0, 3, 2, 1)),
}  # and where the sides of a frame (top, right, bottom, left) come from


@law(few=30, shape=SHAPES, name=st.sampled_from(sorted(TURNS)), data=st.data())
def test_what_tells_nothing_turns_with_the_image_and_only_stuck_values_are_mended(shape, name, data):
    pixels, (turn, sides) = data.draw(arrays(*shape, dtype=np.float32)), TURNS[name]
    found, same = validity.measure(pixels), validity.measure(turn(pixels))
    assert found.mask.shape == found.stuck.shape == shape and not (found.mask & found.stuck).any()
    assert not (found.mask & validity.is_clipped(pixels)).any()
    np.testing.assert_array_equal(same.mask, turn(found.mask))
    np.testing.assert_array_equal(same.stuck, turn(found.stuck))
    assert same.frame == tuple(found.frame[i] for i in sides)
    mended = validity.mend(pixels, found.stuck)
    np.testing.assert_array_equal(mended[~found.stuck], pixels[~found.stuck])
    assert pixels.min() <= mended.min() and mended.max() <= pixels.max()


def textured(seed, shape, std, contrast):
    """A picture with noise, away from black and white."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.5 - contrast, 0.5 + contrast, (shape[0] // 8 + 1, shape[1] // 8 + 1, shape[2]))
    image = coarse.repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]] + std * rng.standard_normal(shape)
    return np.clip(image, 0.1, 0.9).astype(np.float32)


@law(
    few=10,
    seed=st.integers(0, 2**31 - 1),
    shape=st.tuples(*[st.integers(1, 60)] * 2, st.sampled_from((1, 3))),
    std=st.floats(0.0, 0.15),
    contrast=st.floats(0.0, 0.3),
    gain=st.floats(0.2, 1),
)
def test_noise_is_that_of_the_turned_the_coloured_and_in_proportion_of_the_darker_image(
    seed, shape, std, contrast, gain
):
    pixels = textured(seed, shape, std, contrast)
    found, told = noise_level.estimate(pixels), corruption_level.measure(pixels)
    assert 0 <= told.noise_std < 1 and np.isfinite(told.noise_std) and told.noise == found
    assert told.jpeg_quality is None or 1 <= told.jpeg_quality <= 100
    dark = noise_level.estimate(gain * pixels)
    assert (found is None) == (dark is None)
    if found is None:
        return
    np.testing.assert_allclose(dark, gain * np.asarray(found), rtol=1e-2, atol=1e-6)
    turned = noise_level.estimate(pixels.swapaxes(0, 1))
    np.testing.assert_allclose(turned.std, found.std, rtol=1e-2, atol=1e-6)
    if shape[2] == 1:
        coloured = noise_level.estimate(pixels[..., [0, 0, 0]])
        np.testing.assert_allclose(coloured, found, rtol=1e-2, atol=1e-6)


best = jax.jit(windows.best, static_argnums=(1, 2))


@law(few=4, side=st.integers(2, 6), number=st.integers(1, 6), shape=SHAPES, fill=st.floats(0, 1), data=st.data())
def test_the_best_windows_are_parts_of_the_image_and_are_not_chosen_by_what_is_hidden(side, number, shape, fill, data):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    image = image / image.size + 0.1 * data.draw(arrays(*shape, dtype=np.float32))
    mask = data.draw(masks(shape))
    found, other = (
        np.asarray(best(jnp.asarray(pixels), side, number, jnp.asarray(mask)))
        for pixels in (image, np.where(mask, image, np.float32(fill)))
    )
    h, w, c = shape
    assert found.shape[1:] == (min(h, side), min(w, side), c) and len(found) >= 1
    parts = np.lib.stride_tricks.sliding_window_view(image, found.shape[1:]).reshape(-1, *found.shape[1:])
    hidden = np.lib.stride_tricks.sliding_window_view(mask, found.shape[1:]).reshape(parts.shape)
    for window, same in zip(found, other, strict=True):
        at = (parts == window).all((1, 2, 3)).argmax()
        np.testing.assert_array_equal(window, parts[at])
        np.testing.assert_array_equal(same[hidden[at]], window[hidden[at]])
