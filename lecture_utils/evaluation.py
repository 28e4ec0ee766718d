"""Numbers by which the models are judged: test log-likelihood, active units, codes.

All walk over a data set in parts (`_of_model`), on the model's device, with one seeded generator.
"""

from collections.abc import Callable
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
    terms = _of_model(
        lambda part, generator: torch.stack(model.loss_terms(part, generator), dim=1),
        model,
        x,
        seed,
    )
    return MeanLossTerms(*terms.double().mean(dim=0).tolist())


@torch.no_grad()
def mean_elbo(model, x: torch.Tensor, n_samples: int = 1, seed: int = 0) -> Estimate:
    """Return the mean ELBO over x [N, D] in nats, with its standard error over images.

    Raises TypeError for a model without q(z|x).
    """

    def elbo(part, generator):
        return bounds.elbo(model, part, n_samples, generator)

    return mean_and_error(_of_model(elbo, model, x, seed))


@torch.no_grad()
def mean_log_likelihood(model, x: torch.Tensor, n_samples: int = 100, seed: int = 0) -> Estimate:
    """Return the mean importance-weighted estimate of log p(x) over x [N, D] in nats.

    It is a lower bound in expectation; Burda et al. (2015) use n_samples = 5000. The standard error
    is over images. Raises TypeError for a model without q(z|x).
    """

    def bound(part, generator):
        return bounds.importance_weighted_bound(model, part, n_samples, generator)

    return mean_and_error(_of_model(bound, model, x, seed, size=100))


@torch.no_grad()
def active_units(model, x: torch.Tensor, threshold: float = 0.01) -> torch.Tensor:
    """Return which latent dimensions are used, bool [J]: Var_x(E[z_j|x]) > threshold (Burda
    2015)."""
    return codes_of(model, x).var(dim=0) > threshold


@torch.no_grad()
def codes_of(model, x: torch.Tensor) -> torch.Tensor:
    """Return the code of each image, [N, D] -> [N, J] on the CPU: z, in the VAE the mean of
    q(z|x)."""
    return _of_model(lambda part, generator: model.code(part), model, x, seed=0)


@torch.no_grad()
def posterior_samples(model, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Return one z ~ q(z|x) per image, [N, D] -> [N, J] on the CPU: the aggregate posterior q(z).

    `seed` fixes epsilon. What is drawn for these z later, such as a diffusion's noise, needs
    another seed: with this one it is the same epsilon, number for number.
    Raises TypeError for a model without q(z|x).
    """

    def draw(part, generator):
        return reparameterize(*bounds.posterior(model, part), generator)

    return _of_model(draw, model, x, seed)


def in_parts(
    function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, size: int = 1000
) -> torch.Tensor:
    """Return function(x), x [N, ...] -> [N, ...], computed for `size` rows at a time.

    That spares memory, if the results are written into a tensor that is there before: a list of
    them would lie between the large blocks of the parts, which then are not used again.
    """
    first = function(x[:size])
    found = first.new_empty(len(x), *first.shape[1:])
    found[:size] = first
    for start in range(size, len(x), size):
        found[start : start + size] = function(x[start : start + size])
    return found


def _of_model(function, model, x, seed, size=1000):
    """function(part, generator) for x [N, D] in parts on the model's device, [N, ...] on the CPU;
    all parts share one generator."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    return in_parts(lambda part: function(part.to(device), generator).cpu(), x, size)
