"""Probes, cluster scores and the energy distance, on codes whose values are known."""

import math

from lecture_utils import code_metrics
from lecture_utils.evaluation import mean_and_error

import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import silhouette_score

from tests.tolerances import assert_near


def clusters(n, spread, seed):
    """Ten classes at the corners of a decagon of radius 10."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 10
    angle = labels * 2 * math.pi / 10
    return 10 * torch.stack([angle.cos(), angle.sin()], 1) + spread * torch.randn(
        n, 2, generator=g
    ), labels


@pytest.mark.parametrize("accuracy", [code_metrics.linear_probe, code_metrics.knn_accuracy])
def test_accuracies_of_separated_and_of_shuffled_classes(accuracy):
    codes, labels = clusters(1000, 0.3, seed=0)
    test_codes, test_labels = clusters(500, 0.3, seed=1)
    assert accuracy(codes, labels, test_codes, test_labels) == 1
    noise = torch.randn(1000, 2, generator=torch.Generator().manual_seed(2))
    chance = accuracy(noise, labels, test_codes, test_labels)
    assert abs(chance - 0.1) < 4 * math.sqrt(
        0.1 * 0.9 / 50
    )  # noise sorts whole clusters, so few independent trials


def test_the_linear_probe_ignores_scale_and_the_knn_does_not():
    codes, labels = clusters(1000, 2.0, seed=0)
    test_codes, test_labels = clusters(500, 2.0, seed=1)
    stretch = torch.tensor([1.0, 1e-3])
    same = code_metrics.linear_probe(codes, labels, test_codes, test_labels)
    assert code_metrics.linear_probe(
        codes * stretch, labels, test_codes * stretch, test_labels
    ) == pytest.approx(same, abs=1e-3)
    knn = code_metrics.knn_accuracy(codes, labels, test_codes, test_labels)
    assert (
        code_metrics.knn_accuracy(codes * stretch, labels, test_codes * stretch, test_labels)
        < knn - 0.1
    )


def test_silhouette_of_four_points_by_hand():
    codes, labels = torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([0, 0, 1, 1])
    # a = 1 everywhere; b is the mean distance to the other pair: 10.5 for the outer points, 9.5 for
    # the inner ones.
    exact = 1 - (1 / 10.5 + 1 / 9.5) / 2
    assert_near(code_metrics.silhouette(codes, labels), exact, terms=4)


def test_silhouette_draws_a_fixed_subset():
    codes, labels = clusters(3000, 3.0, seed=0)
    drawn = code_metrics.silhouette(codes, labels, n=500, seed=1)
    assert (
        drawn
        == code_metrics.silhouette(codes, labels, n=500, seed=1)
        != code_metrics.silhouette(codes, labels, n=500, seed=2)
    )
    whole = code_metrics.silhouette(codes, labels, n=3000)
    assert_near(whole, silhouette_score(codes, labels), terms=3000)


# Distance to N(0, I)


def test_energy_distance_of_two_points_by_hand():
    """In one dimension E|a - Y| = a (2 Phi(a) - 1) + 2 phi(a), and E|Y - Y'| = 2 / sqrt(pi)."""
    a, b = -0.7, 2.5
    to_normal = [v * (2 * norm.cdf(v) - 1) + 2 * norm.pdf(v) for v in (a, b)]
    exact = sum(to_normal) - abs(a - b) - 2 / math.sqrt(math.pi)
    assert code_metrics.distance_to_normal(
        torch.tensor([[a], [b]], dtype=torch.float64)
    ) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("dimension", [1, 2, 20])
def test_energy_distance_against_plain_monte_carlo(dimension):
    """The exact expectations over Y agree with averages over many draws of Y, within 4 standard
    errors.
    """
    g = torch.Generator().manual_seed(dimension)
    z = 0.5 + 2 * torch.randn(40, dimension, generator=g).double()
    y, other = torch.randn(2, 20_000, dimension, generator=g, dtype=torch.float64)
    # One value for each independent draw of (Y, Y'), so that the standard error is honest.
    draws = 2 * torch.cdist(y, z).mean(dim=1) - torch.pdist(z).mean() - (y - other).norm(dim=1)
    mean, error = mean_and_error(draws)
    assert abs(code_metrics.distance_to_normal(z) - mean) < 4 * error


@pytest.mark.parametrize("dimension", [2, 20])
def test_energy_distance_is_unbiased_zero_for_normal_draws(dimension):
    g = torch.Generator().manual_seed(0)
    values = torch.tensor(
        [
            code_metrics.distance_to_normal(torch.randn(300, dimension, generator=g))
            for _ in range(40)
        ]
    )
    mean, error = mean_and_error(values)
    assert abs(mean) < 4 * error
    assert (values < 0).any() and (
        values > 0
    ).any()  # an estimate that cannot be negative would be biased


def test_energy_distance_sees_mean_scale_and_shape():
    g = torch.Generator().manual_seed(0)
    z = torch.randn(2000, 2, generator=g)
    ring = (
        z / z.norm(dim=1, keepdim=True) * math.sqrt(2)
    )  # mean 0 and covariance I, as N(0, I), but no mass within
    noise = abs(code_metrics.distance_to_normal(z))
    for other in (z + 0.5, 1.5 * z, 0.6 * z, ring):
        assert code_metrics.distance_to_normal(other) > 10 * noise + 0.02


@pytest.mark.parametrize("z", [torch.zeros(5), torch.zeros(1, 3), torch.full((4, 2), math.nan)])
def test_energy_distance_refuses_what_it_cannot_measure(z):
    with pytest.raises(ValueError, match="finite and of shape"):
        code_metrics.distance_to_normal(z)
