"""Every formula of `lecture_utils/objectives.py`, held against exact values, quadrature and torch.distributions.

The last part turns the tests on themselves: for each formula, a flipped sign, a dropped half or a like mistake must
make the named test fail.
"""

import inspect
import math
import types
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from lecture_utils import models, objectives

import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

QUICK = settings(max_examples=60, deadline=None, database=None)
FINITE = st.floats(-6, 6, allow_nan=False)
GAUSSIANS = st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=6)  # (mu_j, logvar_j) for each dimension
PROBABILITIES = (Fraction(1, 2), Fraction(1, 3), Fraction(1, 5))
ALL_IMAGES = list(product([0, 1], repeat=3))


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def columns(gaussian):
    """mu and logvar, [J] each, of a list of pairs."""
    mu, logvar = double(gaussian).unbind(dim=1)
    return mu, logvar


class TinyVAE:
    """One latent dimension, three pixels: every integral over z is a one-dimensional quadrature.

    The encoder is not the exact posterior, so that ELBO < log p(x); `encode` and `decode` are all that is asked for.
    """

    weight, bias, latent_dim = double([[1.5, -2.0, 0.5]]), double([0.2, -0.4, 1.0]), 1

    def encode(self, x):
        mu = (x * double([0.6, -0.7, 0.2])).sum(dim=1, keepdim=True)
        return mu, torch.full_like(mu, -0.6)

    def decode(self, z):
        return z @ self.weight + self.bias


X = double(ALL_IMAGES)  # all eight images of the tiny model, [8, 3]


def expectation(f, mu=0.0, sigma=1.0):
    """E[f(z)], z ~ N(mu, sigma^2), by adaptive quadrature to about 1e-10."""
    value, _ = integrate.quad(lambda z: f(z) * stats.norm.pdf(z, mu, sigma), mu - 12 * sigma, mu + 12 * sigma,
                              epsabs=1e-12, epsrel=1e-11, limit=200)
    return value


def log_likelihood_at(z, x, model=TinyVAE()):
    """log p(x|z) for one image x [3] and a number z, written with numpy alone."""
    logits = z * model.weight[0].numpy() + model.bias.numpy()
    return float((-np.logaddexp(0, -logits) * x - np.logaddexp(0, logits) * (1 - x)).sum())


def exact_elbo(x):
    """The ELBO of the tiny model, both terms by quadrature: no formula of the package is used."""
    mu, logvar = (t.item() for t in TinyVAE().encode(double([x])))
    sigma = math.exp(logvar / 2)
    log_ratio = lambda z: stats.norm.logpdf(z, mu, sigma) - stats.norm.logpdf(z)
    return expectation(lambda z: log_likelihood_at(z, np.array(x)) - log_ratio(z), mu, sigma)


def exact_log_p(x):
    """log p(x) of the tiny model, the integral over the prior by quadrature."""
    return math.log(expectation(lambda z: math.exp(log_likelihood_at(z, np.array(x)))))


EXACT_ELBO = double([exact_elbo(x) for x in ALL_IMAGES])
EXACT_LOG_P = double([exact_log_p(x) for x in ALL_IMAGES])


def test_the_tiny_model_is_a_distribution_and_its_bound_is_not_tight():
    assert EXACT_LOG_P.exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert (EXACT_LOG_P - EXACT_ELBO > 1e-3).all()


# reparameterize


@pytest.mark.parametrize("logvar", [-6.0, -1.0, 0.0, 2.5])
def test_samples_have_mean_mu_and_variance_exp_logvar(logvar):
    n, mu, alpha = 20_000, 1.7, 1e-6  # with a correct formula, one seed in a million fails
    z = objectives.reparameterize(double([mu]).expand(n), double([logvar]).expand(n), noise(3))
    low, high = stats.chi2.ppf([alpha / 2, 1 - alpha / 2], n - 1)  # (n - 1) s^2 / sigma^2 is chi-square with n - 1
    assert low < (n - 1) * z.var().item() / math.exp(logvar) < high
    assert abs(z.mean().item() - mu) < stats.norm.isf(alpha / 2) * math.exp(logvar / 2) / math.sqrt(n)


def test_samples_are_normal():
    z = objectives.reparameterize(torch.full((20_000,), 1.0), torch.full((20_000,), -1.0), noise(5))
    assert stats.kstest(z.double().numpy(), stats.norm(1.0, math.exp(-0.5)).cdf).pvalue > 1e-4


@QUICK
@given(GAUSSIANS, st.integers(0, 2**31))
def test_gradients_reach_mu_and_logvar(gaussian, seed):
    """dz/dmu = 1 and dz/dlogvar = (z - mu) / 2."""
    mu, logvar = (t.clone().requires_grad_() for t in columns(gaussian))
    z = objectives.reparameterize(mu, logvar, noise(seed))
    z.sum().backward()
    assert mu.grad is not None and logvar.grad is not None
    torch.testing.assert_close(mu.grad, torch.ones_like(mu))
    torch.testing.assert_close(logvar.grad, (z - mu).detach() / 2)


def test_samples_repeat_with_the_generator_and_leave_the_global_one_alone():
    mu, logvar = torch.zeros(4, 2), torch.zeros(4, 2)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, same, other = (objectives.reparameterize(mu, logvar, noise(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_keep_shape_and_dtype(dtype):
    z = objectives.reparameterize(torch.zeros(5, 4, 2, dtype=dtype), torch.zeros(5, 4, 2, dtype=dtype))
    assert z.shape == (5, 4, 2) and z.dtype == dtype


@pytest.mark.parametrize("formula", ["reparameterize", "gaussian_kl"])
def test_mu_and_logvar_of_different_shapes_are_refused(formula):
    with pytest.raises(ValueError, match=r"mu has shape \[4, 2\] and logvar \[4, 1\]: they must be equal, \[\.\.\., J\]"):
        getattr(objectives, formula)(torch.zeros(4, 2), torch.zeros(4, 1))


# gaussian_kl


@pytest.mark.parametrize("mu, variance, exact", [
    ([0.0], [1.0], 0.0),
    ([3.0], [1.0], 4.5),
    ([0.0], [4.0], 1.5 - math.log(2)),
    ([0.0], [0.25], -0.375 + math.log(2)),
    ([1.0, -2.0, 0.0], [1.0, 4.0, 0.25], 0.5 + (2 + 1.5 - math.log(2)) + (-0.375 + math.log(2))),
])
def test_kl_has_its_exact_values(mu, variance, exact):
    assert objectives.gaussian_kl(double(mu), double(variance).log()).item() == pytest.approx(exact, abs=1e-12)


@QUICK
@given(GAUSSIANS)
def test_kl_agrees_with_torch_distributions(gaussian):
    mu, logvar = columns(gaussian)
    referee = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(double(0.0), double(1.0))).sum()
    torch.testing.assert_close(objectives.gaussian_kl(mu, logvar), referee, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mu, logvar", [(0.0, 0.0), (1.3, -2.0), (-2.0, 1.0)])
def test_kl_is_the_integral_that_defines_it(mu, logvar):
    sigma = math.exp(logvar / 2)
    integral = expectation(lambda z: stats.norm.logpdf(z, mu, sigma) - stats.norm.logpdf(z), mu, sigma)
    assert objectives.gaussian_kl(double([mu]), double([logvar])).item() == pytest.approx(integral, abs=1e-9)


@QUICK
@given(GAUSSIANS)
def test_kl_is_never_negative(gaussian):
    assert objectives.gaussian_kl(*columns(gaussian)) >= -1e-12


@QUICK
@given(GAUSSIANS)
def test_kl_is_zero_only_for_the_standard_normal(gaussian):
    mu, logvar = columns(gaussian)
    kl = objectives.gaussian_kl(mu, logvar)
    assert objectives.gaussian_kl(0 * mu, 0 * logvar) == 0
    if max(mu.abs().max(), logvar.abs().max()) > 1e-3:
        assert kl > 1e-7  # mu alone gives mu^2 / 2, logvar alone nearly logvar^2 / 4


@QUICK
@given(GAUSSIANS)
def test_kl_adds_up_over_dimensions(gaussian):
    mu, logvar = columns(gaussian)
    one_by_one = sum(objectives.gaussian_kl(mu[j:j + 1], logvar[j:j + 1]) for j in range(len(mu)))
    torch.testing.assert_close(objectives.gaussian_kl(mu, logvar), one_by_one, rtol=1e-12, atol=1e-12)


@QUICK
@given(GAUSSIANS)
def test_kl_has_the_gradients_mu_and_half_of_variance_minus_one(gaussian):
    mu, logvar = (t.clone().requires_grad_() for t in columns(gaussian))
    by_mu, by_logvar = torch.autograd.grad(objectives.gaussian_kl(mu, logvar), (mu, logvar))
    torch.testing.assert_close(by_mu, mu.detach())
    torch.testing.assert_close(by_logvar, (logvar.detach().exp() - 1) / 2, rtol=1e-9, atol=1e-12)


def test_kl_keeps_leading_dimensions():
    assert objectives.gaussian_kl(torch.zeros(5, 4, 2), torch.zeros(5, 4, 2)).shape == (5, 4)


# bernoulli_log_likelihood


def test_bernoulli_has_its_exact_values():
    """Three pixels with probabilities 1/2, 1/3 and 1/5: the eight images, as logs of fractions."""
    exact = [math.log(math.prod(p if x else 1 - p for p, x in zip(PROBABILITIES, image))) for image in ALL_IMAGES]
    logits = torch.logit(double([float(p) for p in PROBABILITIES])).expand(8, 3)
    torch.testing.assert_close(objectives.bernoulli_log_likelihood(logits, X), double(exact), rtol=0, atol=1e-12)


@QUICK
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=8))
def test_bernoulli_probabilities_of_all_images_sum_to_one(logits):
    images = double(list(product([0, 1], repeat=len(logits))))
    total = objectives.bernoulli_log_likelihood(double(logits).expand(len(images), -1), images).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)


@QUICK
@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=1, max_size=20))
def test_bernoulli_agrees_with_torch_distributions(pixels):
    logits, x = double([[logit for logit, _ in pixels]]), double([[float(pixel) for _, pixel in pixels]])
    referee = Independent(Bernoulli(logits=logits), 1).log_prob(x)
    torch.testing.assert_close(objectives.bernoulli_log_likelihood(logits, x), referee, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_extreme_logits_give_exact_finite_values_and_gradients(size):
    logits = torch.tensor([[size, -size, size, -size]], requires_grad=True)
    value = objectives.bernoulli_log_likelihood(logits, torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
    assert value.item() == -2 * size
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 0.0, -1.0, 1.0]]))  # x - p


@QUICK
@given(st.floats(0, 1), st.floats(-20, 20))
def test_grey_pixels_give_minus_the_cross_entropy(x, logit):
    """log sigmoid(l) = -log(1 + e^-l): linear in x between the two binary values."""
    expected = -x * np.logaddexp(0, -logit) - (1 - x) * np.logaddexp(0, logit)
    got = objectives.bernoulli_log_likelihood(double([[logit]]), double([[x]])).item()
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("x", [0.1, 0.5, 0.8])
def test_grey_pixels_score_at_best_minus_their_entropy(x):
    entropy = -x * math.log(x) - (1 - x) * math.log(1 - x)
    logits = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    scores = objectives.bernoulli_log_likelihood(logits, double([[x]]).expand(4001, 1))
    assert scores.max().item() == pytest.approx(-entropy, abs=1e-5) and scores.max() <= -entropy + 1e-12


def test_bernoulli_takes_leading_dimensions_for_samples_of_z():
    logits, x = torch.randn(7, 5, 4, 3, generator=noise(1)), torch.rand(4, 3, generator=noise(2)).round()
    together = objectives.bernoulli_log_likelihood(logits, x)
    assert together.shape == (7, 5, 4)
    torch.testing.assert_close(together[6, 2], objectives.bernoulli_log_likelihood(logits[6, 2], x))


@pytest.mark.parametrize("logits, x, message", [
    (torch.zeros(4, 3), torch.zeros(4, 2), r"logits of shape \[4, 3\] do not fit pixels of shape \[4, 2\].*x\.flatten\(1\)"),
    (torch.zeros(4, 3), torch.zeros(2, 3), r"logits of shape \[4, 3\] do not fit pixels of shape \[2, 3\]"),
    (torch.zeros(3), torch.zeros(4, 3), r"logits of shape \[3\] do not fit pixels of shape \[4, 3\]"),
    (torch.zeros(4, 4), torch.zeros(4, 1, 2, 2), r"do not fit pixels of shape \[4, 1, 2, 2\].*Flatten images"),
    (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.uint8), r"Pixels are torch\.uint8, but must be floats.*binarize\(images\)"),
    (torch.zeros(1, 2), torch.tensor([[0.0, 255.0]]), r"must lie in \[0, 1\], but range from 0 to 255.*to_grey\(images\)"),
    (torch.zeros(1, 2), torch.tensor([[-0.5, 1.0]]), r"must lie in \[0, 1\], but range from -0\.5 to 1"),
    (torch.zeros(1, 2), torch.tensor([[math.nan, 1.0]]), r"range from nan to nan \(nan: there is a NaN\)"),
], ids=["pixels", "batch", "no batch", "not flat", "uint8", "0 to 255", "negative", "nan"])
def test_pixels_and_logits_that_do_not_fit_are_refused_with_the_mend(logits, x, message):
    with pytest.raises(ValueError, match=message):
        objectives.bernoulli_log_likelihood(logits, x)


# The two Gaussian log-densities


@QUICK
@given(GAUSSIANS, st.integers(0, 1000))
def test_log_densities_agree_with_torch_distributions(gaussian, seed):
    mu, logvar = columns(gaussian)
    z = 3 * torch.randn(len(mu), generator=noise(seed), dtype=torch.float64)
    q, prior = Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)
    torch.testing.assert_close(objectives.gaussian_log_density(z, mu, logvar), q.log_prob(z).sum(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(objectives.standard_normal_log_density(z), prior.log_prob(z).sum(), rtol=1e-9, atol=1e-9)


def test_log_densities_have_their_exact_values():
    z, mu, logvar = double([[1.0, -2.0]]), double([[0.0, 1.0]]), double([[0.0, math.log(5)]])
    # variances 1 and 5: -1/2 [log 2pi + 1] - 1/2 [log 2pi + log 5 + 9/5]
    exact = -0.5 * (2 * math.log(2 * math.pi) + math.log(5) + 1 + 9 / 5)
    assert objectives.gaussian_log_density(z, mu, logvar).item() == pytest.approx(exact, abs=1e-12)
    exact = -0.5 * (2 * math.log(2 * math.pi) + 5)
    assert objectives.standard_normal_log_density(z).item() == pytest.approx(exact, abs=1e-12)


# elbo and negative_elbo


def test_elbo_averages_to_its_value_by_quadrature():
    for n_samples in (1, 5):
        x = X.repeat(20_000 // n_samples, 1)
        estimates = bounds.elbo(TinyVAE(), x, n_samples, noise(1)).reshape(-1, 8)
        error = estimates.std(dim=0) / math.sqrt(len(estimates))
        assert ((estimates.mean(dim=0) - EXACT_ELBO).abs() < 4.5 * error).all()  # 16 comparisons
        assert (error > 0).all()


def test_elbo_of_many_samples_is_the_mean_of_its_samples():
    mu, logvar = TinyVAE().encode(X)
    z = objectives.reparameterize(mu.expand(6, 8, 1), logvar.expand(6, 8, 1), noise(2))
    by_hand = Independent(Bernoulli(logits=TinyVAE().decode(z)), 1).log_prob(X).mean(dim=0)
    by_hand -= kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(double(0.0), double(1.0))).sum(dim=1)
    torch.testing.assert_close(bounds.elbo(TinyVAE(), X, 6, noise(2)), by_hand)


@pytest.mark.parametrize("formula", ["elbo", "log_importance_weights"])
@pytest.mark.parametrize("n_samples", [0, -1])
def test_fewer_than_one_sample_is_refused(formula, n_samples):
    with pytest.raises(ValueError, match=f"n_samples must be at least 1, got {n_samples}"):
        getattr(objectives, formula)(TinyVAE(), X, n_samples)


def test_negative_elbo_is_minus_the_elbo_for_the_same_noise():
    model = models.VAE(latent_dim=2, hidden=(8,), n_pixels=3, seed=1).double()
    with torch.no_grad():
        loss, bound = bounds.negative_elbo(model, X, noise(4)), bounds.elbo(model, X, 1, noise(4))
    assert loss.shape == (8,)
    torch.testing.assert_close(loss, -bound)


def test_negative_elbo_of_an_autoencoder_is_its_reconstruction_error():
    model = models.Autoencoder(latent_dim=2, hidden=(8,), n_pixels=3, seed=1).double()
    with torch.no_grad():
        error = -Independent(Bernoulli(logits=model.decode(model.encode(X))), 1).log_prob(X)
        torch.testing.assert_close(bounds.negative_elbo(model, X), error)


def test_losses_do_not_depend_on_how_images_are_batched():
    """One number per image, whatever else is in the batch: the mean code removes the noise, which is drawn per batch."""
    model = models.Autoencoder(latent_dim=2, hidden=(8,), n_pixels=3, seed=1).double()
    parts = torch.cat([bounds.negative_elbo(model, batch) for batch in X.split(3)])
    torch.testing.assert_close(bounds.negative_elbo(model, X), parts)


# log_importance_weights and importance_weighted_bound


def test_log_weights_agree_with_torch_distributions_sample_by_sample():
    mu, logvar = TinyVAE().encode(X)
    z = objectives.reparameterize(mu.expand(5, 8, 1), logvar.expand(5, 8, 1), noise(6))
    referee = (Independent(Bernoulli(logits=TinyVAE().decode(z)), 1).log_prob(X)
               + Normal(double(0.0), double(1.0)).log_prob(z).sum(dim=2) - Normal(mu, (logvar / 2).exp()).log_prob(z).sum(dim=2))
    log_w = bounds.log_importance_weights(TinyVAE(), X, 5, noise(6))
    assert log_w.shape == (5, 8)
    torch.testing.assert_close(log_w, referee)


def test_weights_average_to_p_of_x_and_their_logs_to_the_elbo():
    log_w = bounds.log_importance_weights(TinyVAE(), X, 50_000, noise(7))
    for values, exact in ((log_w.exp(), EXACT_LOG_P.exp()), (log_w, EXACT_ELBO)):
        error = values.std(dim=0) / math.sqrt(len(values))
        assert ((values.mean(dim=0) - exact).abs() < 4.5 * error).all()  # 16 comparisons


def test_weights_are_constant_where_q_is_the_posterior():
    """A decoder that ignores z has the prior as its posterior: with q = p(z), log w = log p(x) for every draw."""
    class Blind(TinyVAE):
        weight = torch.zeros(1, 3, dtype=torch.float64)

        def encode(self, x):
            return torch.zeros(len(x), 1, dtype=torch.float64), torch.zeros(len(x), 1, dtype=torch.float64)

    log_p = Independent(Bernoulli(logits=TinyVAE.bias), 1).log_prob(X)
    torch.testing.assert_close(bounds.log_importance_weights(Blind(), X, 9, noise(8)), log_p.expand(9, 8))
    torch.testing.assert_close(bounds.importance_weighted_bound(Blind(), X, 9, chunk=2, generator=noise(8)), log_p)


def test_bound_with_one_sample_is_the_log_weight():
    log_w = bounds.log_importance_weights(TinyVAE(), X, 1, noise(9))
    torch.testing.assert_close(bounds.importance_weighted_bound(TinyVAE(), X, 1, generator=noise(9)), log_w[0])


def test_bound_is_the_log_of_the_mean_weight():
    log_w = bounds.log_importance_weights(TinyVAE(), X, 30, noise(10))
    bound = bounds.importance_weighted_bound(TinyVAE(), X, 30, generator=noise(10))
    torch.testing.assert_close(bound, log_w.exp().mean(dim=0).log())


@QUICK
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_mean_log_weight_is_at_most_the_bound_for_every_image(k, seed):
    log_w = bounds.log_importance_weights(TinyVAE(), X, k, noise(seed))
    bound = bounds.importance_weighted_bound(TinyVAE(), X, k, chunk=k, generator=noise(seed))
    assert (log_w.mean(dim=0) <= bound + 1e-12).all()


def test_bound_does_not_depend_on_the_chunk_given_equal_noise(monkeypatch):
    pool = torch.randn(100, 8, 1, generator=noise(11), dtype=torch.float64)

    def bound(chunk):
        rows = iter(pool)
        monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.stack([next(rows) for _ in range(shape[0])]))
        value = bounds.importance_weighted_bound(TinyVAE(), X, 100, chunk=chunk)
        assert next(rows, None) is None  # all of the noise was used, none of it twice
        return value

    whole = bound(100)
    for chunk in (1, 7, 50, 99, 1000):
        torch.testing.assert_close(bound(chunk), whole, rtol=1e-12, atol=1e-12)


def test_bound_lies_between_elbo_and_log_p_and_tightens_with_k():
    """In expectation ELBO = bound(1) < bound(4) < bound(16) < log p(x); averaged over many repetitions."""
    repeated = X.repeat(5000, 1)
    means, errors = [EXACT_ELBO], [torch.zeros(8, dtype=torch.float64)]
    for k in (1, 4, 16):
        bounds = bounds.importance_weighted_bound(TinyVAE(), repeated, k, generator=noise(12 + k)).reshape(-1, 8)
        means.append(bounds.mean(dim=0))
        errors.append(bounds.std(dim=0) / math.sqrt(len(bounds)))
    assert ((means[1] - means[0]).abs() < 4.5 * errors[1]).all()
    for lower, upper, error in zip(means[1:], means[2:], errors[1:]):
        assert (lower < upper + 4 * error).all()
    assert means[1].mean() < means[2].mean() < means[3].mean() < EXACT_LOG_P.mean()
    assert (means[3] < EXACT_LOG_P + 4 * errors[3]).all()


def test_bound_with_many_samples_is_log_p_by_quadrature():
    k = 50_000
    log_w = bounds.log_importance_weights(TinyVAE(), X, k, noise(13))
    error = log_w.exp().std(dim=0) / log_w.exp().mean(dim=0) / math.sqrt(k)  # of the log of the mean weight
    bound = bounds.importance_weighted_bound(TinyVAE(), X, k, chunk=1000, generator=noise(14))
    assert ((bound - EXACT_LOG_P).abs() < 4 * error).all() and (error < 0.01).all()


@pytest.mark.parametrize("n_samples, chunk", [(0, 50), (5, 0), (-2, 50)])
def test_bound_refuses_fewer_than_one_sample_or_chunk(n_samples, chunk):
    with pytest.raises(ValueError, match=f"n_samples and chunk must be at least 1, got {n_samples} and {chunk}"):
        bounds.importance_weighted_bound(TinyVAE(), X, n_samples, chunk)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_memory_of_the_bound_does_not_grow_with_k():
    largest = {}
    for k in (10, 20, 500):
        with torch.no_grad(), LargestTensor() as record:
            bounds.importance_weighted_bound(TinyVAE(), X, k, chunk=10, generator=noise(15))
        largest[k] = record.elements
    assert largest[10] == largest[20] == largest[500] == 10 * X.numel()


# The tests above, tested: each mistake must make the named test fail

MISTAKES = [  # function, what stands there, what a mistake would put there, test that must notice
    ("reparameterize", "exp(logvar / 2)", "exp(logvar)", "samples_have_mean_mu_and_variance_exp_logvar"),
    ("reparameterize", "exp(logvar / 2)", "exp(-logvar / 2)", "samples_have_mean_mu_and_variance_exp_logvar"),
    ("reparameterize", "exp(logvar / 2)", "exp(2 * logvar)", "samples_have_mean_mu_and_variance_exp_logvar"),
    ("reparameterize", "return mu +", "return -mu +", "samples_have_mean_mu_and_variance_exp_logvar"),
    ("reparameterize", "torch.randn(", "torch.rand(", "samples_are_normal"),
    ("reparameterize", "return mu + torch.exp(logvar / 2)", "return mu + torch.exp(logvar / 2).detach()",
     "gradients_reach_mu_and_logvar"),
    ("reparameterize", "return mu +", "return mu.detach() +", "gradients_reach_mu_and_logvar"),
    ("gaussian_kl", "-0.5 *", "-1.0 *", "kl_has_its_exact_values"),
    ("gaussian_kl", "-0.5 *", "0.5 *", "kl_has_its_exact_values"),
    ("gaussian_kl", "(1 + logvar", "(1 - logvar", "kl_has_its_exact_values"),
    ("gaussian_kl", "(1 + logvar", "(logvar", "kl_has_its_exact_values"),
    ("gaussian_kl", "(1 + logvar", "(1 + logvar / 2", "kl_has_its_exact_values"),
    ("gaussian_kl", "- mu.square()", "+ mu.square()", "kl_has_its_exact_values"),
    ("gaussian_kl", "- mu.square()", "- mu", "kl_has_its_exact_values"),
    ("gaussian_kl", "- logvar.exp()", "+ logvar.exp()", "kl_has_its_exact_values"),
    ("gaussian_kl", "- logvar.exp()", "- (logvar / 2).exp()", "kl_has_its_exact_values"),
    ("gaussian_kl", ".sum(dim=-1)", ".mean(dim=-1)", "kl_has_its_exact_values"),
    ("bernoulli_log_likelihood", "return -F", "return F", "bernoulli_has_its_exact_values"),
    ("bernoulli_log_likelihood", "return -F", "return -0.5 * F", "bernoulli_has_its_exact_values"),
    ("bernoulli_log_likelihood", ".sum(dim=-1)", ".mean(dim=-1)", "bernoulli_has_its_exact_values"),
    ("bernoulli_log_likelihood", "F.binary_cross_entropy_with_logits(logits,", "F.binary_cross_entropy(torch.sigmoid(logits),",
     "extreme_logits_give_exact_finite_values_and_gradients"),
    ("bernoulli_log_likelihood", "x.expand_as(logits)", "x.round().expand_as(logits)",
     "grey_pixels_score_at_best_minus_their_entropy"),
    ("standard_normal_log_density", "-0.5 *", "0.5 *", "log_densities_have_their_exact_values"),
    ("standard_normal_log_density", "-0.5 *", "-1.0 *", "log_densities_have_their_exact_values"),
    ("standard_normal_log_density", "+ math.log", "- math.log", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "-0.5 *", "0.5 *", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "-0.5 *", "-1.0 *", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "(logvar +", "(-logvar +", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "(logvar +", "(logvar / 2 +", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "/ logvar.exp()", "/ (logvar / 2).exp()", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "+ (z - mu)", "- (z - mu)", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "(z - mu)", "(z + mu)", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "+ math.log", "- math.log", "log_densities_have_their_exact_values"),
    ("elbo", "- gaussian_kl", "+ gaussian_kl", "elbo_averages_to_its_value_by_quadrature"),
    ("elbo", "- gaussian_kl", "- 0.5 * gaussian_kl", "elbo_averages_to_its_value_by_quadrature"),
    ("elbo", "model.decode(z)", "model.decode(mu.expand_as(z))", "elbo_averages_to_its_value_by_quadrature"),
    ("elbo", ".mean(dim=0)", ".sum(dim=0)", "elbo_of_many_samples_is_the_mean_of_its_samples"),
    ("negative_elbo", "+ terms.kl", "- terms.kl", "negative_elbo_is_minus_the_elbo_for_the_same_noise"),
    ("negative_elbo", "return terms.reconstruction", "return -terms.reconstruction",
     "negative_elbo_is_minus_the_elbo_for_the_same_noise"),
    ("log_importance_weights", "+ standard", "- standard", "weights_average_to_p_of_x_and_their_logs_to_the_elbo"),
    ("log_importance_weights", "- gaussian", "+ gaussian", "weights_average_to_p_of_x_and_their_logs_to_the_elbo"),
    ("log_importance_weights", "(bernoulli", "(-bernoulli", "weights_average_to_p_of_x_and_their_logs_to_the_elbo"),
    ("importance_weighted_bound", "- math.log(n_samples)", "+ math.log(n_samples)", "bound_is_the_log_of_the_mean_weight"),
    ("importance_weighted_bound", "- math.log(n_samples)", "- math.log(chunk)", "bound_is_the_log_of_the_mean_weight"),
    ("importance_weighted_bound", "torch.logsumexp(log_w, dim=0)", "log_w.sum(dim=0)", "bound_is_the_log_of_the_mean_weight"),
    ("importance_weighted_bound", "torch.logaddexp(total, part)", "total + part",
     "bound_with_many_samples_is_log_p_by_quadrature"),
    ("importance_weighted_bound", "range(0, n_samples, chunk)", "range(0, n_samples, n_samples)",
     "bound_with_many_samples_is_log_p_by_quadrature"),
    ("importance_weighted_bound", "    total = None\n", "    total, chunk = None, n_samples\n",
     "memory_of_the_bound_does_not_grow_with_k"),
]


def mutated(function, right, wrong):
    """The module `objectives` with one mistake in one function."""
    source = inspect.getsource(getattr(objectives, function))
    head, body = source.rsplit('"""\n', 1)  # the docstring stays as it is
    assert body.count(right) == 1, f"{right!r} does not stand once in {function}: bring the list of mistakes up to date"
    changed = body.replace(right, wrong)
    module = types.ModuleType("mutated_objectives")
    module_source = inspect.getsource(objectives).replace(source, head + '"""\n' + changed)
    exec(compile(module_source, module.__name__, "exec"), module.__dict__)
    return module


def run(test):
    """Run a test of this file outside pytest, for the first of its parameters that shows a failure."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    assert len(marks) <= 1
    if not marks:
        return test()
    names, values = marks[0].args
    names = [name.strip() for name in names.split(",")]
    for value in values:
        test(**dict(zip(names, value if len(names) > 1 else [value])))


@pytest.mark.parametrize("function, right, wrong, test", MISTAKES, ids=[f"{f}: {b.strip()}" for f, _, b, _ in MISTAKES])
def test_a_mistake_in_a_formula_makes_its_test_fail(function, right, wrong, test, monkeypatch):
    run(globals()[f"test_{test}"])  # it holds as the module stands,
    monkeypatch.setitem(globals(), "objectives", mutated(function, right, wrong))
    with pytest.raises(AssertionError):  # and fails with the mistake in it
        run(globals()[f"test_{test}"])


def test_every_formula_has_mistakes_that_are_caught():
    formulas = {name for name, value in vars(objectives).items()
                if inspect.isfunction(value) and value.__module__ == objectives.__name__ and not name.startswith("_")}
    assert formulas == {function for function, *_ in MISTAKES}
