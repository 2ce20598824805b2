"""The documents: the README's Python runs, links lead somewhere, the citation is complete, the site builds."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml

from blindsr_jax import io

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|`[^`\n]*`|^    .*?$", "", text, flags=re.S | re.M)


def anchors(path: pathlib.Path) -> set[str]:
    """Names that the headings of a document have on its page."""
    titles = re.findall(r"^#+ +(.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    code = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)[1]
    pixels = np.random.default_rng(0).random((24, 26, 3), np.float32)
    io.write_image(tmp_path / "photo.jpg", io.Image(pixels))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    result = names["result"]
    assert result.image.shape == (48, 52, 3) and result.status == "ok"
    assert result.kernel.shape == (31, 31) and len(result.trace["loss"]) == 2
    assert io.read_image(tmp_path / "sharp.png").pixels.shape == (48, 52, 3)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text()))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def without_examples(path: pathlib.Path) -> str:
    """A document without the Python in it, whose files may be those that a reader is to write."""
    return re.sub(r"^```python.*?^```", "", path.read_text(), flags=re.S | re.M)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_document_names_are_there(path):
    names = re.findall(r"\b(?:blindsr_jax|launch|configs|tests)/[\w./-]*[\w/]", without_examples(path))
    assert not [name for name in names if "NAME" not in name and not (ROOT / name).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_flags_that_a_document_names_are_defined(path):
    sources = [*(ROOT / "launch").glob("*.py"), *(ROOT / "blindsr_jax").rglob("*.py")]
    defined = {name for source in sources for name in re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source.read_text())}
    for script in (path for path in (ROOT / "tests").rglob("*.py") if "ArgumentParser(" in path.read_text()):
        defined |= set(re.findall(r'"(?:--)?([a-z]+)"', script.read_text()))
    named = {name.removeprefix("no") for name in re.findall(r"(?<![\w-])--([a-z_]+)", path.read_text())}
    assert named <= {name.removeprefix("no") for name in defined | {"config", "help"}}


def test_the_index_of_the_documents_links_to_each_of_them():
    text = (ROOT / "docs" / "index.md").read_text() + (ROOT / "docs" / "results.md").read_text()
    missing = [p.name for p in DOCUMENTS if p.parent != ROOT and p.name != "index.md" and f"{p.name})" not in text]
    assert not missing


def test_the_badges_say_what_the_package_says():
    setup, readme = (ROOT / "setup.py").read_text(), (ROOT / "README.md").read_text()
    python = re.search(r'python_requires=">=([\d.]+)"', setup)[1]
    licence = re.search(r'license="([^"]+)"', setup)[1]
    for name, value in (("python", python), ("license", licence)):
        assert f"docs/badges/{name}.svg" in readme
        assert value in (ROOT / "docs" / "badges" / f"{name}.svg").read_text()


def test_the_citation_names_authors_and_title_of_each_work():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert len(citation["references"]) >= 10
    for work in citation["references"]:
        assert {"type", "title", "authors"} <= work.keys(), work
        assert all(author["family-names"] for author in work["authors"]), work


@pytest.mark.long
def test_the_site_is_built_without_warnings_and_has_a_page_for_each_module(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    for module in (ROOT / "blindsr_jax").rglob("*.py"):
        page = module.relative_to(ROOT).with_suffix(".html").as_posix().replace("__init__.html", "index.html")
        assert (tmp_path / "api" / page).is_file(), page
