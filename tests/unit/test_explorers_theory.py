"""The explorers of notebook 08: exact bounds against referees, and what is shown of them."""

import io
import math
import statistics
import time

from lecture_utils.explorers import theory

import mpmath
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import digamma, logsumexp
from torch.distributions import Normal


def test_bound_of_k_of_exponential_weights_is_the_digamma_function():
    """A sum of k exponential weights is a gamma variable, whose mean logarithm is digamma(k)."""
    log_w = np.linspace(-40, 6, 4001)
    mass = np.exp(log_w - np.exp(log_w))
    ks = (1, 2, 5, 10, 100)
    exact = digamma(ks) - np.log(ks)
    np.testing.assert_allclose(theory.bound_of_k(log_w, mass / mass.sum(), ks), exact, atol=1e-11)


def test_bound_of_k_of_equal_weights_is_their_logarithm():
    found = theory.bound_of_k(np.full(3, -7.0), np.full(3, 1 / 3), (1, 10, 1000))
    np.testing.assert_allclose(found, -7.0, atol=1e-11)


@pytest.mark.parametrize("mean, sd", [(0.5, 0.6), (0.5, 0.25), (-1.0, 2.0), (2.0, 0.2)])
def test_the_bounds_of_four_pixels_agree_with_quadrature_and_with_samples(mean, sd):
    bounds = theory.four_pixels_bounds(mean, sd)
    z = np.linspace(mean - 12 * sd, mean + 12 * sd, 20_001)
    q = Normal(*torch.tensor([mean, sd], dtype=torch.float64))
    log_q = q.log_prob(torch.tensor(z)).numpy()
    elbo = (np.exp(log_q) * (theory.four_pixels_log_joint(z) - log_q)).sum() * (z[1] - z[0])
    assert bounds.of_k[0] == pytest.approx(elbo, abs=1e-8)  # k = 1 is the ELBO
    assert (np.diff(bounds.of_k) > 0).all() and (bounds.of_k < theory.LOG_P_X).all()
    draws = mean + sd * np.random.default_rng(0).standard_normal((20_000, 10))
    log_w = theory.four_pixels_log_joint(draws) - q.log_prob(torch.tensor(draws)).numpy()
    sampled = np.log(np.exp(log_w).mean(axis=1))
    error = sampled.std() / math.sqrt(len(sampled))
    assert abs(sampled.mean() - bounds.of_k[theory.KS.index(10)]) < 4 * error


@pytest.mark.parametrize("mean, sd", [(0.5, 0.6), (0.5, 1.2), (-1.0, 1.5)])
def test_for_large_k_the_gap_is_chi2_over_2k(mean, sd):
    bounds = theory.four_pixels_bounds(mean, sd)
    gap = theory.LOG_P_X - bounds.of_k[-1]
    assert gap == pytest.approx(bounds.chi2 / (2 * theory.KS[-1]), rel=0.02)


def test_chi2_of_the_prior_is_a_rational_number():
    """E[p(x|z)^2] is the integral of u^6 (1 - u)^2 over (0, 1), 1/252."""
    assert theory.four_pixels_bounds(0.0, 1.0).chi2 == pytest.approx(400 / 252 - 1, rel=1e-12)


@pytest.mark.parametrize(
    "mean, sd", [(0.5, 0.6), (0.5, 0.5), (0.0, 0.5), (0.05, 0.5), (-2.0, 0.55)]
)
def test_chi2_agrees_with_quadrature_in_many_digits(mean, sd):
    """Beyond z = 60 the integrand is c exp(-b z) / z^2 for sd = 1/2, and next to nothing else."""
    mpmath.mp.dps = 25
    m, sigma, end = mpmath.mpf(mean), mpmath.mpf(sd), 60

    def integrand(z):
        tail = mpmath.erfc(z / mpmath.sqrt(2)) / 2  # 1 - Phi, without a subtraction
        joint = 20 * mpmath.ncdf(z) ** 3 * tail * mpmath.npdf(z)
        return joint**2 / mpmath.npdf(z, m, sigma)

    total = mpmath.quad(integrand, [-15, -5, -2, 0, 2, 5, 10, 20, 40, end])
    if sd == 0.5:
        c, b = 400 * sigma * mpmath.exp(2 * m**2) / mpmath.power(2 * mpmath.pi, 1.5), m / sigma**2
        rest = mpmath.quad(
            lambda z: mpmath.exp(-b * z) * (1 / z**2 - 2 / z**4 + 7 / z**6), [end, mpmath.inf]
        )
        total += c * rest
    assert theory.four_pixels_bounds(mean, sd).chi2 == pytest.approx(float(total - 1), rel=1e-8)


@pytest.mark.parametrize("mean, sd", [(0.5, 0.49), (2.0, 0.499), (0.0, 0.2), (-0.05, 0.5)])
def test_a_q_narrower_than_the_posteriors_tail_has_weights_of_infinite_variance(mean, sd):
    assert math.isinf(theory.four_pixels_bounds(mean, sd).chi2)


def test_close_to_the_limit_chi2_is_found_far_to_the_right():
    """For mean = -1, sd = 0.502 the integrand peaks near z = 125: a referee by logarithms."""
    z = np.linspace(1, 600, 600_001)
    density = Normal(*torch.tensor([-1.0, 0.502], dtype=torch.float64))
    log_w2_q = 2 * theory.four_pixels_log_joint(z) - density.log_prob(torch.tensor(z)).numpy()
    log_total = logsumexp(log_w2_q) + math.log(z[1] - z[0]) + 2 * math.log(20)
    chi2 = theory.four_pixels_bounds(-1.0, 0.502).chi2
    assert math.log(chi2) == pytest.approx(log_total, abs=1e-8)


@pytest.mark.parametrize("s", [0.02, 0.5, 1.0])
def test_the_gap_of_the_chain_is_that_of_the_bound_term_by_term(s):
    """Referee: the losses of Ho et al., weight times squared error plus constant, averaged over x
    from its mean and variance alone."""
    n_steps = 50
    chain = theory.diffusion_chain(s, n_steps)
    beta, alpha = chain.beta, 1 - chain.beta
    bar = np.cumprod(alpha)
    v = bar * s**2 + 1 - bar
    variance = chain.beta_tilde
    true_tilde = np.concatenate([[0.0], (beta * (1 - bar / alpha) / (1 - bar))[1:]])
    error = bar * s**2 / v  # E[(epsilon - best guess)^2]
    loss = (beta**2 / (2 * variance * alpha * (1 - bar)) * error).sum()
    ratio = true_tilde[1:] / variance[1:]
    loss += math.log(2 * math.pi * variance[0]) / 2 + (ratio - 1 - np.log(ratio)).sum() / 2
    second_moment = theory.DATA_MEAN**2 + s**2
    loss += (bar[-1] * second_moment - bar[-1] - math.log(1 - bar[-1])) / 2
    entropy = math.log(2 * math.pi * math.e * s**2) / 2
    assert chain.gap(variance) == pytest.approx(loss - entropy, abs=1e-9)


def test_the_exact_variances_leave_the_priors_kl_alone():
    chain = theory.diffusion_chain(0.3, 100)
    assert chain.gap(chain.exact) == chain.prior_kl
    assert chain.gap(1.01 * chain.exact) > chain.prior_kl < chain.gap(0.99 * chain.exact)


def test_which_variance_is_better_depends_on_the_spread_of_the_data():
    wide, narrow = theory.diffusion_chain(0.5, 1000), theory.diffusion_chain(0.01, 1000)
    assert wide.gap(wide.beta) < wide.gap(wide.beta_tilde)
    assert narrow.gap(narrow.beta) > narrow.gap(narrow.beta_tilde)


DRAWINGS = {
    "bound": (
        theory.draw_bound,
        [(m / 2, sd, k) for m in range(-4, 5, 2) for sd in (0.2, 0.6, 2.0) for k in (1, 20, 1000)],
    ),
    "steps": (theory.draw_steps, [(s, n) for s in theory.SDS for n in theory.STEPS[::3]]),
}
EXPLORERS = {"bound": theory.bound_explorer, "steps": theory.steps_explorer}
every = pytest.mark.parametrize("name", DRAWINGS)


@every
def test_every_move_gives_another_picture_within_50_ms(name):
    draw, moves = DRAWINGS[name]
    first = draw(*moves[0])
    picture = Image.open(io.BytesIO(first.png))
    assert picture.format == "PNG" and picture.size == (700, 380)
    seconds, frames = [], []
    for move in moves:
        start = time.thread_time()
        frames.append(draw(*move))
        seconds.append(time.thread_time() - start)
    assert len(set(frames)) == len(moves) and draw(*moves[0]) == first
    assert statistics.median(seconds) < 0.05, f"median {statistics.median(seconds):.3f} s"


@every
def test_the_explorer_redraws_at_both_ends_of_every_slider(name):
    *sliders, picture, words = EXPLORERS[name]().children
    for slider in sliders:
        ends = slider.options[::-1] if hasattr(slider, "options") else (slider.max, slider.min)
        for end in (ends[0], ends[-1]):
            before, said = bytes(picture.value), words.value
            slider.value = end
            assert bytes(picture.value) != before and words.value != said
    assert picture.tooltip is None


def test_the_words_state_the_numbers_of_the_picture():
    words = theory.draw_bound(0.5, 0.6, 10).words
    gap = theory.LOG_P_X - theory.four_pixels_bounds(0.5, 0.6).of_k
    assert f"by {gap[0]:.2g} nats at k = 1" in words and f"{gap[4]:.2g} nats at k = 10" in words
    assert "variance of a weight is infinite" in theory.draw_bound(0.5, 0.25, 1).words
    assert "variance of a weight is 7.8 times p(x) squared" in theory.draw_bound(0, 0.5, 1).words
    chain = theory.diffusion_chain(0.5, 1000)
    assert f"{chain.gap(chain.beta):.2g} nats with" in theory.draw_steps(0.5, 1000).words


@pytest.mark.parametrize(
    "draw, values, message",
    [
        (theory.draw_bound, (2.1, 1.0, 1), r"mean is 2.1, but must lie in \[-2.0, 2.0\]"),
        (theory.draw_bound, (0.0, 0.1, 1), r"sd is 0.1"),
        (theory.draw_bound, (math.nan, 1.0, 1), "mean is nan"),
        (theory.draw_bound, (0.0, 1.0, 4), "k is 4, but must be one of 1, 2"),
        (theory.draw_steps, (0.4, 100), "choose from"),
        (theory.diffusion_chain, (0.5, 20), "at least 30"),
        (theory.diffusion_chain, (0.0, 100), "above 0"),
    ],
)
def test_values_out_of_range_are_named(draw, values, message):
    with pytest.raises(ValueError, match=message):
        draw(*values)
