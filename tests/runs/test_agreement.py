import shutil
from types import SimpleNamespace

import pytest

import blindsr_jax
from blindsr_jax.runs import agreement, resume
from blindsr_jax.runs.cli import UsageError
from blindsr_jax.runs.distributed import RefusedError, together
from tests.small_peers import all_closed, at_once, two_peers  # noqa: F401

CONFIG = {"num_steps": 4, "boundary": "valid", "image": {"channels": 4, "weights": "small"}, "families": ("a", "b")}
FLAGS = {"input": "in/*.png", "scale": 2, "seed": 0, "kernel": None}
STOPPER = SimpleNamespace(check=lambda: None)


def identity(config=CONFIG, name="c", kernel=None, **flags):
    return agreement.identity({"config": name, "flags": FLAGS | flags, "kernel_sha256": kernel}, config)


def agree(place, ours, theirs, worker_folder=None, error=None):
    """What process 0 and process 1 make of it: None or the error that ends them."""
    leader, worker = two_peers()
    place.mkdir(exist_ok=True)

    def lead():
        with together(leader):
            agreement.ask(leader, ours, str(place), STOPPER)

    def follow():
        with together(worker):
            if error is not None:
                raise error
            agreement.answer(worker, theirs, str(worker_folder or place), STOPPER)

    outcomes = at_once(lead, follow)
    assert not list(place.glob(".*"))  # the file with the random text has gone
    return outcomes


def test_processes_that_were_told_the_same_agree(tmp_path):
    same = identity(), identity(input="other/*.png", kernel_file=3)
    assert agree(tmp_path / "w", *same) == [None, None]
    assert (tmp_path / "w/images").is_dir()


DIFFERENCES = {
    "--scale": identity(scale=3),
    "--seed": identity(seed=1),
    "--config.num_steps": identity(CONFIG | {"num_steps": 6}),
    "--config.boundary": identity(CONFIG | {"boundary": "circular"}),
    "--config.image.channels": identity(CONFIG | {"image": {"channels": 8}}),
    "--config.families": identity(CONFIG | {"families": ("a",)}),
    "--kernel": identity(kernel="0" * 64),
    "name of --config": identity(name="d"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_process_that_differs_refuses_and_process_0_says_which(tmp_path, name, is_reversed):
    told = (identity(), DIFFERENCES[name])
    first, second = agree(tmp_path / "w", *(reversed(told) if is_reversed else told))
    assert type(first) is RefusedError and type(second) is RefusedError, (first, second)
    assert name in str(second) and str(first) == f"process 1 has refused: {second}"
    assert not list((tmp_path / "w").iterdir())


@pytest.mark.parametrize("name", ["blindsr_jax", "jax", "numpy"])
def test_other_versions_differ(tmp_path, name, monkeypatch):
    told, version = identity(), agreement.importlib.metadata.version
    monkeypatch.setattr(blindsr_jax, "__version__", "0.0.7" if name == "blindsr_jax" else blindsr_jax.__version__)
    monkeypatch.setattr(agreement.importlib.metadata, "version", lambda n: "0.0.7" if n == name else version(n))
    first, second = agree(tmp_path / "w", told, identity())
    assert f"version of {name} is" in str(second) and "0.0.7" in str(first)


def test_another_working_copy_or_other_weights_differ(tmp_path, monkeypatch):
    shutil.copytree(agreement.Path(blindsr_jax.__file__).parent / "kernels", tmp_path / "package")
    (tmp_path / "package/__init__.py").write_text("")
    monkeypatch.setattr(blindsr_jax, "__file__", str(tmp_path / "package/__init__.py"))
    weights = tmp_path / "own.npz"
    weights.write_bytes(b"1")
    told = identity({"weights": str(weights)})
    assert identity({"weights": str(weights)}) == told
    weights.write_bytes(b"2")
    assert resume.differences(told, identity({"weights": str(weights)}), "{}") == [f"SHA-256 of {weights}"]
    weights.write_bytes(b"1")
    (tmp_path / "package/geometry.py").write_text("# changed")
    assert resume.differences(told, identity({"weights": str(weights)}), "{}") == [
        "version of the files of blindsr_jax"
    ]


def test_a_process_in_another_folder_refuses_and_makes_nothing_there(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "FOLDER_SECONDS", 0.5)
    first, second = agree(tmp_path / "w", identity(), identity(), worker_folder=tmp_path / "other")
    assert "--workdir" in str(second) and str(tmp_path / "w") in str(second), second
    assert "process 1 has refused: --workdir" in str(first) and not (tmp_path / "other").exists()


def test_process_0_says_why_another_cannot_start_and_the_other_why_process_0_cannot(tmp_path):
    first, second = agree(tmp_path / "w", identity(), identity(), error=UsageError("--kernel=x is\nmissing"))
    assert type(first) is RefusedError and str(first) == "process 1 has refused: --kernel=x is missing"
    leader, worker = two_peers()

    def lead():
        with together(leader):
            raise UsageError("no file matches")

    def follow():
        with together(worker):
            agreement.answer(worker, identity(), str(tmp_path), STOPPER)

    first, second = at_once(lead, follow)
    assert type(second) is RefusedError and str(second) == "process 0 has ended: no file matches"


@pytest.mark.parametrize(
    "question",
    [None, 3, {}, {"told": "{}"}, {"told": "[", "token": "x"}, {"told": "[1]", "token": "x"}, {"told": 3, "token": "x"}]
    + [{"told": "[" * 30000, "token": "x"}],
)
def test_a_process_0_that_talks_nonsense_is_refused(tmp_path, question):
    leader, worker = two_peers()
    leader.channels[1].send({"agree": question})
    (error,) = at_once(lambda: agreement.answer(worker, identity(), str(tmp_path), STOPPER))
    assert type(error) is RefusedError and not list(tmp_path.iterdir()), error


@pytest.mark.parametrize("token", ["../victim", "victim", "/etc/passwd", ["x"], None, ".lock"])
def test_only_the_name_of_a_temporary_file_is_opened(tmp_path, token):
    (tmp_path / "w").mkdir()
    for name in ("victim", "w/victim", "w/.lock"):
        (tmp_path / name).write_text("x" * 32)
    leader, worker = two_peers()
    told = agreement.json.dumps(identity())
    leader.channels[1].send({"agree": {"told": told, "token": token, "folder": "w"}})
    (error,) = at_once(lambda: agreement.answer(worker, identity(), str(tmp_path / "w"), STOPPER))
    assert type(error) is RefusedError and "--workdir" in str(error)


def test_a_process_that_cannot_have_read_the_folder_is_refused(tmp_path):
    leader, worker = two_peers()
    worker.channels[0].send({"token": "guessed"})
    (error,) = at_once(lambda: agreement.ask(leader, identity(), str(tmp_path), STOPPER))
    assert type(error) is RefusedError and "process 1" in str(error) and not list(tmp_path.iterdir())


def test_a_lost_process_is_named(tmp_path):
    leader, worker = two_peers()
    worker.channels[0].close()
    (error,) = at_once(lambda: agreement.ask(leader, identity(), str(tmp_path), STOPPER))
    assert type(error) is RefusedError and "process 1" in str(error)
