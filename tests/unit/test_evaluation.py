"""The numbers by which models are judged: averages, seeds, codes and the Fréchet distance, on exact
values.
"""

import math

from lecture_utils import bounds, evaluation, models

import pytest
import torch
from torch.distributions import Bernoulli

from tests.helpers import KINDS, seeded
from tests.tolerances import assert_near

D = 12  # pixels of the small models in these tests
TERMS = D + 8 + 3 + 8 + D  # what their layers, and the sum over pixels, add up


def small(model=models.VAE, **options):
    return model(latent_dim=3, hidden=(8,), n_pixels=D, seed=1, **options)


def binary(n, seed=0):
    return torch.rand(n, D, generator=torch.Generator().manual_seed(seed)).round()


def sharp_vae():
    """A VAE whose posterior has (nearly) no width, so that its noise does not matter."""
    model = small()
    torch.nn.init.zeros_(model.to_logvar.weight)
    torch.nn.init.constant_(model.to_logvar.bias, -60.0)
    return model


def blind_vae():
    """A VAE whose decoder ignores z and whose posterior is the prior: ELBO, bounds and log p(x) are
    one number.
    """
    model = small()
    for layer in (model.to_mu, model.to_logvar):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    torch.nn.init.zeros_(model.to_logits.weight)
    model.to_logits.bias.data = torch.linspace(-2, 2, D)
    return model


# Averages over a data set


def test_mean_and_error_of_known_values():
    mean, error = evaluation.mean_and_error(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert mean == 3 and error == pytest.approx(math.sqrt(14 / 3) / 2, rel=1e-12)


@pytest.mark.parametrize("model", [small(models.Autoencoder), sharp_vae()], ids=["ae", "vae"])
@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2345])
def test_means_do_not_depend_on_the_chunks(model, n):
    """The last chunk is short, and its images differ: an average of chunk averages would be off."""
    x = binary(n)
    x[1000:] = 1.0
    with torch.no_grad():
        exact = [values.double().mean().item() for values in model.loss_terms(x)]
    terms = evaluation.mean_loss_terms(model, x)
    assert_near(terms.reconstruction, exact[0], TERMS)
    assert_near(terms.kl, exact[1], TERMS)


def test_mean_elbo_has_the_standard_error_of_its_images():
    model, x = sharp_vae(), binary(1500)
    with torch.no_grad():
        values = bounds.elbo(model, x)
    mean, error = evaluation.mean_elbo(model, x)
    assert_near(mean, values.double().mean(), TERMS)
    assert_near(error, values.double().std() / math.sqrt(1500), TERMS, scale=abs(mean))


def test_all_bounds_equal_log_p_where_the_latent_does_nothing():
    model, x = blind_vae(), binary(450)
    exact = Bernoulli(logits=torch.linspace(-2, 2, D)).log_prob(x).sum(dim=1).double().mean().item()
    assert_near(evaluation.mean_elbo(model, x).mean, exact, TERMS)
    assert_near(evaluation.mean_elbo(model, x, n_samples=5).mean, exact, TERMS)
    assert_near(evaluation.mean_log_likelihood(model, x, n_samples=7).mean, exact, TERMS)


def test_the_importance_weighted_estimate_lies_above_the_elbo():
    model, x = small(), binary(300)
    torch.nn.init.constant_(
        model.to_mu.bias, 1.0
    )  # a poor posterior, so that the gap is far above the noise
    assert (
        evaluation.mean_log_likelihood(model, x, n_samples=200).mean
        > evaluation.mean_elbo(model, x, n_samples=50).mean + 0.5
    )


@pytest.mark.parametrize(
    "measure",
    [
        lambda model, x, seed: evaluation.mean_loss_terms(model, x, seed=seed).reconstruction,
        lambda model, x, seed: evaluation.mean_elbo(model, x, seed=seed).mean,
        lambda model, x, seed: (
            evaluation.mean_log_likelihood(model, x, n_samples=3, seed=seed).mean
        ),
        lambda model, x, seed: evaluation.posterior_samples(model, x, seed=seed).sum().item(),
    ],
    ids=["mean_loss_terms", "mean_elbo", "mean_log_likelihood", "posterior_samples"],
)
def test_the_seed_decides_and_the_global_generator_is_left_alone(measure):
    model, x = small(), binary(50)
    state = torch.get_rng_state()
    assert measure(model, x, 3) == measure(model, x, 3)
    assert measure(model, x, 3) != measure(model, x, 4)
    assert torch.equal(torch.get_rng_state(), state)


def test_no_gradients_are_kept():
    model, x = small(), binary(5)
    assert not evaluation.codes_of(model, x).requires_grad
    assert not evaluation.posterior_samples(model, x).requires_grad


# Latent codes


def test_codes_are_means_and_samples_scatter_about_them():
    model, x = small(), binary(1)
    torch.nn.init.zeros_(model.to_logvar.weight)
    torch.nn.init.constant_(model.to_logvar.bias, 2 * math.log(0.5))  # sigma = 0.5
    codes = evaluation.codes_of(model, x.expand(4000, -1))
    assert_near(codes, model.encode(x)[0].expand_as(codes), TERMS, scale=1)
    scatter = evaluation.posterior_samples(model, x.expand(4000, -1)) - codes
    assert scatter.mean(dim=0).abs().max() < 4 * 0.5 / math.sqrt(4000)
    assert (scatter.std(dim=0) / 0.5 - 1).abs().max() < 4 / math.sqrt(2 * 4000)


def test_active_units_of_a_model_that_uses_one_dimension():
    """z_0 follows a pixel (variance 1/4), z_1 follows it faintly (variance 1/400 < 0.01), z_2 is
    constant.
    """
    model = models.VAE(latent_dim=3, hidden=(1,), n_pixels=D)
    for layer in (model.encoder[0], model.to_mu):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    model.encoder[0].weight.data[0, 0] = 1.0  # the hidden unit is the first pixel
    model.to_mu.weight.data[:, 0] = torch.tensor([1.0, 0.1, 0.0])
    model.to_mu.bias.data[:] = torch.tensor([0.0, 0.0, 5.0])
    x = torch.zeros(1500, D)
    x[::2, 0] = 1
    assert evaluation.active_units(model, x).tolist() == [True, False, False]
    assert evaluation.active_units(model, x, threshold=0.001).tolist() == [True, True, False]


def test_mean_loss_terms_are_two_numbers_in_nats():
    terms = evaluation.mean_loss_terms(small(), binary(20))
    assert terms._fields == ("reconstruction", "kl")
    assert all(isinstance(value, float) for value in terms)


@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.__name__)
def test_a_model_without_a_posterior_has_codes_and_loss_terms_but_no_samples_and_no_elbo(kind):
    """Two images and an encoder of one code: unpacking it as (mu, logvar) would go unnoticed."""
    model, x = small(kind), binary(2)
    assert evaluation.codes_of(model, x).shape == (2, 3)
    assert evaluation.mean_loss_terms(model, x).kl == 0
    for measure in (
        evaluation.posterior_samples,
        evaluation.mean_elbo,
        evaluation.mean_log_likelihood,
    ):
        with pytest.raises(TypeError, match="has no q"):
            measure(model, x)


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2345])
def test_all_images_come_by_once_and_in_order(n):
    x = torch.arange(n * D).reshape(n, D).float()
    parts = []

    def doubled(part):
        parts.append(part)
        return 2 * part

    assert torch.equal(evaluation.in_parts(doubled, x), 2 * x)
    assert torch.equal(torch.cat(parts), x) and len(parts) == math.ceil(n / 1000)


def test_the_parts_of_one_set_of_images_draw_different_noise():
    model, x = small(), binary(1).expand(3000, -1)  # one image, looked at in three parts
    z = evaluation.posterior_samples(model, x, seed=0)
    assert len(z.unique(dim=0)) == 3000


def test_one_seed_draws_the_samples_that_the_generator_gives():
    model, x = small(), binary(5)
    mu, logvar = model.encode(x)
    z = mu + torch.exp(logvar / 2) * torch.randn(5, 3, generator=seeded(4))
    assert_near(evaluation.posterior_samples(model, x, seed=4), z, TERMS)
