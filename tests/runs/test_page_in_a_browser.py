"""The page of a run in a real browser: it moves, sorts and asks the network for nothing."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.imaging.problem import Belief, Result, Status, make_spec
from blindsr_jax.runs import report, summary, workdir
from blindsr_jax.runs.records import new_record
from blindsr_jax.training import driver

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
HOSTILE = "'\"><img src=x onerror=alert(1)><script>alert(1)<\\script>"
WIDTHS = {"phone": (390, 844), "desk": (1440, 900)}


def solved(folder, name, *, shade, failure=None):
    """The files and the record of an image, as a solve leaves them."""
    record = new_record(name, spec=make_spec(scale=2), config="<i>c</i>", seed=0, input=f"/{name}.png")
    if failure:
        return workdir.write_failure(str(folder), record, failure)
    rng = np.random.default_rng(int(100 * shade))
    lr = np.clip(rng.normal(shade, 0.1, (40, 56, 3)), 0, 1).astype(np.float32)
    rows, columns = np.mgrid[-5:6, -5:6]
    kernel = np.exp(-((rows / 1.2) ** 2 + (columns / 2.4) ** 2) / 2)
    kernel /= kernel.sum()
    belief = Belief(shade, {"gaussian": 0.7, "disc": 0.3}, np.array([1.9, 1.7, 2.1]), np.zeros(3), kernel / 5)
    trace = {"loss": np.geomspace(1, 0.01, 50), "kernel_loss": np.geomspace(2, 0.1, 50)}
    image = io.bicubic_enlarge(lr, 2)
    result = Result(image, kernel, trace, Status.OK, None, belief=belief)
    return workdir.write_result(str(folder), record, io.Image(lr), result)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write_figure", lambda path, **_: io.write_bytes(path, b"figure"))
        records = [solved(place, "b", shade=0.6), solved(place, "a", shade=0.3), solved(place, HOSTILE, shade=0.9)]
    records.append(solved(place, "z", shade=0, failure=f"cannot read {HOSTILE}"))
    summary.write_summary(str(place), records)
    rows = [
        {"case": c, "psnr_y": x, "psnr_y_se": 0.5, "status": s} for c, x, s in (("k", 30, "ok"), ("l", None, "failed"))
    ]
    report.write_page(str(place / "table.html"), title="t", tables={"solves": [*rows, {"case": "m", "psnr_y": 4.0}]})
    (place / "training").mkdir()
    trace = {"loss": np.geomspace(1, 0.1, 9), "kernel_psnr": np.where(np.arange(9) % 3 == 2, 45.0, np.nan)}
    driver.write_page(str(place / "training"), trace | {"seconds": np.full(9, 20.0)}, 12)
    return place


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def visit(browser, folder):
    """Opens a page; in the end nothing may have been complained of, and nothing asked for but files of the run."""
    complaints, asked, pages = [], [], []

    def opened(name="index.html", size="desk", scheme="light", **options):
        width, height = WIDTHS[size]
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((folder / name).as_uri())
        pages.append(page)
        return page

    yield SimpleNamespace(open=opened, asked=asked)
    for page in pages:
        page.close()
    assert complaints == [] and asked
    assert all(url.startswith((folder.as_uri(), "data:")) for url in asked), asked


def until(page, expression):
    """Waits for what a script says; the driver's own way to wait is one that the page forbids."""
    for _ in range(1000):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    pytest.fail(f"never true: {expression}")


def names(page):
    return page.locator("tbody tr:visible td.name").all_inner_texts()


def test_failures_come_first_then_what_is_least_sure_and_heads_sort(visit):
    page = visit.open()
    assert names(page) == ["z", "a", "b", HOSTILE]
    assert "failures first" in page.locator("caption").inner_text()
    assert page.locator("h2").first.inner_text() == "z" and HOSTILE in page.locator("article").inner_text()
    head = page.locator("th", has=page.get_by_role("button", name="confidence"))
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending" and names(page) == ["a", "b", HOSTILE, "z"]
    assert page.locator("caption").inner_text() == "4 images, by confidence"
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending" and names(page) == [HOSTILE, "b", "a", "z"]
    page.get_by_role("button", name="failures only").click()
    assert names(page) == ["z"]
    page.get_by_role("button", name="failures only").click()
    page.get_by_role("searchbox").fill("A")
    assert names(page) == [HOSTILE, "a"]  # the hostile one holds an a


def test_the_slider_moves_by_mouse_and_keys_and_zooms_to_pixels(visit):
    page = visit.open()
    page.get_by_role("link", name="a", exact=True).click()
    slider = page.get_by_role("slider")
    until(page, "document.querySelector('img-comparison-slider').offsetHeight > 100")
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 40)
    page.mouse.up()
    assert abs(float(slider.get_attribute("aria-valuenow")) - 25) <= 2
    clip = "document.querySelector('img-comparison-slider').shadowRoot.getElementById('first').style.cssText"
    assert "75" in page.evaluate(clip)
    slider.focus()
    page.keyboard.down("ArrowRight")
    until(page, "document.querySelector('img-comparison-slider').value > 40")
    page.keyboard.up("ArrowRight")
    page.get_by_label("zoom").select_option("8")
    until(page, "document.querySelector('img-comparison-slider').offsetWidth === 8 * 112")
    for slot in ("first", "second"):
        style = f"getComputedStyle(document.querySelector('img[slot={slot}]')).imageRendering"
        assert page.evaluate(style) == "pixelated"
    assert slider.locator("img").first.get_attribute("alt") == "LR image, enlarged by bicubic of a"


def test_kernels_curves_and_receipt_are_drawn(visit):
    page = visit.open()
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    page.locator(".curves").wait_for()
    words = page.locator("article").inner_text()
    assert "σ 2.2" in words and "× 1.20 px" in words and "direction 0°" in words  # the window cuts the long axis
    assert "one colour scale" in words and "gaussian" in words and "70 %" in words and "of 255 (RMS)" in words
    found = "(canvas) => [...canvas.getContext('2d').getImageData(5, 5, 1, 1).data]"
    mean, spread = page.locator(".field canvas").all()
    assert mean.evaluate(found) == [253, 231, 37, 255] and spread.evaluate(found)[0] < 100  # of the same scale
    assert page.locator(".ellipse").count() == 1
    assert page.evaluate("[...document.images].every((image) => image.alt)")
    page.get_by_role("button", name="previous").click()
    assert page.locator("article h2").inner_text() == "b"


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_screen_and_can_be_read(visit, tmp_path, size, scheme):
    page = visit.open(size=size, scheme=scheme)
    page.get_by_role("link", name="b", exact=True).click()
    page.locator(".curves").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[size][0]
    shot = page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert len(shot) > 10_000
    assert min(page.evaluate(CONTRASTS)) >= 4.5


# The contrast of each text of the page with its ground (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parse(colour).slice(0, 3).map((x) => x / 255)
    .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if ((parse(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const pair = [light(colour), light(ground(element))].sort((a, b) => b - a);
    found.push((pair[0] + 0.05) / (pair[1] + 0.05));
  }
  return found;
}"""


def test_a_table_is_sorted_with_what_is_missing_last(visit):
    page = visit.open("table.html", size="phone")
    first = page.locator("tbody td:first-child")
    assert first.all_inner_texts() == ["l", "m", "k"]  # the failure, then the lowest PSNR
    head = page.get_by_role("button", name="PSNR-Y")
    head.click()
    assert first.all_inner_texts() == ["m", "k", "l"]
    head.click()
    assert first.all_inner_texts() == ["k", "m", "l"] and "30 ± 0.5" in page.locator("tbody").inner_text()


def test_a_training_has_a_curve_for_each_quantity_and_a_table_of_them(visit):
    page = visit.open("training/index.html", size="phone")
    assert page.locator("h1").inner_text() == "training: 9 of 12 epochs in 3.0 min"
    assert page.locator("svg.curves").count() == 2 and "epoch 9" in page.locator("svg.curves").first.text_content()
    assert page.locator("tbody td:first-child").all_inner_texts() == ["loss", "kernel psnr"]
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS["phone"][0]


def test_without_scripts_the_results_are_there(visit):
    page = visit.open(java_script_enabled=False)
    assert page.locator("h2").all_inner_texts() == ["b", "a", HOSTILE, "z"]
    assert page.locator("figure img").count() == 4 * 3
