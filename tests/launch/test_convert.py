"""launch/convert.py on files of both formats, good and bad."""

import numpy as np

from blindsr_jax.weights import archive, convert, flow
from tests import golden
from tests.launch.commands import command, forked, usage_error
from tests.weights.test_convert import legacy, tensor, zipped


def write(path, tensors, form=zipped, wrap=False):
    storages = {str(i): np.asarray(value, "<f4") for i, value in enumerate(tensors.values())}
    tree = {name: tensor(key, storages[key]) for name, key in zip(tensors, storages, strict=True)}
    path.write_bytes(form({"model_state": tree} if wrap else tree, storages))


def test_convert(tmp_path):
    fkp = golden.load("FKP_x2")
    write(tmp_path / "zip.pt", fkp, wrap=True)
    write(tmp_path / "old.pth", fkp, form=legacy)
    write(tmp_path / "less.pt", {name: value for name, value in fkp.items() if name != "net.9.beta"})
    write(tmp_path / "other.pt", {"fc.weight": np.zeros((2, 2))})
    (tmp_path / "cut.pt").write_bytes((tmp_path / "zip.pt").read_bytes()[:-100])

    def convert(name, output="x.npz", *flags):
        return command("convert", f"--input={tmp_path}/{name}", f"--output={tmp_path}/{output}", *flags)

    *good, less, other, forced, cut, missing, suffix = forked(
        convert("zip.pt", "a.npz"),
        convert("old.pth", "b.npz", "--model=fkp"),
        convert("less.pt"),
        convert("other.pt"),
        convert("zip.pt", "x.npz", "--model=usrnet_tiny"),
        convert("cut.pt"),
        convert("nothing.pt"),
        convert("zip.pt", "x.pt"),
    )
    assert all(run.code == 0 and "fkp, 90 tensors" in run.out for run in good), good
    (first, scale), (second, _) = (flow.read(tmp_path / name) for name in ("a.npz", "b.npz"))
    assert scale == 2
    np.testing.assert_array_equal(first.params.beta, second.params.beta)
    np.testing.assert_array_equal(first.params.log_scale.w0[0], fkp["net.0.s_net.0.weight"].T)
    assert "less.pt: as fkp it lacks net.9.beta" in usage_error(less)
    assert "its keys (fc.weight) are of no known model, expected one of fkp" in usage_error(other)
    assert "as usrnet_tiny it lacks h.mlp.0.bias" in usage_error(forced)
    assert "not a complete file of torch.save" in usage_error(cut)
    assert "there is no such file" in usage_error(missing)
    assert "x.pt: the name of a .npz file was expected" in usage_error(suffix)
    assert not (tmp_path / "x.npz").exists()


def test_what_a_training_has_written_is_not_taken_for_a_conversion():
    """It would be overwritten without a word."""
    assert not convert.is_archive(archive.FILES / "flow" / "gaussian_x2.npz")
    assert not convert.is_archive(archive.FILES / "usrnet" / "usrnet.npz")
