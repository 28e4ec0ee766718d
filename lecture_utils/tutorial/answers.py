"""The package's answers to Tutorial 7, for students who are stuck and for the grader: see
`lecture_utils.tutorial.take`."""

import copy
import math

from lecture_utils.data import binarize, load_mnist
from lecture_utils.objectives import bernoulli_log_likelihood, gaussian_kl, reparameterize

import torch
from torch import nn


def elbo(model, x, n_samples=1, generator=None):
    """Return the ELBO of each example in nats, estimated with n_samples draws of z: [B, D] ->
    [B]."""
    mu, logvar = model.encode(x)
    shape = (n_samples, *mu.shape)
    z = reparameterize(mu.expand(shape), logvar.expand(shape), generator)
    return bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar)


class VAE(nn.Module):
    """Encoder x -> (mu, logvar) and decoder z -> logits, one hidden layer each."""

    def __init__(self, latent_dim=20, hidden=400, n_pixels=784):
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(
            nn.Linear(n_pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_pixels)
        )

    def encode(self, x):
        """Return mu and logvar of q(z|x): [B, D] -> [B, J], [B, J]."""
        return self.encoder(x).chunk(2, dim=-1)

    def decode(self, z):
        """Return the logits of the pixels: [..., J] -> [..., D]."""
        return self.decoder(z)


def training_step(model, optimizer, x, loss):
    """Update the model once on the batch x; return the mean of loss(model, x), taken before the
    update, as a float."""
    mean_loss = loss(model, x).mean()
    optimizer.zero_grad()
    mean_loss.backward()
    optimizer.step()
    return mean_loss.item()


def choose_training():
    """Return the number of epochs and the peak learning rate."""
    return 3, 1.2e-2


def reconstruct(model, x):
    """Return pixel probabilities decoded from the mean code of x: [B, D] -> [B, D]."""
    return torch.sigmoid(model.decode(model.encode(x)[0]))


def generate(model, n, generator=None):
    """Return pixel probabilities of n new images, decoded from z ~ p(z): [n, D]."""
    return torch.sigmoid(model.decode(torch.randn(n, model.latent_dim, generator=generator)))


def interpolate(model, x_a, x_b, steps):
    """Return pixel probabilities along the straight line between two mean codes: [D], [D] ->
    [steps, D]."""
    mu, _ = model.encode(torch.stack([x_a, x_b]))
    return torch.sigmoid(
        model.decode(torch.lerp(mu[0], mu[1], torch.linspace(0, 1, steps).unsqueeze(1)))
    )


def corrupt(x, noise, generator=None):
    """Return a copy of binary x in which each pixel is replaced, with probability `noise`, by a
    fair coin flip."""
    u = torch.rand(x.shape, generator=generator)
    return torch.where(u < noise, (u < noise / 2).float(), x)


def autoencoder_loss(model, x, generator=None):
    """Return the loss of the AE per example in nats: [B, D] -> [B]."""
    return -bernoulli_log_likelihood(model.decode(model.encode(x)[0]), x)


def denoising_loss(model, x, generator=None, noise=0.3):
    """Return the loss of the DAE per example in nats: [B, D] -> [B]."""
    return -bernoulli_log_likelihood(model.decode(model.encode(corrupt(x, noise, generator))[0]), x)


def distance_to_prior(codes):
    """Return KL( N(mean, diag(variance)) || N(0, I) ) in nats, of the moments of codes [N, J], as
    a float."""
    return gaussian_kl(codes.mean(dim=0), codes.var(dim=0).log()).item()


def class_separation(codes, labels):
    """Return the share of the variance of codes [N, J] that lies between the means of the classes,
    as a float in [0, 1]."""
    total = (codes - codes.mean(dim=0)).square().sum()
    within = sum(
        (c - c.mean(dim=0)).square().sum() for c in (codes[labels == k] for k in labels.unique())
    )
    return (1 - within / total).item()


NAMES = {
    function.__name__: function
    for function in (
        reparameterize,
        gaussian_kl,
        bernoulli_log_likelihood,
        elbo,
        VAE,
        training_step,
        choose_training,
        reconstruct,
        generate,
        interpolate,
        corrupt,
        autoencoder_loss,
        denoising_loss,
        distance_to_prior,
        class_separation,
    )
}


def train(epochs: int, learning_rate: float, seed: int = 0, batch_size: int = 256) -> nn.Module:
    """Train the package's VAE on MNIST as the loop of the tutorial does: at most 5 epochs, one
    cycle of the learning rate."""
    mnist, generator = load_mnist(), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VAE()
    n_steps = epochs * math.ceil(len(mnist.train_images) / batch_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=learning_rate, total_steps=n_steps
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(mnist.train_images), generator=generator).split(batch_size):
            x = binarize(mnist.train_images[rows], generator)
            value = training_step(
                model, optimizer, x, lambda model, x: -elbo(model, x, 1, generator)
            )
            schedule.step()
        if not math.isfinite(value):
            break
    return model


def mean_test_elbo(model, n_samples: int = 1) -> float:
    """Return the mean ELBO in nats on the binary draw of the 10,000 test images that all notebooks
    share."""
    x = binarize(load_mnist().test_images, torch.Generator().manual_seed(11))
    if any(each.device.type != "cpu" for each in model.parameters()):
        model = copy.deepcopy(model).cpu()
    with torch.no_grad():
        return elbo(model, x, n_samples, torch.Generator().manual_seed(0)).mean().item()
