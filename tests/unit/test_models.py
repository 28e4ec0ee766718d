"""Autoencoder, DAE, VAE: alike but for what the lecture says, and their contract."""

import math

from lecture_utils import bounds, models, objectives

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.helpers import EVERY_KIND, KINDS, SMALL, binary_pixels, seeded
from tests.tolerances import assert_near

TERMS = 20 + 16 + 3 + 16 + 20  # what SMALL's layers, and the sum over pixels, add up


# What each of them returns


@EVERY_KIND
def test_the_contract_has_the_same_shapes_for_every_model(kind):
    model, x = kind(**SMALL), binary_pixels()
    z = model.code(x)
    assert z.shape == (50, 3) and model.decode(z).shape == (50, 20)
    assert model.log_likelihood(z, x).shape == (50,)
    assert model.log_likelihood(z.expand(4, 50, 3), x).shape == (4, 50)
    encoded = model.encode(x)
    assert len(encoded) == 2 if kind is models.VAE else torch.equal(encoded, z)
    assert torch.equal(encoded[0] if kind is models.VAE else encoded, z)


def test_the_three_models_are_siblings():
    """What holds for a VAE's encoder must not be assumed of the others', and vice versa."""
    for kind in KINDS:
        assert kind.__bases__ == (models.EncoderDecoder,)


@EVERY_KIND
def test_the_likelihood_is_that_of_binary_pixels(kind):
    model, x = kind(**SMALL), binary_pixels()
    z = torch.randn(50, 3, generator=seeded())
    expected = objectives.bernoulli_log_likelihood(model.decode(z), x)
    assert torch.equal(model.log_likelihood(z, x), expected)


@EVERY_KIND
def test_losses_are_per_example_and_summed_over_pixels(kind):
    model, x = kind(**SMALL), binary_pixels()
    assert all(term.shape == (50,) for term in model.loss_terms(x, seeded()))
    with torch.no_grad():
        model.to_logits.weight.zero_()
        model.to_logits.bias.zero_()
    error = model.loss_terms(x, seeded()).reconstruction
    assert_near(error, torch.full((50,), 20 * math.log(2)), terms=20)  # nats, all pixels


def test_encode_of_the_vae_gives_the_mean_and_log_variance_that_its_loss_uses():
    model, x = models.VAE(**SMALL), binary_pixels()
    mu, logvar = model.encode(x)
    assert mu.shape == logvar.shape == (50, 3)
    z = mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=seeded(6))
    terms = model.loss_terms(x, seeded(6))
    referee = kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(0.0, 1.0)).sum(-1)
    assert_near(terms.kl, referee, terms=3, scale=1)  # 1 + log sigma^2 - sigma^2 cancels: scale 1
    expected = -objectives.bernoulli_log_likelihood(model.decode(z), x)
    assert_near(terms.reconstruction, expected, TERMS)


@pytest.mark.parametrize("kind", [models.Autoencoder, models.VAE])
def test_a_loss_does_not_depend_on_the_batch_it_is_in(kind, monkeypatch):
    def noise_from_mu(mu, logvar, generator=None):  # the same for an example in any batch
        return mu + torch.exp(logvar / 2) * torch.sin(10 * mu)

    monkeypatch.setattr(models, "reparameterize", noise_from_mu)
    model, x = kind(**SMALL), binary_pixels()
    whole = bounds.negative_elbo(model, x)
    for size in (1, 7, 49):
        parts = torch.cat([bounds.negative_elbo(model, part) for part in x.split(size)])
        assert_near(parts, whole, 10 * TERMS)


# They differ in what the lecture says, and in nothing else


@EVERY_KIND
def test_one_seed_gives_all_three_the_same_shared_weights(kind):
    shared = models.Autoencoder(**SMALL, seed=7).state_dict()
    weights, other = (kind(**SMALL, seed=seed).state_dict() for seed in (7, 8))
    assert all(torch.equal(weights[name], value) for name, value in shared.items())
    extra = set(weights) - set(shared)
    assert extra == ({"to_logvar.weight", "to_logvar.bias"} if kind is models.VAE else set())
    assert not torch.equal(weights["to_mu.weight"], other["to_mu.weight"])


def test_the_dae_is_an_ae_whose_input_is_corrupted():
    def error(model, generator=None):
        return model.loss_terms(x, generator).reconstruction

    x, plain = binary_pixels(), models.Autoencoder(**SMALL)
    clean, noisy = (models.DenoisingAutoencoder(**SMALL, noise=noise) for noise in (0.0, 0.5))
    assert torch.equal(error(clean, seeded()), error(plain))
    logits = noisy.decode(noisy.encode(models.corrupt(x, 0.5, seeded(9))))
    of_the_clean_x = -objectives.bernoulli_log_likelihood(logits, x)
    assert torch.equal(error(noisy, seeded(9)), of_the_clean_x)
    assert not torch.equal(error(noisy, seeded()), error(plain))
    assert torch.equal(noisy.reconstruct(x), plain.reconstruct(x))  # not corrupted at evaluation
    for model in (plain, clean, noisy):
        assert (model.loss_terms(x, seeded()).kl == 0).all()


def test_the_vae_is_an_ae_that_draws_its_code_and_pays_a_kl(monkeypatch):
    x, plain, vae = binary_pixels(), models.Autoencoder(**SMALL), models.VAE(**SMALL)
    assert torch.equal(vae.code(x), plain.code(x))
    assert torch.equal(vae.reconstruct(x), plain.reconstruct(x))
    assert (vae.loss_terms(x, seeded()).kl > 0).all()
    # without noise it has the AE's error
    monkeypatch.setattr(models, "reparameterize", lambda mu, logvar, generator=None: mu)
    assert torch.equal(vae.loss_terms(x).reconstruction, plain.loss_terms(x).reconstruction)


def test_corruption_replaces_the_given_share_of_pixels_by_coin_flips():
    n, noise = 200_000, 0.3
    for value in (0.0, 1.0):
        changed = (models.corrupt(torch.full((n,), value), noise, seeded()) != value).float().mean()
        assert abs(changed - noise / 2) < 4 * math.sqrt(noise / 2 * (1 - noise / 2) / n)


# Logits, probabilities, input


@EVERY_KIND
def test_decoders_return_logits_and_only_pictures_are_probabilities(kind):
    model, x = kind(**SMALL), binary_pixels()
    logits = model.decode(1000 * torch.randn(50, 3, generator=seeded()))
    assert logits.min() < -5 and logits.max() > 5
    with torch.no_grad():
        model.to_logits.weight.mul_(100)
    for probabilities in (model.reconstruct(x), model.sample(50, seeded())):
        assert probabilities.shape == (50, 20)
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert torch.equal(model.reconstruct(x), torch.sigmoid(model.decode(model.code(x))))
    z = torch.randn(4, 3, generator=seeded())
    assert torch.equal(model.sample(4, seeded()), torch.sigmoid(model.decode(z)))


def test_the_output_bias_becomes_the_log_odds_of_the_mean_image():
    model, n = models.VAE(**SMALL), 1000
    mean = torch.linspace(0, 1, 20)  # always off and always on included
    model.set_output_bias(mean, n)
    expected = (mean.double() * n + 1) / (n + 2)
    assert_near(torch.sigmoid(model.to_logits.bias.double()), expected, terms=4)
    assert torch.isfinite(model.to_logits.bias).all()


def test_centred_inputs_compute_what_a_shifted_first_bias_would():
    centred, shifted = models.VAE(**SMALL), models.VAE(**SMALL)
    mean = torch.linspace(0, 1, 20)
    centred.center_inputs(mean)
    with torch.no_grad():
        shifted.encoder[0].bias -= shifted.encoder[0].weight @ mean
    x, seen = binary_pixels(), []
    for a, b in zip(centred.encode(x), shifted.encode(x), strict=True):
        assert_near(a, b, TERMS, scale=1)
    centred.encoder.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    centred.encode(x)
    assert torch.equal(seen[0], x - mean)


NAMED = {
    "encode unflattened images": (lambda vae: vae.encode(torch.zeros(2, 4, 5)), r"flatten\(1\)"),
    "encode other pixels": (lambda vae: vae.encode(torch.zeros(2, 21)), r"\[B, 20\]"),
    "encode uint8": (lambda vae: vae.encode(torch.zeros(2, 20, dtype=torch.uint8)), "binarize"),
    "decode another size": (lambda vae: vae.decode(torch.zeros(2, 4)), r"\[\.\.\., 3\]"),
    "mean image of one pixel": (lambda vae: vae.center_inputs(torch.zeros(1)), "n_pixels=1"),
    "bias of other pixels": (lambda vae: vae.set_output_bias(torch.zeros(21), 9), "n_pixels=21"),
}


@pytest.mark.parametrize("case", NAMED)
def test_bad_input_gets_one_error_that_names_the_fix(case):
    call, fix = NAMED[case]
    with pytest.raises(ValueError, match=fix):
        call(models.VAE(**SMALL))


def test_a_noise_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="probability, got 1.5"):
        models.DenoisingAutoencoder(noise=1.5)


@EVERY_KIND
@pytest.mark.parametrize(
    "sizes",
    [{"latent_dim": 0}, {"latent_dim": -1}, {"latent_dim": 2.0}, {"n_pixels": 0}, {"hidden": (0,)}],
    ids=str,
)
def test_sizes_below_one_are_refused(kind, sizes):
    with pytest.raises(ValueError, match="whole numbers of at least 1"):
        kind(**SMALL | sizes)


@EVERY_KIND
@pytest.mark.parametrize("hidden", [400, ()])
def test_widths_that_are_no_list_are_refused(kind, hidden):
    with pytest.raises(ValueError, match=r"hidden is .*, expected the widths of the layers, like"):
        kind(hidden=hidden)
