"""The formulas of the toy problems against exact values."""

import functools
import math

from lecture_utils import objectives
from lecture_utils.explorers import toy

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.tolerances import assert_near


@functools.cache
def gaussian_nodes():
    """Nodes and weights that integrate polynomials against N(0, 1) exactly."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    return torch.tensor(nodes), torch.tensor(weights / weights.sum())


@pytest.mark.parametrize("x", [-1.2, -0.5, 0.05, 1.0, 1.2])
def test_toy_gradients_have_the_exact_mean_and_variance(x):
    epsilon, weights = gaussian_nodes()
    draws = toy.toy_gradients(x, epsilon)
    exact = 8 * x**3 + 8 * x
    variances = {
        "reparameterized": 32 * x**2 * (3 * x**4 + 4 * x**2 + 2),
        "score_function": 8 * (135 * x**8 + 296 * x**6 + 280 * x**4 + 112 * x**2 + 24) / x**2,
    }
    for name, variance in variances.items():
        gradients = getattr(draws, name)
        assert (weights * gradients).sum().item() == pytest.approx(exact)
        assert (weights * (gradients - exact) ** 2).sum().item() == pytest.approx(variance)
    assert (weights * draws.z).sum().item() == pytest.approx(x**2 + 2)


@pytest.mark.parametrize("x", [-0.7, 1.0])
def test_toy_gradients_agree_with_autograd_sample_by_sample(x):
    epsilon = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = toy.toy_gradients(x, epsilon)
    x_each = torch.full_like(epsilon, x, requires_grad=True)
    z = x_each**2 + 2 + x_each**2 * epsilon
    assert torch.allclose(torch.autograd.grad((z**2).sum(), x_each)[0], draws.reparameterized)
    log_q = Normal(x_each**2 + 2, x_each**2).log_prob(z.detach())
    assert torch.allclose(
        torch.autograd.grad((z.detach() ** 2 * log_q).sum(), x_each)[0], draws.score_function
    )
    assert torch.allclose(z.detach(), draws.z)


def test_at_zero_the_trick_is_exact_and_the_score_function_undefined():
    draws = toy.toy_gradients(0.0, torch.linspace(-3, 3, 7).double())
    assert (
        (draws.z == 2).all()
        and (draws.reparameterized == 0).all()
        and draws.score_function.isnan().all()
    )


@pytest.mark.parametrize("mu, sigma", [(0, 1), (1, 0.5), (-2.5, 2.5), (0.3, 0.25), (0.3, 0.1)])
def test_kl_terms_sum_to_the_kl(mu, sigma):
    terms = toy.kl_terms(mu, sigma)
    assert min(terms) >= 0
    logvar = torch.tensor([[2 * math.log(sigma)]])
    kl = objectives.gaussian_kl(torch.tensor([[float(mu)]]), logvar)[0]
    assert_near(sum(terms), kl, terms=4, scale=5)  # of 1, log sigma^2, mu^2 and sigma^2
    z = np.linspace(mu - 12 * sigma, mu + 12 * sigma, 20_001)
    area = toy.kl_integrand(z, mu, sigma).sum() * (z[1] - z[0])
    referee = kl_divergence(
        Normal(torch.tensor(float(mu)).double(), float(sigma)),
        Normal(torch.tensor(0.0).double(), 1.0),
    )
    assert area == pytest.approx(referee.item(), abs=1e-7) and sum(terms) == pytest.approx(
        referee.item(), abs=1e-7
    )
