import html.parser
import os
import urllib.parse

import numpy as np
import PIL.Image
import pytest

from blindsr_jax.runs import report


def test_page_escapes_what_it_shows(tmp_path):
    entry = {"name": "<b>&", "text": "<i>", "bad": True, "values": {"<u>": "<s>"}}
    entry["pictures"] = [('"kernel" <p>', str(tmp_path / "a" / "<b>&?#'\".png"))]
    report.write_page(str(tmp_path / "index.html"), title="<t>", entries=[entry])
    page = (tmp_path / "index.html").read_text()
    assert not any(f"<{tag}>" in page for tag in ("b", "i", "u", "s", "t")) and "<title>&lt;t&gt;" in page
    assert 'src="a/%3Cb%3E%26%3F%23%27%22.png"' in page and '<p class="bad">&lt;i&gt;</p>' in page


class Page(html.parser.HTMLParser):
    """What a browser makes of a page: its tags, its text and the addresses of its pictures."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.links = set(), "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"class", "src", "alt", "charset", "loading"}
        self.links += [value for name, value in attrs if name == "src"]

    def handle_data(self, data):
        self.text += data


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
    known = {"meta", "title", "style", "h1", "h2", "p", "div", "figure", "img", "figcaption", "table", "tr", "th", "td"}
    assert page.tags == known
    assert page.text.count(name.replace("\udcff", "?")) == 7
    (link,) = page.links
    parts = urllib.parse.urlsplit(link)
    assert parts[:2] == ("", "") and parts[3:] == ("", "")
    assert urllib.parse.unquote_to_bytes(parts.path) == os.fsencode(f"images/{file.name}")


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
