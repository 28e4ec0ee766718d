"""Every formula of `lecture_utils/objectives.py`, held against exact values, quadrature and
torch.distributions.

The last part turns the tests on themselves: for each formula, a flipped sign, a dropped half or a
like mistake must make the named test fail.
"""

import math
from fractions import Fraction
from itertools import product

from lecture_utils import objectives

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from tests import mutation
from tests.helpers import double, seeded

QUICK = settings(max_examples=60, deadline=None, database=None)
FINITE = st.floats(-6, 6, allow_nan=False)
GAUSSIANS = st.lists(
    st.tuples(FINITE, FINITE), min_size=1, max_size=6
)  # (mu_j, logvar_j) for each dimension
ALL_IMAGES = list(product([0, 1], repeat=3))


PROBABILITIES = (Fraction(1, 2), Fraction(1, 3), Fraction(1, 5))


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


def columns(gaussian):
    """mu and logvar, [J] each, of a list of pairs."""
    mu, logvar = double(gaussian).unbind(dim=1)
    return mu, logvar


X = double(ALL_IMAGES)  # all eight images of the tiny model, [8, 3]


# reparameterize


@pytest.mark.parametrize("logvar", [-6.0, -1.0, 0.0, 2.5])
def test_samples_have_mean_mu_and_variance_exp_logvar(logvar):
    n, mu, alpha = 20_000, 1.7, 1e-6  # with a correct formula, one seed in a million fails
    z = objectives.reparameterize(double([mu]).expand(n), double([logvar]).expand(n), seeded(3))
    low, high = stats.chi2.ppf(
        [alpha / 2, 1 - alpha / 2], n - 1
    )  # (n - 1) s^2 / sigma^2 is chi-square with n - 1
    assert low < (n - 1) * z.var().item() / math.exp(logvar) < high
    assert abs(z.mean().item() - mu) < stats.norm.isf(alpha / 2) * math.exp(logvar / 2) / math.sqrt(
        n
    )


def test_samples_are_normal():
    z = objectives.reparameterize(
        torch.full((20_000,), 1.0), torch.full((20_000,), -1.0), seeded(5)
    )
    assert stats.kstest(z.double().numpy(), stats.norm(1.0, math.exp(-0.5)).cdf).pvalue > 1e-4


@QUICK
@given(GAUSSIANS, st.integers(0, 2**31))
@example([(0.5, 1.0)], 0)  # where a mistake shows at once: there is nothing to shrink
def test_gradients_reach_mu_and_logvar(gaussian, seed):
    """dz/dmu = 1 and dz/dlogvar = (z - mu) / 2."""
    mu, logvar = (t.clone().requires_grad_() for t in columns(gaussian))
    z = objectives.reparameterize(mu, logvar, seeded(seed))
    z.sum().backward()
    assert mu.grad is not None and logvar.grad is not None
    torch.testing.assert_close(mu.grad, torch.ones_like(mu))
    torch.testing.assert_close(logvar.grad, (z - mu).detach() / 2)


def test_samples_repeat_with_the_generator_and_leave_the_global_one_alone():
    mu, logvar = torch.zeros(4, 2), torch.zeros(4, 2)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, same, other = (objectives.reparameterize(mu, logvar, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_keep_shape_and_dtype(dtype):
    z = objectives.reparameterize(
        torch.zeros(5, 4, 2, dtype=dtype), torch.zeros(5, 4, 2, dtype=dtype)
    )
    assert z.shape == (5, 4, 2) and z.dtype == dtype


@pytest.mark.parametrize("formula", ["reparameterize", "gaussian_kl"])
def test_mu_and_logvar_of_different_shapes_are_refused(formula):
    with pytest.raises(
        ValueError,
        match=r"mu has shape \[4, 2\] and logvar \[4, 1\]: they must be equal, \[\.\.\., J\]",
    ):
        getattr(objectives, formula)(torch.zeros(4, 2), torch.zeros(4, 1))


# gaussian_kl


@pytest.mark.parametrize(
    "mu, variance, exact",
    [
        ([0.0], [1.0], 0.0),
        ([3.0], [1.0], 4.5),
        ([0.0], [4.0], 1.5 - math.log(2)),
        ([0.0], [0.25], -0.375 + math.log(2)),
        (
            [1.0, -2.0, 0.0],
            [1.0, 4.0, 0.25],
            0.5 + (2 + 1.5 - math.log(2)) + (-0.375 + math.log(2)),
        ),
    ],
)
def test_kl_has_its_exact_values(mu, variance, exact):
    assert objectives.gaussian_kl(double(mu), double(variance).log()).item() == pytest.approx(
        exact, abs=1e-12
    )


@QUICK
@given(GAUSSIANS)
def test_kl_agrees_with_torch_distributions(gaussian):
    mu, logvar = columns(gaussian)
    referee = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(double(0.0), double(1.0))).sum()
    torch.testing.assert_close(objectives.gaussian_kl(mu, logvar), referee, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mu, logvar", [(0.0, 0.0), (1.3, -2.0), (-2.0, 1.0)])
def test_kl_is_the_integral_that_defines_it(mu, logvar):
    sigma = math.exp(logvar / 2)
    integral = expectation(
        lambda z: stats.norm.logpdf(z, mu, sigma) - stats.norm.logpdf(z), mu, sigma
    )
    assert objectives.gaussian_kl(double([mu]), double([logvar])).item() == pytest.approx(
        integral, abs=1e-9
    )


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
    one_by_one = sum(
        objectives.gaussian_kl(mu[j : j + 1], logvar[j : j + 1]) for j in range(len(mu))
    )
    torch.testing.assert_close(
        objectives.gaussian_kl(mu, logvar), one_by_one, rtol=1e-12, atol=1e-12
    )


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
    exact = [
        math.log(math.prod(p if x else 1 - p for p, x in zip(PROBABILITIES, image)))
        for image in ALL_IMAGES
    ]
    logits = torch.logit(double([float(p) for p in PROBABILITIES])).expand(8, 3)
    torch.testing.assert_close(
        objectives.bernoulli_log_likelihood(logits, X), double(exact), rtol=0, atol=1e-12
    )


@QUICK
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=8))
def test_bernoulli_probabilities_of_all_images_sum_to_one(logits):
    images = double(list(product([0, 1], repeat=len(logits))))
    total = (
        objectives.bernoulli_log_likelihood(double(logits).expand(len(images), -1), images)
        .exp()
        .sum()
    )
    assert total.item() == pytest.approx(1, abs=1e-12)


@QUICK
@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=1, max_size=20))
def test_bernoulli_agrees_with_torch_distributions(pixels):
    logits, x = (
        double([[logit for logit, _ in pixels]]),
        double([[float(pixel) for _, pixel in pixels]]),
    )
    referee = Independent(Bernoulli(logits=logits), 1).log_prob(x)
    torch.testing.assert_close(
        objectives.bernoulli_log_likelihood(logits, x), referee, rtol=1e-9, atol=1e-12
    )


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
    assert (
        scores.max().item() == pytest.approx(-entropy, abs=1e-5)
        and scores.max() <= -entropy + 1e-12
    )


def test_bernoulli_takes_leading_dimensions_for_samples_of_z():
    logits, x = (
        torch.randn(7, 5, 4, 3, generator=seeded(1)),
        torch.rand(4, 3, generator=seeded(2)).round(),
    )
    together = objectives.bernoulli_log_likelihood(logits, x)
    assert together.shape == (7, 5, 4)
    torch.testing.assert_close(together[6, 2], objectives.bernoulli_log_likelihood(logits[6, 2], x))


@pytest.mark.parametrize(
    "logits, x, message",
    [
        (
            torch.zeros(4, 3),
            torch.zeros(4, 2),
            r"logits of shape \[4, 3\] do not fit pixels of shape \[4, 2\].*x\.flatten\(1\)",
        ),
        (
            torch.zeros(4, 3),
            torch.zeros(2, 3),
            r"logits of shape \[4, 3\] do not fit pixels of shape \[2, 3\]",
        ),
        (
            torch.zeros(3),
            torch.zeros(4, 3),
            r"logits of shape \[3\] do not fit pixels of shape \[4, 3\]",
        ),
        (
            torch.zeros(4, 4),
            torch.zeros(4, 1, 2, 2),
            r"do not fit pixels of shape \[4, 1, 2, 2\].*Flatten images",
        ),
        (
            torch.zeros(2, 3),
            torch.zeros(2, 3, dtype=torch.uint8),
            r"Pixels are torch\.uint8, but must be floats.*binarize\(images\)",
        ),
        (
            torch.zeros(1, 2),
            torch.tensor([[0.0, 255.0]]),
            r"must lie in \[0, 1\], but range from 0 to 255.*to_grey\(images\)",
        ),
        (
            torch.zeros(1, 2),
            torch.tensor([[-0.5, 1.0]]),
            r"must lie in \[0, 1\], but range from -0\.5 to 1",
        ),
        (
            torch.zeros(1, 2),
            torch.tensor([[math.nan, 1.0]]),
            r"range from nan to nan \(nan: there is a NaN\)",
        ),
    ],
    ids=["pixels", "batch", "no batch", "not flat", "uint8", "0 to 255", "negative", "nan"],
)
def test_pixels_and_logits_that_do_not_fit_are_refused_with_the_mend(logits, x, message):
    with pytest.raises(ValueError, match=message):
        objectives.bernoulli_log_likelihood(logits, x)


# The two Gaussian log-densities


@QUICK
@given(GAUSSIANS, st.integers(0, 1000))
def test_log_densities_agree_with_torch_distributions(gaussian, seed):
    mu, logvar = columns(gaussian)
    z = 3 * torch.randn(len(mu), generator=seeded(seed), dtype=torch.float64)
    q, prior = Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)
    torch.testing.assert_close(
        objectives.gaussian_log_density(z, mu, logvar), q.log_prob(z).sum(), rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(
        objectives.standard_normal_log_density(z), prior.log_prob(z).sum(), rtol=1e-9, atol=1e-9
    )


def test_log_densities_have_their_exact_values():
    z, mu, logvar = double([[1.0, -2.0]]), double([[0.0, 1.0]]), double([[0.0, math.log(5)]])
    # variances 1 and 5: -1/2 [log 2pi + 1] - 1/2 [log 2pi + log 5 + 9/5]
    exact = -0.5 * (2 * math.log(2 * math.pi) + math.log(5) + 1 + 9 / 5)
    assert objectives.gaussian_log_density(z, mu, logvar).item() == pytest.approx(exact, abs=1e-12)
    exact = -0.5 * (2 * math.log(2 * math.pi) + 5)
    assert objectives.standard_normal_log_density(z).item() == pytest.approx(exact, abs=1e-12)


# elbo and negative_elbo


# log_importance_weights and importance_weighted_bound


# The tests above, tested: each mistake must make the named test fail

MISTAKES = [  # function, what stands there, what a mistake would put there, test that must notice
    (
        "reparameterize",
        "exp(logvar / 2)",
        "exp(logvar)",
        "samples_have_mean_mu_and_variance_exp_logvar",
    ),
    (
        "reparameterize",
        "exp(logvar / 2)",
        "exp(-logvar / 2)",
        "samples_have_mean_mu_and_variance_exp_logvar",
    ),
    (
        "reparameterize",
        "exp(logvar / 2)",
        "exp(2 * logvar)",
        "samples_have_mean_mu_and_variance_exp_logvar",
    ),
    (
        "reparameterize",
        "return mu +",
        "return -mu +",
        "samples_have_mean_mu_and_variance_exp_logvar",
    ),
    ("reparameterize", "torch.randn(", "torch.rand(", "samples_are_normal"),
    (
        "reparameterize",
        "return mu + torch.exp(logvar / 2)",
        "return mu + torch.exp(logvar / 2).detach()",
        "gradients_reach_mu_and_logvar",
    ),
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
    ("bernoulli_log_likelihood", "return -cross", "return cross", "bernoulli_has_its_exact_values"),
    (
        "bernoulli_log_likelihood",
        "return -cross",
        "return -0.5 * cross",
        "bernoulli_has_its_exact_values",
    ),
    ("bernoulli_log_likelihood", ".sum(dim=-1)", ".mean(dim=-1)", "bernoulli_has_its_exact_values"),
    (
        "bernoulli_log_likelihood",
        "F.binary_cross_entropy_with_logits(\n        logits,",
        "F.binary_cross_entropy(\n        torch.sigmoid(logits),",
        "extreme_logits_give_exact_finite_values_and_gradients",
    ),
    (
        "bernoulli_log_likelihood",
        "x.expand_as(logits)",
        "x.round().expand_as(logits)",
        "grey_pixels_score_at_best_minus_their_entropy",
    ),
    ("standard_normal_log_density", "-0.5 *", "0.5 *", "log_densities_have_their_exact_values"),
    ("standard_normal_log_density", "-0.5 *", "-1.0 *", "log_densities_have_their_exact_values"),
    (
        "standard_normal_log_density",
        "+ math.log",
        "- math.log",
        "log_densities_have_their_exact_values",
    ),
    ("gaussian_log_density", "-0.5 *", "0.5 *", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "-0.5 *", "-1.0 *", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "(logvar +", "(-logvar +", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "(logvar +", "(logvar / 2 +", "log_densities_have_their_exact_values"),
    (
        "gaussian_log_density",
        "/ logvar.exp()",
        "/ (logvar / 2).exp()",
        "log_densities_have_their_exact_values",
    ),
    ("gaussian_log_density", "+ squared", "- squared", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "(z - mu)", "(z + mu)", "log_densities_have_their_exact_values"),
    ("gaussian_log_density", "+ math.log", "- math.log", "log_densities_have_their_exact_values"),
]


@pytest.mark.parametrize(
    ("function", "right", "wrong", "test"),
    MISTAKES,
    ids=[f"{f}: {b.strip()}" for f, _, b, _ in MISTAKES],
)
def test_a_mistake_makes_its_test_fail(function, right, wrong, test, monkeypatch):
    assert mutation.holds(globals()[f"test_{test}"])  # as the module stands,
    monkeypatch.setitem(
        globals(), "objectives", mutation.mutated(objectives, function, right, wrong)
    )
    with pytest.raises(AssertionError):  # and fails with the mistake in it
        mutation.run(globals()[f"test_{test}"])


def test_every_formula_has_mistakes_that_are_caught():
    assert mutation.formulas(objectives) == {function for function, *_ in MISTAKES}
