"""The numbers by which models are judged: averages, seeds, codes and the Fréchet distance, on exact values."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.distributions import Bernoulli

from lecture_utils import evaluation, models, objectives
from lecture_utils.data import binarize, load_mnist

D = 12  # pixels of the small models in these tests


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
    """A VAE whose decoder ignores z and whose posterior is the prior: ELBO, bounds and log p(x) are one number."""
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
    assert terms.reconstruction == pytest.approx(exact[0], rel=1e-6)
    assert terms.kl == pytest.approx(exact[1], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_any_chunk_size_gives_the_same_values_in_order(chunk):
    model, x = small(models.Autoencoder), binary(150)
    parts = evaluation._in_chunks(lambda batch, _: model.code(batch), model, x, 0, chunk)
    assert torch.allclose(parts, model.code(x), atol=1e-6)


def test_mean_elbo_has_the_standard_error_of_its_images():
    model, x = sharp_vae(), binary(1500)
    with torch.no_grad():
        values = bounds.elbo(model, x)
    mean, error = evaluation.mean_elbo(model, x)
    assert mean == pytest.approx(values.mean().item(), rel=1e-6)
    assert error == pytest.approx(values.std().item() / math.sqrt(1500), rel=1e-4)


def test_all_bounds_equal_log_p_where_the_latent_does_nothing():
    model, x = blind_vae(), binary(450)
    exact = Bernoulli(logits=torch.linspace(-2, 2, D)).log_prob(x).sum(dim=1).double().mean().item()
    assert evaluation.mean_elbo(model, x).mean == pytest.approx(exact, rel=1e-6)
    assert evaluation.mean_elbo(model, x, n_samples=5).mean == pytest.approx(exact, rel=1e-6)
    assert evaluation.mean_log_likelihood(model, x, n_samples=7).mean == pytest.approx(exact, rel=1e-6)


def test_the_importance_weighted_estimate_lies_above_the_elbo():
    model, x = small(), binary(300)
    torch.nn.init.constant_(model.to_mu.bias, 1.0)  # a poor posterior, so that the gap is far above the noise
    assert evaluation.mean_log_likelihood(model, x, n_samples=200).mean > evaluation.mean_elbo(model, x, n_samples=50).mean + 0.5


@pytest.mark.parametrize("measure", [
    lambda model, x, seed: evaluation.mean_loss_terms(model, x, seed=seed).reconstruction,
    lambda model, x, seed: evaluation.mean_elbo(model, x, seed=seed).mean,
    lambda model, x, seed: evaluation.mean_log_likelihood(model, x, n_samples=3, seed=seed).mean,
    lambda model, x, seed: evaluation.posterior_samples(model, x, seed=seed).sum().item(),
], ids=["mean_loss_terms", "mean_elbo", "mean_log_likelihood", "posterior_samples"])
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
    assert torch.allclose(codes, model.encode(x)[0].expand_as(codes), atol=1e-6)
    scatter = evaluation.posterior_samples(model, x.expand(4000, -1)) - codes
    assert scatter.mean(dim=0).abs().max() < 4 * 0.5 / math.sqrt(4000)
    assert (scatter.std(dim=0) / 0.5 - 1).abs().max() < 4 / math.sqrt(2 * 4000)


def test_active_units_of_a_model_that_uses_one_dimension():
    """z_0 follows a pixel (variance 1/4), z_1 follows it faintly (variance 1/400 < 0.01), z_2 is constant."""
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


# Fréchet distance


def with_moments(mean, covariance, n=200, seed=0):
    """Rows whose sample mean and covariance are exactly these, up to rounding."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return torch.tensor(x @ np.linalg.cholesky(covariance).T + np.asarray(mean))


def test_frechet_distance_of_gaussians_in_closed_form():
    """For diagonal covariances it is |mean difference|^2 + sum of (sigma_a - sigma_b)^2."""
    a = with_moments([0.0, 1.0, 2.0], np.diag([1.0, 4.0, 9.0]))
    b = with_moments([1.0, 1.0, 0.0], np.diag([4.0, 4.0, 0.25]), seed=1)
    assert frechet.frechet_distance(a, b) == pytest.approx(5 + 1 + 0 + 2.5**2, rel=1e-9)


def test_frechet_distance_against_scipys_matrix_root():
    """Covariances that do not commute, where the root of a product is not the product of roots."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 5, 5))
    cov_a, cov_b = first @ first.T + np.eye(5), second @ second.T + 0.1 * np.eye(5)
    mean = rng.normal(size=5)
    exact = mean @ mean + np.trace(cov_a + cov_b - 2 * scipy.linalg.sqrtm(cov_a @ cov_b).real)
    a, b = with_moments(np.zeros(5), cov_a), with_moments(mean, cov_b, seed=1)
    assert frechet.frechet_distance(a, b) == pytest.approx(exact, rel=1e-8)
    assert frechet.frechet_distance(b, a) == pytest.approx(exact, rel=1e-8)


def test_frechet_distance_has_a_known_zero_and_survives_singular_covariances():
    x = torch.randn(10, 30, generator=torch.Generator().manual_seed(0))  # fewer rows than features
    assert frechet.frechet_distance(x, x) == pytest.approx(0, abs=1e-5)
    assert frechet.frechet_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-5)
    assert frechet.frechet_distance(x, x + 2) == pytest.approx(4 * 30, rel=1e-5)
    assert frechet.frechet_distance(x, x.mean(dim=0).expand(10, -1)) == pytest.approx(x.var(dim=0).sum().item(), rel=1e-5)


def test_frechet_distance_refuses_what_it_cannot_compare():
    with pytest.raises(ValueError, match=r"\[N, F\]"):
        frechet.frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4))
    with pytest.raises(ValueError, match="at least 2 rows"):
        frechet.frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))


# The classifier behind it


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


def test_digit_features_tell_digits_apart(mnist):
    features = frechet.digit_features(mnist.test_images)
    assert features.shape == (10_000, 64) and features.dtype == torch.float32 and (features >= 0).all()
    logits = frechet.digit_classifier()[-1].cpu()(features)
    frechet.digit_classifier().to(evaluation.training.best_device())
    assert (logits.argmax(dim=1) == mnist.test_labels).float().mean() > 0.98


def test_digit_features_take_uint8_and_floats_alike_and_one_by_one(mnist):
    images = mnist.test_images[:1003]
    features = frechet.digit_features(images)
    assert torch.allclose(features, frechet.digit_features(images / 255), atol=1e-4)
    assert torch.allclose(features[-1:], frechet.digit_features(images[-1:]), atol=1e-4)


def test_digit_features_refuse_logits_and_wrong_shapes():
    with pytest.raises(ValueError, match="sigmoid"):
        frechet.digit_features(torch.full((2, 784), 3.0))
    with pytest.raises(ValueError, match="784"):
        frechet.digit_features(torch.zeros(2, 1, 28, 28))


def test_frechet_distance_grows_with_what_is_wrong_with_the_images(mnist):
    """Two halves of real digits are near each other; binarising, noise and a missing class each move them apart."""
    real, other = mnist.train_images[:5000], mnist.train_images[5000:10_000]
    reference = frechet.digit_features(real)

    def distance(images):
        return frechet.frechet_distance(reference, frechet.digit_features(images))

    floor = distance(other)
    g = torch.Generator().manual_seed(0)
    light, heavy = (distance(models.corrupt(other / 255, noise, g)) for noise in (0.05, 0.3))
    assert floor < distance(binarize(other, g)) < heavy
    assert floor < light < heavy
    assert floor < distance(other[mnist.train_labels[5000:10_000] != 3])
