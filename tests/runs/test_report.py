import html.parser
import json
import os
import urllib.parse

import numpy as np
import PIL.Image
import pytest

from blindsr_jax.runs import report
from blindsr_jax.runs.ownership import NotOursError


def test_page_escapes_what_it_shows(tmp_path):
    entry = {"name": "<b>&", "text": "<i>", "bad": True, "values": {"<u>": "<s>"}}
    entry["pictures"] = [('"kernel" <p>', str(tmp_path / "a" / "<b>&?#'\".png"))]
    report.write_page(str(tmp_path / "index.html"), title="<t>", entries=[entry])
    page = (tmp_path / "index.html").read_text()
    assert not any(f"<{tag}>" in page for tag in ("b", "i", "u", "s", "t")) and "<title>&lt;t&gt;" in page
    assert 'alt="&quot;kernel&quot; &lt;p&gt; of &lt;b&gt;&amp;"' in page
    assert 'src="a/%3Cb%3E%26%3F%23%27%22.png"' in page and '<p class="bad">&lt;i&gt;</p>' in page


ATTRIBUTES = {
    "class",
    "src",
    "alt",
    "charset",
    "loading",
    "decoding",
    "lang",
    "name",
    "content",
    "http-equiv",
    "id",
    "type",
}


class Page(html.parser.HTMLParser):
    """What a browser makes of a page: its tags, its text and the addresses of its pictures."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.links, self.data, self.open = set(), "", [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= ATTRIBUTES
        self.links += [value for name, value in attrs if name == "src"]
        self.open = [tag, *[value for name, value in attrs if name == "type"]]

    def handle_data(self, data):
        if self.open == ["script", "application/json"]:
            self.data += data
        elif self.open[:1] not in (["script"], ["style"]):
            self.text += data

    def handle_endtag(self, tag):
        self.open = []


QUOTES = "'\"><script>alert(1)</script>"


@pytest.mark.parametrize(
    "name", ["a b", "#1", "50%41?x=1", QUOTES, "&lt;&amp;", "-rf", "größe", "文字", "a:b", "\udcff"]
)
def test_names_are_shown_as_they_are_and_pictures_load(tmp_path, name):
    file = tmp_path / "images" / f"{name.replace('/', '_')}.png"
    entry = {
        "name": name,
        "text": f"cannot read {name}",
        "pictures": [(f"result {name}", file)],
        "values": {name: name},
    }
    report.write_page(str(tmp_path / "index.html"), title=name, entries=[entry])
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    known = {"html", "meta", "title", "style", "header", "main", "noscript", "script"}
    known |= {"h1", "h2", "p", "figure", "img", "figcaption", "table", "tr", "th", "td"}
    assert page.tags == known
    (found,) = json.loads(page.data)["entries"]
    assert json.loads(page.data)["common"] == {}
    assert (found["name"], found["text"], found["values"]) == (name, f"cannot read {name}", {name: name})
    assert found["pictures"] == [[f"result {name}", page.links[0]]]
    assert page.text.count(name.replace("\udcff", "?")) == 7
    (link,) = page.links
    parts = urllib.parse.urlsplit(link)
    assert parts[:2] == ("", "") and parts[3:] == ("", "")
    assert urllib.parse.unquote_to_bytes(parts.path) == os.fsencode(f"images/{file.name}")


def entry_of(i):
    names = [(f"{kind}", f"images/{i}.png") for kind in ("LR image", "result, x2", "kernel", "residual")]
    values = {f"value_{n}": i + 0.123 for n in range(18)}
    return {"name": f"photograph {i}", "text": "", "pictures": names, "values": values, "view": f"views/{i}.js"}


def test_a_page_of_two_thousand_images_is_a_few_megabytes(tmp_path):
    sizes = []
    for count in (20, 2000):
        report.write_page(str(tmp_path / "index.html"), title="many", entries=[entry_of(i) for i in range(count)])
        sizes.append((tmp_path / "index.html").stat().st_size)
    assert (sizes[1] - sizes[0]) / 1980 < 2200 and sizes[1] < 4.5e6


def test_numbers_that_are_not_finite_are_no_broken_page(tmp_path):
    entry = {"name": "a", "pictures": [], "values": {"psnr_y": np.inf, "loss": float("nan"), "range": [1.0, -np.inf]}}
    report.write_page(str(tmp_path / "index.html"), title="t", entries=[entry], tables={"c": [{"x": float("inf")}]})
    page = Page((tmp_path / "index.html").read_text("utf-8"))
    found = json.loads(page.data, parse_constant=pytest.fail)
    assert found["entries"][0]["values"] == {"psnr_y": "inf", "loss": "nan", "range": [1.0, "-inf"]}
    assert found["tables"] == {"c": [{"x": "inf"}]}


def test_a_page_of_somebody_is_told_from_one_of_ours(tmp_path):
    report.check_page(str(tmp_path))
    report.write_page(str(tmp_path / "index.html"), title="t")
    report.check_page(str(tmp_path))
    (tmp_path / "index.html").write_text("<!doctype html><title>mine</title>")
    with pytest.raises(NotOursError, match="index.html.* page of an earlier run"):
        report.check_page(str(tmp_path))


NAMES_OF_FIGURES = ["$\\frac{ <b> _^ é", "文字 \U0001f600", "x" * 200, "$$", "a$b$c"]


@pytest.mark.parametrize("name", NAMES_OF_FIGURES)
def test_figure_of_any_name(tmp_path, name):
    gray = np.full((8, 9, 1), 0.5)
    report.write_figure(
        str(tmp_path / "f.png"),
        enlarged=gray,
        image=gray,
        kernel=np.eye(3) / 3,
        trace={"loss": np.array([1.0, 0.0, 0.5])},
        name=name,
    )
    with PIL.Image.open(tmp_path / "f.png") as figure:
        assert figure.size[0] > figure.size[1] > 100
