import numpy as np
import PIL.Image

from blindsr_jax import report


def test_page_escapes_what_it_shows(tmp_path):
    entry = {"name": "<b>&", "text": "<i>", "bad": True, "values": {"<u>": "<s>"}}
    entry["pictures"] = [('"kernel" <p>', str(tmp_path / "a" / "<b>&?#'\".png"))]
    report.write_page(str(tmp_path / "index.html"), title="<t>", entries=[entry])
    page = (tmp_path / "index.html").read_text()
    assert not any(f"<{tag}>" in page for tag in ("b", "i", "u", "s", "t")) and "<title>&lt;t&gt;" in page
    assert 'src="a/%3Cb%3E%26%3F%23%27%22.png"' in page and '<p class="bad">&lt;i&gt;</p>' in page


def test_figure_of_any_name(tmp_path):
    gray = np.full((8, 9, 1), 0.5)
    report.write_figure(
        str(tmp_path / "f.png"),
        enlarged=gray,
        image=gray,
        kernel=np.eye(3) / 3,
        trace={"loss": np.array([1.0, 0.0, 0.5])},
        name="$\\frac{ <b> _^ é",
    )
    with PIL.Image.open(tmp_path / "f.png") as figure:
        assert figure.size[0] > figure.size[1] > 100
