"""Numbers by which the models are judged: test log-likelihood, active units, Fréchet distance."""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from lecture_utils import data, objectives, training
from lecture_utils.models import LossTerms

CHUNK = 1000  # images evaluated at a time


class Estimate(NamedTuple):
    """A mean over test images with its standard error, both in nats."""

    mean: float
    standard_error: float


def mean_and_error(values: torch.Tensor) -> Estimate:
    """Return the mean of values [N] with its standard error s / sqrt(N)."""
    values = values.double()
    return Estimate(values.mean().item(), (values.std() / len(values) ** 0.5).item())


@torch.no_grad()
def mean_loss_terms(model, x: torch.Tensor, seed: int = 0) -> LossTerms:
    """Return both terms of the loss averaged over x [N, D], as two floats in nats; one z per image, fixed by `seed`."""
    parts = _in_chunks(lambda batch, generator: torch.stack(model.loss_terms(batch, generator), 1), model, x, seed)
    return LossTerms(*parts.double().mean(dim=0).tolist())


@torch.no_grad()
def elbo_on(model, x: torch.Tensor, n_samples: int = 1, seed: int = 0) -> Estimate:
    """Return the mean ELBO over x [N, D] in nats, with its standard error over images."""
    return mean_and_error(_in_chunks(lambda batch, g: objectives.elbo(model, batch, n_samples, g), model, x, seed))


@torch.no_grad()
def log_likelihood_on(model, x: torch.Tensor, n_samples: int = 100, seed: int = 0) -> Estimate:
    """Return the mean importance-weighted estimate of log p(x) over x [N, D] in nats, with its standard error.

    It is a lower bound in expectation; Burda et al. (2015) use n_samples = 5000.
    """
    return mean_and_error(_in_chunks(
        lambda batch, g: objectives.importance_weighted_bound(model, batch, n_samples, generator=g), model, x, seed, 200))


@torch.no_grad()
def active_units(model, x: torch.Tensor, threshold: float = 0.01) -> torch.Tensor:
    """Return for each latent dimension whether it is used, bool [J]: Var_x(E[z_j|x]) > threshold (Burda et al. 2015)."""
    return codes_of(model, x).var(dim=0) > threshold


@torch.no_grad()
def codes_of(model, x: torch.Tensor) -> torch.Tensor:
    """Return the code of each image, [N, D] -> [N, J] on the CPU: z in AE and DAE, the mean of q(z|x) in the VAE."""
    return _in_chunks(lambda batch, _: model.code(batch), model, x, 0)


@torch.no_grad()
def posterior_samples(model, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Return one z ~ q(z|x) per image of a VAE, [N, D] -> [N, J] on the CPU: draws from the aggregate posterior q(z)."""
    return _in_chunks(lambda batch, g: objectives.reparameterize(*model.encode(batch), g), model, x, seed)


def digit_features(images: torch.Tensor) -> torch.Tensor:
    """Return what a small digit classifier sees in the images, float32 [N, 64] on the CPU, from [N, 784] grey pixels.

    `images` is uint8 0..255 or float in [0, 1] (pixel probabilities count as grey values). The features are the last
    hidden layer of a convolutional network trained on grey MNIST, once: seconds, then from the cache.
    Raises ValueError for other shapes and pixels.
    """
    if images.dim() != 2 or images.shape[1] != 784:
        raise ValueError(f"images have shape {list(images.shape)}, expected [N, 784]. Use images.flatten(1).")
    if images.dtype != torch.uint8 and not (images.is_floating_point() and images.min() >= 0 and images.max() <= 1):
        raise ValueError("Pixels must be uint8, or float in [0, 1]. Apply torch.sigmoid to a decoder's logits.")
    classifier = digit_classifier()
    with torch.no_grad():
        return _in_chunks(lambda batch, _: classifier[:-1](data.to_grey(batch)), classifier, images, 0)


@functools.cache
def digit_classifier() -> nn.Sequential:
    """Return the convolutional network [B, 784] grey -> [B, 10] logits whose last hidden layer is `digit_features`."""
    mnist = data.load_mnist()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU(),   # [B, 16, 14, 14]
            nn.Conv2d(16, 32, 5, stride=2, padding=2), nn.ReLU(),  # [B, 32, 7, 7]
            nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10))

    def train():
        _fit_classifier(classifier, mnist.train_images, mnist.train_labels)
        return classifier.state_dict()

    weights = training.cached("digit-classifier", [mnist.train_images, mnist.train_labels], train)
    classifier.load_state_dict(weights)
    return classifier.to(training.best_device()).eval()


def _fit_classifier(classifier, images, labels, epochs=2, batch_size=256, learning_rate=5e-3):
    """Two epochs of Adam on the cross-entropy, one-cycle learning rate."""
    device = training.best_device()
    classifier.to(device)
    images, labels = images.to(device), labels.to(device)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=learning_rate, fused=True)
    steps = epochs * -(-len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=learning_rate, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).to(device).split(batch_size):
            loss = nn.functional.cross_entropy(classifier(data.to_grey(images[rows])), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def frechet_distance(features_a: torch.Tensor, features_b: torch.Tensor) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to two sets of features, [N, F] and [M, F].

    `|mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)` with the covariances A and B (Dowson and Landau 1982;
    Heusel et al. 2017 on Inception features is the FID). It is 0 if means and covariances agree, and biased upwards by the
    sampling of N and M: compare sets of the same size. Raises ValueError for unequal F and fewer than 2 rows.
    """
    if features_a.dim() != 2 or features_b.dim() != 2 or features_a.shape[1] != features_b.shape[1]:
        raise ValueError(f"Features have shapes {list(features_a.shape)} and {list(features_b.shape)}, expected [N, F], [M, F].")
    if min(len(features_a), len(features_b)) < 2:
        raise ValueError("A covariance needs at least 2 rows of features.")
    a, b = features_a.double().numpy(), features_b.double().numpy()
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    values, vectors = np.linalg.eigh(cov_a)  # symmetric: no complex square roots, and singular matrices do no harm
    root_a = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root_a @ cov_b @ root_a).clip(min=0)).sum()
    difference = a.mean(axis=0) - b.mean(axis=0)
    return float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def _in_chunks(function, model, x, seed, chunk=CHUNK):
    """Apply function(batch, generator) to x in chunks on the model's device, and join the results on the CPU."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    return torch.cat([function(batch.to(device), generator).cpu() for batch in x.split(chunk)])
