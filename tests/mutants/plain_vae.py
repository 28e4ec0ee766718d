"""The plain VAE of notebook 06, written out in one file: `mutants.py` injures it, one line at a
time."""

import torch
import torch.nn.functional as F
from torch import nn


class VAE(nn.Module):
    def __init__(self, n_pixels=784, hidden=100, latent_dim=10):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(n_pixels, hidden), nn.ReLU())
        self.to_mu = nn.Linear(hidden, latent_dim)
        self.to_logvar = nn.Linear(hidden, latent_dim)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_pixels)
        )

    def encode(self, x):
        hidden = self.encoder(x)
        mu = self.to_mu(hidden)
        logvar = self.to_logvar(hidden)
        return mu, logvar

    def reparameterize(self, mu, logvar):
        epsilon = torch.randn_like(mu)
        sigma = torch.exp(logvar / 2)
        return mu + sigma * epsilon

    def decode(self, z):
        return self.decoder(z)

    def code(self, x):
        return self.encode(x)[0]

    def picture(self, z):
        return torch.sigmoid(self.decode(z))


def kl(mu, logvar):
    terms = 1 + logvar - mu.square() - logvar.exp()
    return -0.5 * terms.sum(-1)


def error(logits, x):
    pixels = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return pixels.sum(-1)


def loss(model, x):
    mu, logvar = model.encode(x)
    z = model.reparameterize(mu, logvar)
    logits = model.decode(z)
    return (error(logits, x) + kl(mu, logvar)).mean()


def report(model, images, batch_size=100):
    model.eval()
    with torch.no_grad():
        total = 0.0
        for x in images.split(batch_size):
            total += loss(model, x).item() * len(x)
    return -total / len(images)
