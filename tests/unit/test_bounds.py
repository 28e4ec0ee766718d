"""Every bound of `lecture_utils/bounds.py`, held against quadrature and torch.distributions."""

import math
from itertools import product

from lecture_utils import bounds, models, objectives

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from tests import mutation
from tests.helpers import KINDS, SMALL, binary_pixels, double, seeded

QUICK = settings(max_examples=60, deadline=None, database=None)
ALL_IMAGES = list(product([0, 1], repeat=3))
X = double(ALL_IMAGES)  # all eight images of the tiny model, [8, 3]


class TinyVAE:
    """One latent dimension, three pixels: every integral over z is a one-dimensional quadrature.

    The encoder is not the exact posterior, so that ELBO < log p(x); `encode` and `log_likelihood`
    are all that is asked for.
    """

    weight, bias, latent_dim = double([[1.5, -2.0, 0.5]]), double([0.2, -0.4, 1.0]), 1

    def encode(self, x):
        mu = (x * double([0.6, -0.7, 0.2])).sum(dim=1, keepdim=True)
        return mu, torch.full_like(mu, -0.6)

    def decode(self, z):
        return z @ self.weight + self.bias

    def log_likelihood(self, z, x):
        return objectives.bernoulli_log_likelihood(self.decode(z), x)


def expectation(f, mu=0.0, sigma=1.0):
    """E[f(z)], z ~ N(mu, sigma^2), by adaptive quadrature to about 1e-10."""
    value, _ = integrate.quad(
        lambda z: f(z) * stats.norm.pdf(z, mu, sigma),
        mu - 12 * sigma,
        mu + 12 * sigma,
        epsabs=1e-12,
        epsrel=1e-11,
        limit=200,
    )
    return value


def log_likelihood_at(z, x):
    """log p(x|z) for one image x [3] and a number z, written with numpy alone."""
    logits = z * TinyVAE.weight[0].numpy() + TinyVAE.bias.numpy()
    return float((-np.logaddexp(0, -logits) * x - np.logaddexp(0, logits) * (1 - x)).sum())


def exact_elbo(x):
    """The ELBO of the tiny model, both terms by quadrature: no formula of the package is used."""
    mu, logvar = (t.item() for t in TinyVAE().encode(double([x])))
    sigma = math.exp(logvar / 2)

    def value(z):
        log_ratio = stats.norm.logpdf(z, mu, sigma) - stats.norm.logpdf(z)
        return log_likelihood_at(z, np.array(x)) - log_ratio

    return expectation(value, mu, sigma)


def exact_log_p(x):
    """log p(x) of the tiny model, the integral over the prior by quadrature."""
    return math.log(expectation(lambda z: math.exp(log_likelihood_at(z, np.array(x)))))


EXACT_ELBO = double([exact_elbo(x) for x in ALL_IMAGES])


EXACT_LOG_P = double([exact_log_p(x) for x in ALL_IMAGES])


def test_the_tiny_model_is_a_distribution_and_its_bound_is_not_tight():
    assert EXACT_LOG_P.exp().sum().item() == pytest.approx(1, abs=1e-9)
    assert (EXACT_LOG_P - EXACT_ELBO > 1e-3).all()


def test_elbo_averages_to_its_value_by_quadrature():
    for n_samples in (1, 5):
        x = X.repeat(20_000 // n_samples, 1)
        estimates = bounds.elbo(TinyVAE(), x, n_samples, seeded(1)).reshape(-1, 8)
        error = estimates.std(dim=0) / math.sqrt(len(estimates))
        assert ((estimates.mean(dim=0) - EXACT_ELBO).abs() < 4.5 * error).all()  # 16 comparisons
        assert (error > 0).all()


def test_elbo_of_many_samples_is_the_mean_of_its_samples():
    mu, logvar = TinyVAE().encode(X)
    z = objectives.reparameterize(mu.expand(6, 8, 1), logvar.expand(6, 8, 1), seeded(2))
    by_hand = Independent(Bernoulli(logits=TinyVAE().decode(z)), 1).log_prob(X).mean(dim=0)
    by_hand -= kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(double(0.0), double(1.0))).sum(
        dim=1
    )
    torch.testing.assert_close(bounds.elbo(TinyVAE(), X, 6, seeded(2)), by_hand)


@pytest.mark.parametrize("formula", ["elbo", "log_importance_weights"])
@pytest.mark.parametrize("n_samples", [0, -1])
def test_fewer_than_one_sample_is_refused(formula, n_samples):
    with pytest.raises(ValueError, match=f"n_samples must be at least 1, got {n_samples}"):
        getattr(bounds, formula)(TinyVAE(), X, n_samples)


def test_negative_elbo_is_minus_the_elbo_for_the_same_noise():
    model = models.VAE(latent_dim=2, hidden=(8,), n_pixels=3, seed=1).double()
    with torch.no_grad():
        loss, bound = bounds.negative_elbo(model, X, seeded(4)), bounds.elbo(model, X, 1, seeded(4))
    assert loss.shape == (8,)
    torch.testing.assert_close(loss, -bound)


def test_negative_elbo_of_an_autoencoder_is_its_reconstruction_error():
    model = models.Autoencoder(latent_dim=2, hidden=(8,), n_pixels=3, seed=1).double()
    with torch.no_grad():
        error = -Independent(Bernoulli(logits=model.decode(model.encode(X))), 1).log_prob(X)
        torch.testing.assert_close(bounds.negative_elbo(model, X), error)


def test_losses_do_not_depend_on_how_images_are_batched():
    """One number per image, whatever else is in the batch: the mean code removes the noise, which
    is drawn per batch.
    """
    model = models.Autoencoder(latent_dim=2, hidden=(8,), n_pixels=3, seed=1).double()
    parts = torch.cat([bounds.negative_elbo(model, batch) for batch in X.split(3)])
    torch.testing.assert_close(bounds.negative_elbo(model, X), parts)


def test_log_weights_agree_with_torch_distributions_sample_by_sample():
    mu, logvar = TinyVAE().encode(X)
    z = objectives.reparameterize(mu.expand(5, 8, 1), logvar.expand(5, 8, 1), seeded(6))
    referee = (
        Independent(Bernoulli(logits=TinyVAE().decode(z)), 1).log_prob(X)
        + Normal(double(0.0), double(1.0)).log_prob(z).sum(dim=2)
        - Normal(mu, (logvar / 2).exp()).log_prob(z).sum(dim=2)
    )
    log_w = bounds.log_importance_weights(TinyVAE(), X, 5, seeded(6))
    assert log_w.shape == (5, 8)
    torch.testing.assert_close(log_w, referee)


def test_weights_average_to_p_of_x_and_their_logs_to_the_elbo():
    log_w = bounds.log_importance_weights(TinyVAE(), X, 50_000, seeded(7))
    for values, exact in ((log_w.exp(), EXACT_LOG_P.exp()), (log_w, EXACT_ELBO)):
        error = values.std(dim=0) / math.sqrt(len(values))
        assert ((values.mean(dim=0) - exact).abs() < 4.5 * error).all()  # 16 comparisons


def test_weights_are_constant_where_q_is_the_posterior():
    """A decoder that ignores z has the prior as its posterior: with q = p(z), log w = log p(x) for
    every draw.
    """

    class Blind(TinyVAE):
        weight = torch.zeros(1, 3, dtype=torch.float64)

        def encode(self, x):
            return torch.zeros(len(x), 1, dtype=torch.float64), torch.zeros(
                len(x), 1, dtype=torch.float64
            )

    log_p = Independent(Bernoulli(logits=TinyVAE.bias), 1).log_prob(X)
    torch.testing.assert_close(
        bounds.log_importance_weights(Blind(), X, 9, seeded(8)), log_p.expand(9, 8)
    )
    torch.testing.assert_close(
        bounds.importance_weighted_bound(Blind(), X, 9, chunk=2, generator=seeded(8)), log_p
    )


def test_bound_with_one_sample_is_the_log_weight():
    log_w = bounds.log_importance_weights(TinyVAE(), X, 1, seeded(9))
    torch.testing.assert_close(
        bounds.importance_weighted_bound(TinyVAE(), X, 1, generator=seeded(9)), log_w[0]
    )


def test_bound_is_the_log_of_the_mean_weight():
    log_w = bounds.log_importance_weights(TinyVAE(), X, 30, seeded(10))
    bound = bounds.importance_weighted_bound(TinyVAE(), X, 30, generator=seeded(10))
    torch.testing.assert_close(bound, log_w.exp().mean(dim=0).log())


@QUICK
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_mean_log_weight_is_at_most_the_bound_for_every_image(k, seed):
    log_w = bounds.log_importance_weights(TinyVAE(), X, k, seeded(seed))
    bound = bounds.importance_weighted_bound(TinyVAE(), X, k, chunk=k, generator=seeded(seed))
    assert (log_w.mean(dim=0) <= bound + 1e-12).all()


def test_bound_does_not_depend_on_the_chunk_given_equal_noise(monkeypatch):
    pool = torch.randn(100, 8, 1, generator=seeded(11), dtype=torch.float64)

    def bound(chunk):
        rows = iter(pool)
        monkeypatch.setattr(
            torch, "randn", lambda shape, **_: torch.stack([next(rows) for _ in range(shape[0])])
        )
        value = bounds.importance_weighted_bound(TinyVAE(), X, 100, chunk=chunk)
        assert next(rows, None) is None  # all of the noise was used, none of it twice
        return value

    whole = bound(100)
    for chunk in (1, 7, 50, 99, 1000):
        torch.testing.assert_close(bound(chunk), whole, rtol=1e-12, atol=1e-12)


def test_bound_lies_between_elbo_and_log_p_and_tightens_with_k():
    """In expectation ELBO = bound(1) < bound(4) < bound(16) < log p(x); averaged over many
    repetitions.
    """
    repeated = X.repeat(5000, 1)
    means, errors = [EXACT_ELBO], [torch.zeros(8, dtype=torch.float64)]
    for k in (1, 4, 16):
        values = bounds.importance_weighted_bound(
            TinyVAE(), repeated, k, generator=seeded(12 + k)
        ).reshape(-1, 8)
        means.append(values.mean(dim=0))
        errors.append(values.std(dim=0) / math.sqrt(len(values)))
    assert ((means[1] - means[0]).abs() < 4.5 * errors[1]).all()
    for lower, upper, error in zip(means[1:], means[2:], errors[1:]):
        assert (lower < upper + 4 * error).all()
    assert means[1].mean() < means[2].mean() < means[3].mean() < EXACT_LOG_P.mean()
    assert (means[3] < EXACT_LOG_P + 4 * errors[3]).all()


def test_bound_with_many_samples_is_log_p_by_quadrature():
    k = 50_000
    log_w = bounds.log_importance_weights(TinyVAE(), X, k, seeded(13))
    error = (
        log_w.exp().std(dim=0) / log_w.exp().mean(dim=0) / math.sqrt(k)
    )  # of the log of the mean weight
    bound = bounds.importance_weighted_bound(TinyVAE(), X, k, chunk=1000, generator=seeded(14))
    assert ((bound - EXACT_LOG_P).abs() < 4 * error).all() and (error < 0.01).all()


@pytest.mark.parametrize("n_samples, chunk", [(0, 50), (5, 0), (-2, 50)])
def test_bound_refuses_fewer_than_one_sample_or_chunk(n_samples, chunk):
    with pytest.raises(
        ValueError, match=f"n_samples and chunk must be at least 1, got {n_samples} and {chunk}"
    ):
        bounds.importance_weighted_bound(TinyVAE(), X, n_samples, chunk=chunk)


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
    for k in (10, 20, 200):
        with torch.no_grad(), LargestTensor() as record:
            bounds.importance_weighted_bound(TinyVAE(), X, k, chunk=10, generator=seeded(15))
        largest[k] = record.elements
    assert largest[10] == largest[20] == largest[200] == 10 * X.numel()


# What has no q(z|x), and what has another likelihood


@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("formula", ["elbo", "log_importance_weights", "importance_weighted_bound"])
def test_a_model_without_a_posterior_has_no_bound_and_is_told_so(kind, formula):
    options = {} if formula == "elbo" else {"n_samples": 2}
    with pytest.raises(TypeError, match=rf"{kind.__name__} has no q\(z\|x\).*mean_loss_terms"):
        getattr(bounds, formula)(kind(**SMALL), binary_pixels(), **options)


def test_every_bound_uses_the_likelihood_of_the_model():
    """N(x'(z), 1) in place of the Bernoulli: all bounds must move, and by the same rule."""

    class Gaussian(TinyVAE):
        def log_likelihood(self, z, x):
            return Normal(self.decode(z), double(1.0)).log_prob(x).sum(dim=-1)

    model = Gaussian()
    mu, logvar = model.encode(X)
    z = objectives.reparameterize(mu, logvar, seeded(1))
    likelihood = Normal(model.decode(z), double(1.0)).log_prob(X).sum(dim=1)
    kl = objectives.gaussian_kl(mu, logvar)
    torch.testing.assert_close(bounds.elbo(model, X, 1, seeded(1)), likelihood - kl)
    prior = Normal(double(0.0), double(1.0)).log_prob(z).sum(dim=1)
    log_q = Normal(mu, (logvar / 2).exp()).log_prob(z).sum(dim=1)
    log_w = bounds.log_importance_weights(model, X, 1, seeded(1))
    torch.testing.assert_close(log_w[0], likelihood + prior - log_q)
    bound = bounds.importance_weighted_bound(model, X, 1, seeded(1))
    torch.testing.assert_close(bound, log_w[0])


# The tests above, tested: each mistake must make the named test fail

MISTAKES = [  # function, what stands there, what a mistake would put there, test that must notice
    ("elbo", "- gaussian_kl", "+ gaussian_kl", "elbo_averages_to_its_value_by_quadrature"),
    ("elbo", "- gaussian_kl", "- 0.5 * gaussian_kl", "elbo_averages_to_its_value_by_quadrature"),
    (
        "elbo",
        "model.log_likelihood(z, x)",
        "model.log_likelihood(mu.expand_as(z), x)",
        "elbo_averages_to_its_value_by_quadrature",
    ),
    ("elbo", ".mean(dim=0)", ".sum(dim=0)", "elbo_of_many_samples_is_the_mean_of_its_samples"),
    (
        "negative_elbo",
        "+ terms.kl",
        "- terms.kl",
        "negative_elbo_is_minus_the_elbo_for_the_same_noise",
    ),
    (
        "negative_elbo",
        "return terms.rec",
        "return -terms.rec",
        "negative_elbo_is_minus_the_elbo_for_the_same_noise",
    ),
    (
        "log_importance_weights",
        "+ standard",
        "- standard",
        "weights_average_to_p_of_x_and_their_logs_to_the_elbo",
    ),
    (
        "log_importance_weights",
        "joint - gauss",
        "joint + gauss",
        "weights_average_to_p_of_x_and_their_logs_to_the_elbo",
    ),
    (
        "log_importance_weights",
        "= model.log",
        "= -model.log",
        "weights_average_to_p_of_x_and_their_logs_to_the_elbo",
    ),
    (
        "importance_weighted_bound",
        "- math.log(n_samples)",
        "+ math.log(n_samples)",
        "bound_is_the_log_of_the_mean_weight",
    ),
    (
        "importance_weighted_bound",
        "- math.log(n_samples)",
        "- math.log(chunk)",
        "bound_is_the_log_of_the_mean_weight",
    ),
    (
        "importance_weighted_bound",
        "torch.logsumexp(log_w, dim=0)",
        "log_w.sum(dim=0)",
        "bound_is_the_log_of_the_mean_weight",
    ),
    (
        "importance_weighted_bound",
        "torch.logsumexp(torch.stack(parts), dim=0)",
        "torch.stack(parts).sum(dim=0)",
        "bound_with_many_samples_is_log_p_by_quadrature",
    ),
    (
        "importance_weighted_bound",
        "range(0, n_samples, chunk)",
        "range(0, n_samples, n_samples)",
        "bound_with_many_samples_is_log_p_by_quadrature",
    ),
    (
        "importance_weighted_bound",
        "    parts = []\n",
        "    parts, chunk = [], n_samples\n",
        "memory_of_the_bound_does_not_grow_with_k",
    ),
]


@pytest.mark.parametrize(
    ("function", "right", "wrong", "test"),
    MISTAKES,
    ids=[f"{f}: {b.strip()}" for f, _, b, _ in MISTAKES],
)
def test_a_mistake_makes_its_test_fail(function, right, wrong, test, monkeypatch):
    assert mutation.holds(globals()[f"test_{test}"])  # as the module stands,
    monkeypatch.setitem(globals(), "bounds", mutation.mutated(bounds, function, right, wrong))
    with pytest.raises(AssertionError):  # and fails with the mistake in it
        mutation.run(globals()[f"test_{test}"])


def test_every_formula_has_mistakes_that_are_caught():
    assert mutation.formulas(bounds) - {"posterior"} == {function for function, *_ in MISTAKES}
