"""Whose file it is, without running anything."""

import json
import os

import pytest

from blindsr_jax.imaging.problem import Status
from blindsr_jax.runs import checkpoints, outputs, ownership, records, resume, workdir
from blindsr_jax.runs.ownership import NotOursError
from tests import small
from tests.runs.test_checkpoints import make
from tests.trees import lost, snapshot

CONFIG = {"config": "c", "flags": {}, "num_steps": 4, "image": {"name": "dip"}, "kernel": {"name": "dkp"}}


def write(path, text="mine"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


@pytest.mark.parametrize("name", ["a", "..", ".", "a b", "-x", "Bücher", "<b>&", "a\\b", ".hidden", "x" * 250])
def test_a_name_of_a_file_is_a_name(name):
    assert ownership.is_name(name)


@pytest.mark.parametrize("name", ["", "/a", "a/b", "../../victim", "a\0", "\ud800", None, 3, [], ["a"], {"a": 1}])
def test_what_leads_elsewhere_is_no_name(name):
    assert not ownership.is_name(name)


@pytest.mark.parametrize("place, name", [("0", "a"), ("0", "../../victim"), (None, "../../victim"), (None, ["a"])])
def test_a_note_is_believed_only_in_the_folder_of_its_name(tmp_path, place, name):
    digest = os.path.basename(ownership.state_folder("", str(name)))
    note = write(tmp_path / "state" / (place or digest) / "input.json", {"name": name, "input": "/x", "sha256": "y"})
    assert not ownership.is_state_of(note, name)
    assert resume.known_images(str(tmp_path)) == {} and ownership.known_names(str(tmp_path)) == set()


def test_a_note_in_its_folder_is_believed(tmp_path):
    resume.write_input(str(tmp_path), "a", "/x", "y")
    assert ownership.known_names(str(tmp_path)) == {"a"} == resume.known_images(str(tmp_path)).keys()


@pytest.mark.parametrize("given", ["D/images/p.png", "link/images/p.png", "in/link.png", "D/../D/images/p.png"])
def test_an_input_where_outputs_go_is_refused_however_it_is_written(tmp_path, given):
    write(tmp_path / "D/images/p.png")
    (tmp_path / "link").symlink_to("D")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link.png").symlink_to("../D/images/p.png")
    for folder in ("D", "link"):
        with pytest.raises(NotOursError) as caught:
            ownership.check_inputs([tmp_path / given], str(tmp_path / folder), outputs=workdir.SOLVE.places)
        assert given in str(caught.value) and f"{folder}/images" in str(caught.value)
    # A link among the outputs would be replaced too.
    (tmp_path / "E/images").mkdir(parents=True)
    (tmp_path / "E/images/p.png").symlink_to("../../D/images/p.png")
    with pytest.raises(NotOursError):
        ownership.check_inputs([tmp_path / "E/images/p.png"], str(tmp_path / "E"), outputs=["images/"])


def test_inputs_beside_the_outputs_are_no_harm(tmp_path):
    given = [write(tmp_path / place) for place in ("p.png", "images/below/p.png", "hr/p.png", "truth/q.png")]
    given.append(tmp_path / "missing/p.png")
    ownership.check_inputs(given, str(tmp_path), outputs=[*workdir.SOLVE.places, "truth/p.png", "gone/p.png"])


@pytest.mark.parametrize("place", ["config.json", "index.html", "images/q.png", "state/mine/x", "records/a.txt"])
def test_a_folder_with_files_of_our_names_is_refused(tmp_path, place):
    write(tmp_path / place)
    before = snapshot(tmp_path)
    with pytest.raises(NotOursError) as caught:
        ownership.check_folder(str(tmp_path), workdir.SOLVE)
    assert "--workdir=" in str(caught.value) and "/".join(place.split("/")[:2]) in str(caught.value)
    assert snapshot(tmp_path) == before


def test_absent_empty_and_other_files_are_no_harm(tmp_path):
    ownership.check_folder(str(tmp_path / "missing"), workdir.SOLVE)
    for name in workdir.SOLVE.folders:
        (tmp_path / name).mkdir()
    write(tmp_path / "notes.txt")
    write(tmp_path / "images" / f".{'0' * 32}.tmp")  # of a run that was killed at once
    ownership.check_folder(str(tmp_path), workdir.SOLVE)


@pytest.mark.parametrize("config", [CONFIG, CONFIG | {"flags": {"scale": 2}, "kernel_sha256": None}, None, "{"])
def test_a_solve_of_any_version_is_known_by_its_config_or_its_records(tmp_path, config):
    write(tmp_path / "images/q.png")
    if config is not None:
        write(tmp_path / "config.json", config)
    if not isinstance(config, dict):
        with pytest.raises(NotOursError):
            ownership.check_folder(str(tmp_path), workdir.SOLVE)
        write(tmp_path / "records/a.json", {"name": "a"})
    ownership.check_folder(str(tmp_path), workdir.SOLVE)


@pytest.mark.parametrize("config", [{"mine": 1}, [], 3, "text", {"num_steps": 1, "image": "x", "kernel": {}}])
def test_a_config_of_another_program_is_none_of_a_solve_whatever_else_is_there(tmp_path, config):
    write(tmp_path / "config.json", json.dumps(config))
    write(tmp_path / "records/a.json", {"name": "a"})
    with pytest.raises(NotOursError, match=r"config\.json"):
        ownership.check_folder(str(tmp_path), workdir.SOLVE)


@pytest.mark.parametrize("place", ["images", "records", "state", "state/0", "state/0/0-000000002"])
@pytest.mark.parametrize("target", ["../outside", "nowhere"])
def test_links_in_place_of_folders_are_refused(tmp_path, place, target):
    write(tmp_path / "outside/thesis.txt")
    folder = tmp_path / "D"
    write(folder / "config.json", CONFIG)
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / place).symlink_to(os.path.join(*[".."] * place.count("/"), target))
    with pytest.raises(NotOursError, match="link"):
        ownership.check_folder(str(folder), workdir.SOLVE)


def test_a_file_in_place_of_the_states_is_refused(tmp_path):
    write(tmp_path / "config.json", CONFIG)
    write(tmp_path / "state")
    with pytest.raises(NotOursError, match="state"):
        ownership.check_folder(str(tmp_path), workdir.SOLVE)


def test_only_states_and_their_note_are_deleted(tmp_path):
    place = tmp_path / "state/0"
    mine = [write(place / name) for name in ("thesis.txt", "mydata/thesis.txt", "0-1/x", "1-000000002")]
    write(tmp_path / "outside/x")
    (place / "3-000000001").symlink_to(tmp_path / "outside")
    for name in ("input.json", f".{'0' * 32}.tmp", "0-000000002/d/x", "0-000000004.orbax-checkpoint-tmp-17/x"):
        write(place / name)
    ownership.remove_state(str(place))
    left = {path for path, (kind, *_) in snapshot(place).items() if kind != "folder"}
    assert left == {str(path.relative_to(place)) for path in mine} | {"3-000000001"}
    assert (tmp_path / "outside/x").exists()


def test_a_state_that_is_a_link_is_not_emptied(tmp_path):
    write(tmp_path / "outside/0-000000002/x")
    (tmp_path / "state").symlink_to("outside")
    before = snapshot(tmp_path)
    ownership.remove_state(str(tmp_path / "state"))
    ownership.remove_state(str(tmp_path / "missing"))
    assert snapshot(tmp_path) == before


def test_a_new_state_deletes_older_states_and_nothing_else(tmp_path):
    checkpoints.save(tmp_path / "a", make(6))
    write(tmp_path / "a/mydata/thesis.txt")
    write(tmp_path / "a/0-000000009.orbax-checkpoint-tmp/x")
    checkpoints.save(tmp_path / "a", make(12))
    assert sorted(os.listdir(tmp_path / "a")) == ["0-000000012", "mydata"]
    assert (tmp_path / "a/mydata/thesis.txt").exists()


def test_a_note_for_another_input_takes_the_states_of_the_former_one_with_it(tmp_path):
    place = ownership.state_folder(str(tmp_path), "a")
    resume.write_input(str(tmp_path), "a", "/x", "one")
    checkpoints.save(place, make(6))
    resume.write_input(str(tmp_path), "a", "/x", "one")
    assert checkpoints.exists(place)
    resume.write_input(str(tmp_path), "a", "/x", "other")
    assert not checkpoints.exists(place) and resume.noted_sha256(place) == "other"


def test_outputs_of_names_that_no_record_knows_may_not_exist(tmp_path):
    write(tmp_path / "images/a.png")
    folder = str(tmp_path)

    def paths(name):
        return outputs.paths_of(folder, name)

    ownership.check_new(["a", "b"], {"a"}, paths, folder)
    with pytest.raises(NotOursError, match=r"images/a\.png"):
        ownership.check_new(["b", "a"], {"b"}, paths, folder)
    (tmp_path / "images/c.png").symlink_to("nowhere")
    with pytest.raises(NotOursError, match=r"images/c\.png"):
        ownership.check_new(["c"], set(), paths, folder)


def test_new_names_cost_one_look_per_folder_and_not_per_file(tmp_path, monkeypatch):
    write(tmp_path / "images/A.png")
    folder, asked, listed = str(tmp_path), [], []
    monkeypatch.setattr(os.path, "lexists", lambda path: asked.append(path) or False)
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    names = [*(f"frame{i}" for i in range(1000)), "a"]
    ownership.check_new(names, set(), lambda name: outputs.paths_of(folder, name), folder)
    # Where upper and lower case are one, the disk itself is to say so.
    assert asked == [str(tmp_path / "images/a.png")] and len(listed) == len(set(listed)) == len(outputs.KINDS)


def test_names_are_noted_until_all_is_made(tmp_path):
    folder = str(tmp_path)
    with pytest.raises(KeyboardInterrupt), ownership.making(folder, ["a"]):
        raise KeyboardInterrupt
    assert ownership.noted_names(folder) == {"a"}
    with ownership.making(folder, ["b"]):
        assert ownership.noted_names(folder) == {"a", "b"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["mine", '["../../victim"]', '{"a": 1}', "[3]", ""])
def test_a_list_of_names_that_is_none_is_refused(tmp_path, text):
    write(tmp_path / ownership.UNFINISHED, text)
    with pytest.raises(NotOursError, match="unfinished"):
        ownership.noted_names(str(tmp_path))


def test_a_plan_refuses_before_it_writes_or_forgets(tmp_path):
    folder = tmp_path / "out"
    given = write(tmp_path / "in/new.png")
    write(folder / "images/new.png")
    write(folder / "records/old.json", {"name": "old", "status": "ok", "input": "/old.png", "sha256": "x"})
    write(folder / "images/old.png")
    write(folder / "config.json", CONFIG)
    before = snapshot(tmp_path)
    for restart in (False, True):
        with pytest.raises((NotOursError, resume.DifferenceError)):
            resume.plan(str(folder), CONFIG | {"num_steps": 5}, [given], restart=restart)
        assert snapshot(tmp_path) == before
    with pytest.raises(NotOursError, match=r"images/new\.png"):
        resume.plan(str(folder), CONFIG, [given])
    assert lost(before, snapshot(tmp_path)) == []


def new_record(name, **known):
    return records.new_record(name, spec=small.spec(), config="x", seed=0, **{"input": "a.png"} | known)


def test_a_failure_deletes_nothing_that_no_record_names(tmp_path):
    folder, image = str(tmp_path), write(tmp_path / "images/a.png")
    record = new_record("a", status=Status.OK)
    for _ in range(2):  # the second time there is a record, but of a failure
        workdir.write_failure(folder, record, "cannot read it")
        assert image.read_text() == "mine"
    resume.forget(folder, "a")
    assert image.read_text() == "mine" and not (tmp_path / "records/a.json").exists()
    records.write_record(folder, record)
    workdir.write_failure(folder, record, "cannot read it")
    assert not image.exists()


def test_what_stands_where_a_failed_image_has_no_output_is_not_ours(tmp_path):
    folder, given = tmp_path / "out", write(tmp_path / "in/a.png")
    workdir.write_failure(str(folder), new_record("a", input=str(given), sha256="x"), "bad")
    write(folder / "config.json", CONFIG)
    assert resume.plan(str(folder), CONFIG, [given])[0].record is None
    write(folder / "images/a.png")
    with pytest.raises(NotOursError, match=r"images/a\.png"):
        resume.plan(str(folder), CONFIG, [given])
    resume.write_input(str(folder), "a", given, resume.sha256(given))  # killed while it was written
    assert resume.plan(str(folder), CONFIG, [given])[0].record is None
