"""Walks through a latent space: traversals, interpolations, noise."""

from lecture_utils import latent_space, objectives

import torch

from tests.mnist_sized import DEAD, IMAGES, LIVE, MODELS, TERMS, VAE
from tests.tolerances import assert_near


def test_the_nearest_code_is_found_with_its_label_and_distance():
    codes = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert latent_space.nearest_code(codes, torch.tensor([7, 2]), torch.tensor([3.0, 3.0])) == (
        2,
        1.0,
    )
    assert latent_space.nearest_code(codes, torch.tensor([7, 2]), torch.tensor([-3.0, -4.0])) == (
        7,
        5.0,
    )


def test_a_traversal_changes_one_coordinate_and_decodes():
    start, values = torch.tensor([1.0, -1.0, 0.5, 2.0]), torch.tensor([-3.0, 0.0, 3.0])
    expected = torch.tensor([[1.0, v, 0.5, 2.0] for v in values])
    assert torch.equal(
        latent_space.traverse(VAE, start, 1, values), torch.sigmoid(VAE.decode(expected)).detach()
    )
    assert torch.equal(start, torch.tensor([1.0, -1.0, 0.5, 2.0]))


def test_an_inactive_unit_changes_nothing_and_an_active_one_does():
    start = VAE.code(IMAGES[:1])[0].detach()
    still, moving = (
        latent_space.traverse(VAE, start, unit, torch.linspace(-3, 3, 13)) for unit in (DEAD, LIVE)
    )
    assert torch.equal(still, still[:1].expand_as(still))
    assert (moving[0] - moving[-1]).abs().max() > 0.1


def test_an_interpolation_starts_and_ends_at_the_two_images_and_is_straight_in_each_space():
    pair, t = IMAGES[:2], torch.tensor([0.0, 0.25, 1.0])
    codes, pixels = latent_space.interpolate(VAE, pair, t)
    assert_near(codes[[0, 2]], VAE.reconstruct(pair), TERMS, scale=1)
    assert torch.equal(pixels[[0, 2]], pair)
    a, b = VAE.encode(pair)[0]
    assert_near(codes[1], torch.sigmoid(VAE.decode(0.75 * a + 0.25 * b)), TERMS, scale=1)
    assert_near(pixels[1], 0.75 * pair[0] + 0.25 * pair[1], terms=2)


def test_each_model_reconstructs_the_same_noisy_image_and_is_charged_for_the_clean_one():
    digits, nats = latent_space.denoise_with_each(MODELS, IMAGES[0], noise=0.4)
    assert torch.equal(digits[0], IMAGES[0])
    share = (digits[1] != IMAGES[0]).double().mean().item()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 784) ** 0.5
    for row, cost, model in zip(digits[2:], nats, MODELS.values()):
        assert_near(row, model.reconstruct(digits[1:2])[0], TERMS, scale=1)
        logits = model.decode(model.code(digits[1:2]))
        assert_near(cost, -objectives.bernoulli_log_likelihood(logits, IMAGES[:1])[0], TERMS)


def test_without_noise_nothing_is_corrupted_and_the_noise_is_the_same_each_time():
    assert torch.equal(
        latent_space.denoise_with_each(MODELS, IMAGES[1], noise=0.0)[0][1], IMAGES[1]
    )
    once, again = (
        latent_space.denoise_with_each(MODELS, IMAGES[1], noise=0.5)[0][1] for _ in range(2)
    )
    assert torch.equal(once, again) and not torch.equal(once, IMAGES[1])
