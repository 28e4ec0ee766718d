"""Untrained models with the pixels of MNIST, made-up images, labels and codes."""

from lecture_utils import models

import torch

MODELS = {
    "AE": models.Autoencoder(latent_dim=2, seed=1),
    "DAE": models.DenoisingAutoencoder(latent_dim=2, seed=2),
    "VAE": models.VAE(latent_dim=2, seed=3),
}


IMAGES = torch.rand(40, 784, generator=torch.Generator().manual_seed(0)).round()


LABELS = torch.arange(40) % 10


CODES = {
    name: scale * torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    for name, scale in (("AE", 2.0), ("DAE", 4.0), ("VAE", 1.0))
}


TERMS = 784 + 400 + 4 + 400 + 784  # what their layers, and a sum over pixels, add up
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
