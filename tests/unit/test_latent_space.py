"""Walks through a latent space: traversals and interpolations."""

from lecture_utils import latent_space

import torch

from tests.mnist_sized import DEAD, IMAGES, LIVE, TERMS, VAE
from tests.tolerances import assert_near


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
