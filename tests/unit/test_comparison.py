"""The measures of notebook 07, as ten values: held against the package's own single numbers."""

from lecture_utils import code_metrics, comparison, data, frechet, models, study

import numpy as np
import pytest
import torch


def codes(n=200, dim=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (n,), generator=generator)
    return torch.randn(n, dim, generator=generator) + labels[:, None], labels


def without(block, *tensors):
    keep = torch.arange(len(tensors[0])) % comparison.N_BLOCKS != block
    return [tensor[keep] for tensor in tensors]


def test_the_tenths_of_a_mean_are_its_pseudo_values():
    values = torch.arange(40.0).square()
    leaving_out = [without(block, values)[0].mean().item() for block in range(10)]
    expected = comparison.jackknifed(values.mean().item(), leaving_out)
    assert comparison.tenths(values) == pytest.approx(expected)


@pytest.mark.parametrize("measure", ["energy", "silhouette"])
def test_ten_values_are_the_jackknife_of_the_one_number(measure):
    z, labels = codes()
    if measure == "energy":
        ten, one, data = comparison.energy_distance(z), code_metrics.distance_to_normal, (z,)
    else:
        ten, one, data = comparison.silhouette(z, labels), code_metrics.silhouette, (z, labels)
    expected = comparison.jackknifed(one(*data), [one(*without(b, *data)) for b in range(10)])
    assert ten.mean() == pytest.approx(one(*data), rel=1e-6)
    # Pseudo-values are differences: a small one is rounded as much as the largest.
    assert ten == pytest.approx(expected, abs=1e-5 * np.abs(expected).max())


def test_a_class_that_one_tenth_holds_alone_can_be_left_out():
    z, labels = codes()
    labels[torch.arange(200) % 10 == 3] = 7
    labels[(torch.arange(200) % 10 != 3) & (labels == 7)] = 0
    expected = code_metrics.silhouette(*without(3, z, labels))
    ten = comparison.silhouette(z, labels)
    leaving_out = ten.mean() - (ten - ten.mean()) / 9  # up to the shift, which all ten share
    others = [code_metrics.silhouette(*without(b, z, labels)) for b in range(10)]
    assert leaving_out[3] - leaving_out[0] == pytest.approx(expected - others[0], abs=1e-6)


def test_the_spread_of_the_ten_values_is_that_over_other_images():
    """Twice as far apart as chance allows would be noticed: 200 samples of their own."""
    means, spreads = [], []
    for seed in range(200):
        ten = comparison.energy_distance(codes(100, 2, seed)[0])
        means.append(ten.mean())
        spreads.append(ten.var(ddof=1) / 10)
    assert 0.7 < np.mean(spreads) / np.var(means) < 1.4


def test_whitening_is_fitted_to_the_one_set_and_applied_to_the_other():
    z, _ = codes(500)
    white = comparison.whitened(z, z)
    assert torch.allclose(white.mean(dim=0), torch.zeros(3, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(torch.cov(white.T), torch.eye(3, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(
        comparison.whitened(z, z + 1) - white, comparison.whitened(z, z + 1) - white
    )
    turned = comparison.energy_distance(comparison.whitened(2 * z + 1, 2 * z + 1))
    assert turned == pytest.approx(comparison.energy_distance(white), abs=1e-4)


def test_nats_of_normal_codes_are_nought_and_of_others_the_closed_form():
    z, new = torch.randn(2, 20_000, 2, generator=torch.Generator().manual_seed(0)) * 2
    single = comparison.density(z, 1)
    found = comparison.distribution(z, new, single, single)
    closed = 2 * (0.5 * (4 - 1) - np.log(2))  # KL of N(0, 4) from N(0, 1), twice
    error = found["nats"].std(ddof=1) / np.sqrt(10)
    assert abs(found["nats"].mean() - closed) < 4 * error + 0.001
    assert found["nats whitened"] == pytest.approx(0)


def test_draws_are_repeatable_and_not_sorted_by_component():
    z = torch.cat([torch.zeros(500, 1), torch.full((500, 1), 9.0)]) + 0.1 * codes(1000, 1)[0]
    g = comparison.density(z, 2)
    drawn = comparison.draw(g, 200, seed=3)
    assert torch.equal(drawn, comparison.draw(g, 200, seed=3))
    assert not torch.equal(drawn, comparison.draw(g, 200, seed=4))
    assert 10 < (drawn[:100] > 5).sum() < 90


@pytest.fixture
def material(monkeypatch):
    """Small images, and the mean over four parts of the image in the place of a classifier."""
    monkeypatch.setattr(comparison, "N_PAIRS", 100)
    monkeypatch.setattr(comparison, "N_SAMPLES", 100)
    monkeypatch.setattr(
        frechet, "digit_features", lambda x: x.float().view(len(x), 4, -1).mean(dim=2)
    )
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(400) // 10 % 10
    x = (torch.rand(400, 784, generator=generator) < labels[:, None] / 12 + 0.1).float()
    return comparison.Images(x[:200], labels[:200], x[200:], labels[200:], x[200:])


def test_the_test_images_come_in_the_order_of_test_subset(mnist):
    images, order = comparison.images(mnist), data.test_subset(data.TEST_SIZE)
    assert torch.equal(images.test_labels, mnist.test_labels[order])
    assert torch.equal(images.grey_test, mnist.test_images[order])
    assert torch.equal(images.test, data.binary_test_set(mnist)[order])


@pytest.mark.parametrize("name", ["AE", "DAE", "VAE"])
def test_every_measure_of_a_model_is_ten_numbers_with_a_column_in_the_record(name, material):
    kinds = {"AE": models.Autoencoder, "DAE": models.DenoisingAutoencoder, "VAE": models.VAE}
    measures = comparison.measure(kinds[name](latent_dim=2, seed=0), material, seed=0)
    assert set(measures) <= set(study.measure_names())
    assert all(ten.shape == (10,) and np.isfinite(ten).all() for ten in measures.values())
    assert ("kl" in measures) == (name == "VAE")
    assert ("probe expected" in measures) == (name == "DAE")
    again = comparison.measure(kinds[name](latent_dim=2, seed=0), material, seed=0)
    assert all((again[key] == measures[key]).all() for key in measures)


def test_the_curve_is_what_the_loss_says_at_the_training_noise(material):
    dae = models.DenoisingAutoencoder(latent_dim=2, seed=0)
    measures = comparison.measure(dae, material, seed=0)
    assert measures["noise 0.3"].mean() == pytest.approx(
        measures["nats as trained"].mean(), rel=0.02
    )
    assert measures["noise 0.0"].mean() == pytest.approx(
        -dae.log_likelihood(dae.code(material.test[:100]), material.test[:100]).mean().item()
    )


def test_baselines(material):
    pca = comparison.measure_pca(material, 2)
    assert set(pca) <= set(study.measure_names()) and "frechet mixture" in pca
    assert set(comparison.measure_pixels(material)) == {"probe", "knn", "silhouette"}


def test_the_expected_corruption_is_the_mean_of_corruptions():
    x = (torch.rand(1, 50, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    many = models.corrupt(x.expand(40_000, -1), 0.6, torch.Generator().manual_seed(1))
    assert torch.allclose(
        many.mean(dim=0), comparison.expected_corruption(x, 0.6)[0], atol=4 * 0.5 / 200
    )
