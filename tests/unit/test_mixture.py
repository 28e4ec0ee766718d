"""The Bernoulli mixture against torch.distributions, enumeration, and what EM guarantees."""

import itertools
import math

from lecture_utils.data import MNIST, binarize, binary_test_set
from lecture_utils.evaluation import mean_and_error
from lecture_utils.mixture import BernoulliMixture, fit_mixture, nat_baselines, trained_mixture

import pytest
import torch

from tests.tolerances import assert_near


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def mixture():
    g = generator(1)
    return BernoulliMixture(
        torch.log_softmax(torch.randn(3, generator=g, dtype=torch.float64), 0),
        2 * torch.randn(3, 6, generator=g, dtype=torch.float64),
    )


@pytest.fixture
def all_x():
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)), dtype=torch.float64)


@pytest.fixture
def images():
    """500 images of 16 pixels from two clearly different clusters, of sizes 0.3 and 0.7."""
    z = (torch.rand(500, generator=generator(2)) < 0.7).long()
    p = torch.tensor([[0.9] * 8 + [0.1] * 8, [0.2] * 8 + [0.8] * 8])
    return binarize(p[z], generator(3))


def test_log_likelihood_agrees_with_torch_distributions(mixture, all_x):
    D = torch.distributions
    referee = D.MixtureSameFamily(
        D.Categorical(logits=mixture.log_weights),
        D.Independent(D.Bernoulli(logits=mixture.logits), 1),
    )
    torch.testing.assert_close(mixture.log_likelihood(all_x), referee.log_prob(all_x))


def test_probabilities_of_all_images_sum_to_one(mixture, all_x):
    assert mixture.log_likelihood(all_x).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_posterior_is_bayes_rule(mixture, all_x):
    joint = mixture.joint(all_x).exp()
    torch.testing.assert_close(mixture.posterior(all_x), joint / joint.sum(1, keepdim=True))


def test_samples_have_the_mixtures_frequencies(mixture, all_x):
    n = 100_000
    x = binarize(mixture.sample(n, generator(4)), generator(5))
    codes = (x.long() * 2 ** torch.arange(5, -1, -1)).sum(
        dim=1
    )  # the row of all_x in which this image stands
    found = torch.bincount(codes, minlength=64) / n
    p = mixture.log_likelihood(all_x).exp()
    assert ((found - p).abs() < 4.5 * (p * (1 - p) / n).sqrt()).all()


def test_one_component_is_the_mean_of_each_pixel(images):
    independent, _ = fit_mixture(images, 1, 1)
    expected = (images.sum(0) + 0.5) / (len(images) + 1)
    assert_near(torch.sigmoid(independent.logits[0]), expected, terms=500)
    assert independent.log_weights.item() == 0


def test_em_finds_the_two_clusters_and_climbs(images):
    mixture, history = fit_mixture(images, 2, 30)
    big = mixture.log_weights.argmax()
    assert mixture.log_weights[big].exp().item() == pytest.approx(
        0.7, abs=4 * math.sqrt(0.21 / 500)
    )
    assert (
        torch.sigmoid(mixture.logits[big]) - torch.tensor([0.2] * 8 + [0.8] * 8)
    ).abs().max() < 0.12
    assert history[-1] > history[0] + 1
    # With the pseudo-counts' prior, EM never lowers log-likelihood + log prior.
    penalised = []
    for n in range(1, 15):
        fitted, _ = fit_mixture(images.double(), 2, n)
        log_prior = (
            0.5
            * (
                torch.nn.functional.logsigmoid(fitted.logits)
                + torch.nn.functional.logsigmoid(-fitted.logits)
            ).sum()
        )
        penalised.append((fitted.log_likelihood(images.double()).sum() + log_prior).item())
    assert all(b >= a - 1e-6 for a, b in zip(penalised, penalised[1:]))


def test_intensities_give_a_lower_bound_on_the_expected_log_likelihood(mixture):
    v = torch.rand(20, 6, generator=generator(6), dtype=torch.float64)
    x = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)), dtype=torch.float64)
    p_of_x = torch.stack(
        [torch.where(x == 1, row, 1 - row).prod(dim=1) for row in v]
    )  # [20, 64], exact
    expected = p_of_x @ mixture.log_likelihood(x)
    assert (mixture.log_likelihood(v) <= expected).all() and (
        mixture.log_likelihood(v) < expected - 1e-3
    ).any()
    one = BernoulliMixture(torch.zeros(1, dtype=torch.float64), mixture.logits[:1])
    torch.testing.assert_close(one.log_likelihood(v), p_of_x @ one.log_likelihood(x))


def test_uint8_and_float_images_give_the_same_mixture():
    images = torch.randint(0, 256, (50, 9), generator=generator(7), dtype=torch.uint8)
    a, b = fit_mixture(images, 3, 4)[0], fit_mixture(images / 255, 3, 4)[0]
    assert_near(a.logits, b.logits, terms=50 * 9 * 4)


def test_bad_input_is_refused(images, mixture):
    with pytest.raises(ValueError, match="n_components"):
        fit_mixture(images, 501, 1)
    with pytest.raises(ValueError, match="n_iterations"):
        fit_mixture(images, 2, 0)
    with pytest.raises(ValueError, match="binarize"):
        mixture.joint(torch.zeros(2, 6, dtype=torch.uint8))


def test_the_cache_returns_the_same_mixture(images, cache, one_thread):
    first = trained_mixture(images, 2, 3)
    assert list(cache.glob("mixture-*.pt"))
    torch.testing.assert_close(trained_mixture(images, 2, 3), first, rtol=0, atol=0)
    torch.testing.assert_close(fit_mixture(images, 2, 3)[0], first, rtol=0, atol=0)


def test_baselines_are_on_the_seeded_binary_test_set(cache):
    g = generator(8)
    images = [torch.randint(0, 256, (n, 784), generator=g, dtype=torch.uint8) for n in (300, 40)]
    mnist = MNIST(images[0], torch.zeros(300), images[1], torch.zeros(40))
    bars = nat_baselines(mnist)
    mean = images[0].float().mean(0) / 255
    p = (300 * mean + 0.5) / 301
    expected = torch.distributions.Bernoulli(p).log_prob(binary_test_set(mnist)).sum(1)
    found = torch.tensor(bars["independent pixels"])
    assert_near(found, torch.tensor(mean_and_error(expected)), terms=784 + 300)
    assert list(bars) == ["independent pixels", "mixture of 200 Bernoullis"]
