"""Numbers by which the models are judged: test log-likelihood, active units, codes.

All walk over a data set in batches (`_batches`), on the model's device, with one seeded generator.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lecture_utils import bounds
from lecture_utils.objectives import reparameterize

import torch


class Estimate(NamedTuple):
    """A mean over test images with its standard error, both in nats."""

    mean: float
    standard_error: float


def mean_and_error(values: torch.Tensor) -> Estimate:
    """Return the mean of values [N] with its standard error s / sqrt(N)."""
    values = values.cpu().double()
    return Estimate(values.mean().item(), (values.std() / len(values) ** 0.5).item())


class MeanLossTerms(NamedTuple):
    """Both terms of the loss averaged over a data set, two floats in nats per image."""

    reconstruction: float
    kl: float


@torch.no_grad()
def mean_loss_terms(model, x: torch.Tensor, seed: int = 0) -> MeanLossTerms:
    """Return both terms of the loss averaged over x [N, D]; one z per image, fixed by `seed`."""
    parts = [
        torch.stack(model.loss_terms(batch, generator), dim=1).cpu()
        for batch, generator in _batches(model, x, seed)
    ]
    return MeanLossTerms(*torch.cat(parts).double().mean(dim=0).tolist())


@torch.no_grad()
def mean_elbo(model, x: torch.Tensor, n_samples: int = 1, seed: int = 0) -> Estimate:
    """Return the mean ELBO over x [N, D] in nats, with its standard error over images.

    Raises TypeError for a model without q(z|x).
    """
    parts = [
        bounds.elbo(model, batch, n_samples, generator).cpu()
        for batch, generator in _batches(model, x, seed)
    ]
    return mean_and_error(torch.cat(parts))


@torch.no_grad()
def mean_log_likelihood(model, x: torch.Tensor, n_samples: int = 100, seed: int = 0) -> Estimate:
    """Return the mean importance-weighted estimate of log p(x) over x [N, D] in nats.

    It is a lower bound in expectation; Burda et al. (2015) use n_samples = 5000. The standard error
    is over images. Raises TypeError for a model without q(z|x).
    """
    parts = [
        bounds.importance_weighted_bound(model, batch, n_samples, generator).cpu()
        for batch, generator in _batches(model, x, seed, size=100)
    ]
    return mean_and_error(torch.cat(parts))


@torch.no_grad()
def active_units(model, x: torch.Tensor, threshold: float = 0.01) -> torch.Tensor:
    """Return which latent dimensions are used, bool [J]: Var_x(E[z_j|x]) > threshold (Burda
    2015)."""
    return codes_of(model, x).var(dim=0) > threshold


@torch.no_grad()
def codes_of(model, x: torch.Tensor) -> torch.Tensor:
    """Return the code of each image, [N, D] -> [N, J] on the CPU: z, in the VAE the mean of
    q(z|x)."""
    return torch.cat([model.code(batch).cpu() for batch, _ in _batches(model, x, seed=0)])


@torch.no_grad()
def posterior_samples(model, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Return one z ~ q(z|x) per image, [N, D] -> [N, J] on the CPU: the aggregate posterior q(z).

    `seed` fixes epsilon. What is drawn for these z later, such as a diffusion's noise, needs
    another seed: with this one it is the same epsilon, number for number.
    Raises TypeError for a model without q(z|x).
    """
    parts = [
        reparameterize(*bounds.posterior(model, batch), generator).cpu()
        for batch, generator in _batches(model, x, seed)
    ]
    return torch.cat(parts)


def _batches(
    model, x: torch.Tensor, seed: int, size: int = 1000
) -> Iterator[tuple[torch.Tensor, torch.Generator]]:
    """Yield x [N, D] in batches on the model's device, each with the one generator of all."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    for batch in x.split(size):
        yield batch.to(device), generator
