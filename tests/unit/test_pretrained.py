"""The models of the published table: the kept weights are those of the records, and a damaged file
is named with its mend.
"""

import json
import shutil

from lecture_utils import data, evaluation, pretrained

import pytest
import torch

EVERY_MODEL = pytest.mark.parametrize("name", pretrained.NAMES)


def test_the_architecture_is_that_of_the_paper():
    shapes = [
        tuple(layer.weight.shape)
        for layer in pretrained.build().modules()
        if isinstance(layer, torch.nn.Linear)
    ]
    assert sorted(shapes) == sorted(
        [(200, 784), (200, 200), (50, 200), (50, 200), (200, 50), (200, 200), (784, 200)]
    )
    assert sum(isinstance(layer, torch.nn.Tanh) for layer in pretrained.build().modules()) == 4


@EVERY_MODEL
def test_the_weights_are_those_of_the_record(name, mnist):
    model, record = pretrained.load(name)
    x = data.binary_test_set(mnist)
    assert evaluation.mean_elbo(model, x).mean == pytest.approx(
        record["test ELBO (nats)"], abs=0.01
    )
    assert int(evaluation.active_units(model, x).sum()) == record["active units"]
    assert not model.training
    assert (pretrained.FOLDER / f"{name}.safetensors").stat().st_size < 2e6


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'gan': choose one of vae, iwae"):
        pretrained.load("gan")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the VAE's files, from which `load` reads."""
    for file in pretrained.FOLDER.glob("vae.*"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    return tmp_path


def cut(file):
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize(
    "damage",
    [cut, lambda file: file.unlink(), lambda file: file.write_bytes(b"")],
    ids=["cut", "missing", "empty"],
)
@pytest.mark.parametrize("kind", ["safetensors", "json"])
def test_a_damaged_or_missing_file_is_named_with_its_mend(folder, kind, damage):
    damage(folder / f"vae.{kind}")
    with pytest.raises(OSError, match=r"(?s)vae.*git checkout -- lecture_utils/weights"):
        pretrained.load("vae")


def test_weights_of_another_architecture_are_named_with_their_mend(folder):
    from safetensors.torch import save_file

    save_file({"to_mu.weight": torch.zeros(50, 200)}, folder / "vae.safetensors")
    with pytest.raises(OSError, match=r"(?s)vae.*git checkout -- lecture_utils/weights"):
        pretrained.load("vae")
    assert json.loads((folder / "vae.json").read_text())["k"] == 1  # the record was not touched
