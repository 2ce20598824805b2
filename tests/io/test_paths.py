import os
import time

import pytest

from blindsr_jax import io
from blindsr_jax.io import paths
from tests.file_samples import levels, save


def test_find_inputs(tmp_path, monkeypatch):
    for name in ("b.png", "a.png", "photo[1].png", "deep/er/c.png", "folder.png/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def found(pattern):
        return [str(path.relative_to(tmp_path)) for path in io.find_inputs(pattern)]

    assert found(f"{tmp_path}/*.png") == ["a.png", "b.png", "photo[1].png"]
    assert found(f"{tmp_path}/**/*.png") == ["a.png", "b.png", "deep/er/c.png", "photo[1].png"]
    assert found(tmp_path / "photo[1].png") == ["photo[1].png"]
    assert found(f"{tmp_path}/[ab].png") == ["a.png", "b.png"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert found("~/a.png") == ["a.png"]
    for bad in (f"{tmp_path}/*.jpg", f"{tmp_path}/none.png", ""):
        with pytest.raises(io.InputError, match="no file matches"):
            io.find_inputs(bad)
    with pytest.raises(io.InputError, match="is a folder"):
        io.find_inputs(tmp_path)


def test_unique_stems():
    assert io.unique_stems(["x/photo.png", "y/photo.jpg", "z/a.b.png"]) == ["photo", "photo_2", "a.b"]
    paths = io.unique_stems(["photo.png", "photo.jpg", "photo_2.png", "photo.tif", "photo_2.tif"])
    assert paths == ["photo", "photo_3", "photo_2", "photo_4", "photo_2_2"]
    assert io.unique_stems(["Photo.png", "photo.jpg"]) == ["Photo", "photo_2"]
    assert io.unique_stems([]) == []
    many = [f"{folder}/frame.png" for folder in range(20_000)]  # as of a camera; it must not take minutes
    assert io.unique_stems([*many, "frame_7.png"])[-3:] == ["frame_20000", "frame_20001", "frame_7"]


def test_links_in_a_circle_end(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere" / ".hidden").mkdir(parents=True)
    for place in ("top", "a/x", "a/b/y", "elsewhere/z", "elsewhere/.hidden/h"):
        (tmp_path / f"{place}.png").write_bytes(b"x")
    for n in range(3):  # three ways into a circle: endless for a search that follows each one
        os.symlink(tmp_path, tmp_path / "a" / "b" / f"loop{n}")
    os.symlink(tmp_path / "elsewhere", tmp_path / "a" / "link")
    os.symlink("self", tmp_path / "self")
    start = time.monotonic()
    found = io.find_inputs(f"{tmp_path}/**/*.png")
    assert sorted(path.name for path in found) == ["top.png", "x.png", "y.png", "z.png"]
    assert [path.name for path in io.find_inputs(f"{tmp_path}/**/**/b/**/y.png")] == ["y.png"]
    found = io.find_inputs(f"{tmp_path}/a/**")
    assert sorted(path.name for path in found) == ["self", "top.png", "x.png", "y.png", "z.png"]
    assert time.monotonic() - start < 5
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in io.find_inputs("**/x.png")] == ["a/x.png"]
    assert [str(path) for path in io.find_inputs("a/**/y.png")] == ["a/b/y.png"]


NAMES = ["with space", "-rf", "--help", "größe", "文字", "a\nb", "#?%&'\"", "..", ".hidden", "[x]", "a*b", "b" * 251]


@pytest.mark.parametrize("stem", NAMES)
def test_files_of_any_name_are_found_read_and_written(tmp_path, stem, monkeypatch):
    monkeypatch.chdir(save_as(tmp_path, stem))
    for pattern in (f"{stem}.png", f"./{stem}.png", str(tmp_path / f"{stem}.png")):
        (path,) = io.find_inputs(pattern)
        image = io.read_image(path)
    if not stem.startswith("."):
        assert io.find_inputs("*.png") == [type(path)(f"{stem}.png")]
    (name,) = io.unique_stems([path])
    assert name.isprintable()
    for suffix in (".png", ".json"):
        io.write_image(tmp_path / "out" / (name + suffix), image)
    assert sorted(os.listdir(tmp_path / "out")) == sorted([f"{name}.json", f"{name}.png"])


def save_as(folder, stem):
    save(folder / "a", levels((4, 4)), format="PNG")
    os.rename(folder / "a", folder / f"{stem}.png")
    return folder


def test_stems_that_a_file_system_may_take_for_one():
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert io.unique_stems([f"{composed}.png", f"{decomposed}.jpg"]) == [composed, f"{decomposed}_2"]
    assert io.unique_stems(["Stra\u00dfe.png", "STRASSE.png"]) == ["Stra\u00dfe", "STRASSE_2"]


def test_stems_that_cannot_be_names_of_results():
    assert io.unique_stems(["a\nb.png", "a\tb.png", "a\udcffb.png"]) == ["a_b", "a_b_2", "a_b_3"]
    paths = io.unique_stems(["\u00e4" * 125 + "x.png", "\u00e4" * 125 + "y.png"])
    assert paths == ["\u00e4" * 100, "\u00e4" * 100 + "_2"]


def test_a_name_of_ours_has_neither_folders_nor_what_is_no_text():
    for name in ("a", "größe", "\u3000", "a b", "..", "x" * 255, *paths.unique_stems(["a\nb.png", "caf\udce9.png"])):
        assert paths.is_clean(name), name
    for name in ("", "a/b", "../../a", "a\nb", "a\0", "\udce9", "\ud800", "x" * 256, "ö" * 128):
        assert not paths.is_clean(name), name
