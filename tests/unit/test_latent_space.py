"""Walks through a latent space: traversals and interpolations."""

from lecture_utils import latent_space, models

import torch

from tests.tolerances import assert_near

IMAGES = torch.rand(40, 784, generator=torch.Generator().manual_seed(0)).round()
TERMS = 784 + 400 + 4 + 400 + 784  # what the model's layers, and a sum over pixels, add up
DEAD, LIVE = 2, 1  # units of the VAE below


def wide_vae():
    """A VAE of 4 units: unit 2 is dead, as in posterior collapse (N(0, 1) for every image, and the
    decoder ignores it).
    """
    model = models.VAE(latent_dim=4, seed=4)
    with torch.no_grad():
        for layer in (model.to_mu, model.to_logvar):
            layer.weight[DEAD], layer.bias[DEAD] = 0, 0
        model.to_mu.weight *= 20  # the others do move with the image
        model.decoder[0].weight[:, DEAD] = 0
        model.decoder[0].weight *= 10
    return model


VAE = wide_vae()


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
    assert_near(still, still[:1].expand_as(still), TERMS, scale=1)
    assert (moving[0] - moving[-1]).abs().max() > 0.1


def test_an_interpolation_starts_and_ends_at_the_two_images_and_is_straight_in_each_space():
    pair, t = IMAGES[:2], torch.tensor([0.0, 0.25, 1.0])
    codes, pixels = latent_space.interpolate(VAE, pair, t)
    assert_near(codes[[0, 2]], VAE.reconstruct(pair), TERMS, scale=1)
    assert torch.equal(pixels[[0, 2]], pair)
    a, b = VAE.encode(pair)[0]
    assert_near(codes[1], torch.sigmoid(VAE.decode(0.75 * a + 0.25 * b)), TERMS, scale=1)
    assert_near(pixels[1], 0.75 * pair[0] + 0.25 * pair[1], terms=2)
