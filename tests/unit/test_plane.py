"""The explorer of beta in notebook 03, without a browser."""

import time

from lecture_utils import data, models
from lecture_utils.explorers import plane

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def images(mnist):
    rows = data.test_subset(200)
    return data.binary_test_set(mnist)[rows], mnist.test_labels[rows]


def a_vae(seed, sigma):
    """A VAE whose q(z|x) has the given standard deviation for every x."""
    model = models.VAE(latent_dim=2, hidden=(8,), seed=seed).requires_grad_(False)
    model.to_logvar.weight.zero_()
    model.to_logvar.bias.fill_(2 * torch.tensor(sigma).log())
    return model


def test_the_facts_are_those_of_the_model(images):
    model = a_vae(0, 0.25)
    facts = plane.plane_facts(model, images[0])
    mu, logvar = model.encode(images[0])
    assert facts.sigma == pytest.approx(0.25)
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1).mean()
    assert facts.kl == pytest.approx(kl.item(), rel=1e-4)
    # About 784 log 2 for a network that knows nothing.
    assert 400 < facts.error < 700


def test_means_beyond_the_frame_are_counted(images):
    model = a_vae(0, 0.25)
    model.to_mu.weight.zero_()
    model.to_mu.bias.copy_(torch.tensor([0.0, plane.LIMIT + 1.0]))
    assert plane.plane_facts(model, images[0]).outside == 1
    assert plane.plane_facts(model, images[0], limit=10).outside == 0


def test_draws_each_beta_in_milliseconds_and_says_what_it_shows(images):
    picture = plane.BetaPicture({"0": a_vae(0, 0.01), "1": a_vae(0, 0.5)}, *images)
    frames = {beta: picture.draw(beta) for beta in ("0", "1")}
    assert frames["0"].png[:4] == b"\x89PNG" and frames["0"].png != frames["1"].png
    assert "beta = 0:" in frames["0"].words and "median sigma is 0.010" in frames["0"].words
    assert picture.draw("0").png == frames["0"].png
    narrow = plane.BetaPicture({"0": a_vae(0, 1e-4)}, *images).draw("0")
    assert "median sigma is below 0.001" in narrow.words  # and not 0.000
    start = time.perf_counter()
    for beta in "0101010101":
        picture.draw(beta)
    assert (time.perf_counter() - start) / 10 < 0.5  # 50 ms on an idle machine


def test_the_plane_shows_a_random_sample_of_the_images(images):
    model = a_vae(0, 0.5)
    centres = plane.BetaPicture({"1": model}, *images, n=20).clouds["1"].get_offsets()
    mu, _ = model.encode(images[0])
    rows = torch.cdist(torch.tensor(np.asarray(centres)), mu.double()).argmin(dim=1)
    assert len(set(rows.tolist())) == 20 and rows.max() > 100  # of 200, not the first 20


def test_the_explorer_has_a_slider_over_the_betas(images):
    box = plane.beta_explorer({"0": a_vae(0, 0.01), "1": a_vae(0, 0.5)}, *images)
    slider = box.children[0]
    slider.value = "0"
    assert "beta = 0" in box.children[-1].value and slider.description == "beta"


def test_no_models_are_an_error_that_says_what_to_pass(images):
    with pytest.raises(ValueError, match="label of beta"):
        plane.BetaPicture({}, *images)
