import json

import numpy as np
import PIL.Image

from blindsr_jax.runs import views


def read(path):
    text = path.read_text()
    assert text.startswith("window.blindsrView=") and text.endswith(";\n") and "<" not in text
    return json.loads(text.removeprefix("window.blindsrView=").removesuffix(";\n"))


def test_a_view_holds_kernel_spread_and_curves(tmp_path):
    kernel = np.array([[0.0, 0.1, -0.01], [0.1, 0.5, 0.1], [0.0, 0.1, 0.11]])
    trace = {"loss": np.array([2.0, np.nan, 1.0])}
    views.write_view(str(tmp_path / "a.js"), kernel=kernel, std=kernel / 4, trace=trace)
    view = read(tmp_path / "a.js")
    for key, values in (("kernel", kernel), ("spread", kernel / 4)):
        found = np.array(view[key]["levels"]) * view[key]["peak"] / 1000
        np.testing.assert_allclose(found, values, atol=0.0006 * values.max())
    assert view["curves"] == {"steps": 3, "values": {"loss": [2.0, None, 1.0]}}
    views.write_view(str(tmp_path / "b.js"), kernel=kernel, std=None, trace={})
    assert read(tmp_path / "b.js")["curves"] == {"steps": 0, "values": {}} and "spread" not in read(tmp_path / "b.js")


def test_long_curves_are_thinned_and_keep_their_ends_and_what_was_measured_rarely():
    rare = np.full(10_000, np.nan)
    rare[99::100] = np.arange(100)
    found = views.curves({"loss": np.arange(10_000.0), "rare": rare})
    loss, scores = found["values"]["loss"], [x for x in found["values"]["rare"] if x is not None]
    assert found["steps"] == 10_000 and len(loss) <= 240 and loss[-1] == 9999 and loss == sorted(loss)
    assert scores == list(range(100))


def test_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for shape, dtype in (((500, 300, 3), np.uint8), ((30, 20, 1), np.uint16), ((1, 2000, 3), np.uint8)):
        levels = rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype)
        views.write_thumbnail(str(tmp_path / "a.jpg"), levels)
        with PIL.Image.open(tmp_path / "a.jpg") as image:
            assert max(image.size) <= views.THUMBNAIL and len(image.getbands()) == shape[2]
    views.write_residual(str(tmp_path / "r.png"), np.array([[0.0, 8 / 255, -1.0, 1.0]])[..., None])
    with PIL.Image.open(tmp_path / "r.png") as image:
        np.testing.assert_array_equal(np.asarray(image), [[128, 191, 0, 255]])
