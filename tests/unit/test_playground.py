"""The playground's Python: what is packed for the browser. (What that does: tests/browser.)"""

import base64
import copy
import json

from lecture_utils import bounds, data, models, playground, pretrained

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import linear

N = 60
IMAGES = torch.rand(N, 784, generator=torch.Generator().manual_seed(2)).round()
LABELS = torch.arange(N) % 10
KINDS = {"VAE": models.VAE, "AE": models.Autoencoder, "DAE": models.DenoisingAutoencoder}
NUMPY = {"float32": "<f4", "float16": "<f2"}


def centred(kind=models.VAE, **options):
    """An untrained model that subtracts a mean image."""
    model = kind(**options)
    model.center_inputs(torch.rand(784, generator=torch.Generator().manual_seed(1)))
    return model


def unpacked(packed):
    """The layers {name: (weight, bias)} as the browser reads them, and how many values are left."""
    about = packed["about"]
    values = torch.tensor(np.frombuffer(packed["weights"], NUMPY[about["dtype"]]).astype("f4"))
    layers = {}
    for name, outputs, inputs in about["shapes"]:
        weight, bias, values = values.split(
            [outputs * inputs, outputs, len(values) - outputs * (inputs + 1)]
        )
        layers[name] = weight.reshape(outputs, inputs), bias
    return layers, len(values)


def through(layers, start, activation, x):
    for name, (weight, bias) in layers.items():
        if name.startswith(start):
            x = activation(linear(x, weight, bias))
    return x


@pytest.mark.parametrize(
    ("hidden", "activation"),
    [((30,), nn.ReLU), ((20, 10, 15), nn.Tanh), ((25, 8), nn.SiLU)],
    ids=["relu", "tanh", "silu"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_packed_layers_compute_what_the_model_does_with_the_centring_folded_in(
    kind, hidden, activation
):
    model = centred(KINDS[kind], latent_dim=3, hidden=hidden, activation=activation)
    packed = playground.packed(model, IMAGES, LABELS, surprise=False)
    layers, left = unpacked(packed)
    code = linear(through(layers, "encoder", activation(), IMAGES), *layers["to_mu"])
    logits = linear(through(layers, "decoder", activation(), code), *layers["to_logits"])
    torch.testing.assert_close(code, model.code(IMAGES), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits, model.decode(code), rtol=1e-4, atol=1e-5)
    assert left == 0
    assert ("to_logvar" in layers) == (kind == "VAE")
    assert packed["about"]["kind"] == kind
    assert packed["about"]["activation"] == activation.__name__.lower()


def test_weights_that_sixteen_bits_hold_are_sent_with_sixteen_and_others_with_more():
    rounded = models.VAE(latent_dim=2, hidden=(10,)).half().float()
    halves = playground.packed(rounded, IMAGES, LABELS, False)
    for value in (1 / 3, 1e6):  # between two of the numbers of 16 bits, and above all of them
        other = copy.deepcopy(rounded)
        with torch.no_grad():
            other.to_logits.bias[-1] = value
        floats = playground.packed(other, IMAGES, LABELS, False)
        assert len(floats["weights"]) == 2 * len(halves["weights"])
        assert unpacked(floats)[0]["to_logits"][1][-1] == torch.tensor(value)
    layers, _ = unpacked(halves)
    for name in ("to_mu", "to_logits"):
        assert torch.equal(layers[name][0], getattr(rounded, name).weight)


def test_packing_leaves_the_model_as_it_is():
    model = centred(latent_dim=2, hidden=(10,)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    playground.packed(model, IMAGES, LABELS)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_log_p_of_the_test_images_is_the_importance_weighted_bound_of_the_package():
    model = centred(latent_dim=2, hidden=(10,))
    values = playground.packed(model, IMAGES, LABELS)["about"]["surprise"]
    generator = torch.Generator().manual_seed(7)  # other noise
    theirs = bounds.importance_weighted_bound(model, IMAGES, 300, generator)
    assert values == sorted(values)
    assert len(values) == N
    assert np.mean(values) == pytest.approx(theirs.mean().item(), abs=0.5)  # q is far from p(z|x)


def test_what_lies_round_the_weights_can_be_sent_as_json_and_fits_the_model():
    plane = playground.packed(centred(latent_dim=2, hidden=(10,)), IMAGES, LABELS)["about"]
    wide = playground.packed(centred(latent_dim=7, hidden=(10,)), IMAGES, LABELS, False)["about"]
    json.dumps([plane, wide])
    assert len(plane["codes"]) == N
    assert wide["codes"] == []
    assert sorted(wide["order"]) == list(range(7))
    flat = playground.packed(centred(models.Autoencoder, latent_dim=2), IMAGES, LABELS)["about"]
    assert flat["surprise"] == []  # an AE has no p(x)
    assert max(abs(v) for point in flat["codes"] for v in point[:2]) < 1.5 * flat["limit"]
    assert {len(point) for point in flat["codes"]} == {3}


def test_a_vaes_plane_tells_mean_and_sigma_of_each_image():
    model = centred(latent_dim=2, hidden=(10,))
    points = torch.tensor(playground.packed(model, IMAGES, LABELS, False)["about"]["codes"])
    rows = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    mu, logvar = model.encode(IMAGES[rows])
    assert torch.equal(points[:, 2].long(), LABELS[rows])
    torch.testing.assert_close(points[:, :2], mu.detach(), rtol=0, atol=0.0051)
    torch.testing.assert_close(points[:, 3:], torch.exp(logvar / 2).detach(), rtol=0, atol=0.0051)


def test_units_come_by_information():
    model = centred(latent_dim=3, hidden=(10,))
    with torch.no_grad():  # unit 1 is dead, unit 2 tells most
        for layer in (model.to_mu, model.to_logvar):
            layer.weight[1] = layer.bias[1] = 0
        model.to_logvar.bias[2] = -8
    order = playground.packed(model, IMAGES, LABELS, False)["about"]["order"]
    assert order[0] == 2
    assert order[-1] == 1


def test_two_images_of_each_digit_can_be_taken_and_keep_their_pixels():
    images = playground.take_from(IMAGES, LABELS)
    assert sorted(name[0] for name, _ in images) == sorted("00112233445566778899")
    for name, text in images:
        row = int(name.split()[-1].rstrip(")"))
        bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8))
        assert torch.equal(torch.tensor(bits).float(), IMAGES[row])
        assert int(name[0]) == LABELS[row]


def test_update_sends_new_weights_under_the_same_name():
    model = models.VAE(latent_dim=2, hidden=(10,))
    widget = playground.digits({"mine": model}, IMAGES, LABELS)
    before = widget.models["mine"]["weights"]
    with torch.no_grad():
        model.to_mu.bias += 1
    widget.update(model)
    assert list(widget.models) == ["mine"]
    assert widget.models["mine"]["weights"] != before
    with pytest.raises(ValueError, match="no model 'yours' here, but mine"):
        widget.update(model, "yours")


def test_the_text_of_an_output_names_no_address():
    model = models.VAE(latent_dim=2, hidden=(10,))
    assert repr(playground.digits(model, IMAGES, LABELS)) == "Playground(VAE)"
    assert repr(playground.kl()) == "Playground(kl)"


class GaussianPixels(models.VAE):
    def log_likelihood(self, z, x):
        return -(self.decode(z) - x).square().sum(-1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((models.VAE(), IMAGES / 2, LABELS), "are grey.*binary_test_set"),
        ((models.VAE(), IMAGES.byte(), LABELS), "torch.uint8.*binary_test_set"),
        ((models.VAE(), IMAGES, LABELS[:3]), "60 images, but 3 labels"),
        ((nn.Linear(784, 2), IMAGES, LABELS), "not a Linear"),
        ((GaussianPixels(latent_dim=2), IMAGES, LABELS), "not a GaussianPixels"),
        ((models.VAE(activation=nn.GELU), IMAGES, LABELS), "not GELU"),
        ((models.VAE(), IMAGES, LABELS, "plane"), "view is 'plane', but must be one of '', 'sur"),
    ],
    ids=["grey", "bytes", "labels", "linear", "likelihood", "activation", "view"],
)
def test_bad_input_gets_an_error_that_names_the_mend(arguments, message):
    with pytest.raises(ValueError, match=message):
        playground.digits(*arguments)


def test_the_joined_script_has_neither_imports_nor_exports_left():
    lines = playground.script().splitlines()
    assert not [line for line in lines if line.startswith(("import ", "export "))]
    assert sum(len(line) for line in lines) > 20_000


@pytest.mark.parametrize("name", [*playground.SHIPPED, *playground.SHIPPED_OF_03])
def test_a_shipped_model_is_packed_without_loss_and_as_good_as_its_record_says(name, mnist):
    record = json.loads(playground.RECORD.read_text(encoding="utf-8"))[name]
    images = data.binary_test_set(mnist)
    packed = playground.shipped_and_packed(name, images, mnist.test_labels)
    layers, _ = unpacked(packed)
    model = playground.shipped(name)
    assert torch.equal(layers["to_logits"][0], model.to_logits.weight)
    assert torch.equal(layers["encoder0"][1], model.encoder[0].bias)
    # 1000 images of 10,000: their mean is off by a standard error of about 1.5 nats.
    assert packed["about"]["mean"] == pytest.approx(record["test loss (nats)"], abs=6)
    assert len(packed["weights"]) * 4 / 3 < 1.8e6  # as base64: with the program below 4 MB
    assert "16 bits" in packed["about"]["note"]
    with pytest.raises(ValueError, match="'VAE, 2 dimensions', 'VAE, 20 dimensions'"):
        playground.shipped("VAE")


def test_a_missing_shipped_model_is_named_with_its_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(OSError, match=r"(?s)playground_vae_2.*git checkout.*benchmarks/playground"):
        playground.shipped("VAE, 2 dimensions")
