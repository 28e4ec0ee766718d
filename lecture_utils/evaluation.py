"""Numbers by which the models are judged: test log-likelihood, active units, latent metrics, Fréchet distance."""

from typing import NamedTuple

import torch

from lecture_utils import objectives
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
    codes = _in_chunks(lambda batch, _: model.code(batch), model, x, 0)
    return codes.var(dim=0) > threshold


def _in_chunks(function, model, x, seed, chunk=CHUNK):
    """Apply function(batch, generator) to x in chunks on the model's device, and join the results on the CPU."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    return torch.cat([function(batch.to(device), generator).cpu() for batch in x.split(chunk)])
