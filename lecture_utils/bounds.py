"""What is computed with a model: the ELBO, the training loss, the importance-weighted bound.

Of the model the bounds use ``encode(x)`` and ``log_likelihood(z, x)``, and the training loss uses
``loss_terms(x)``, which is made of these two: a subclass with another likelihood is trained and
evaluated by the same formula.
Every value is per example, in nats: shape [B].
"""

import math

from lecture_utils.objectives import (
    gaussian_kl,
    gaussian_log_density,
    reparameterize,
    standard_normal_log_density,
)

import torch


def negative_elbo(model, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return the training loss -L(x) = reconstruction + KL in nats, [B, D] -> [B], with one draw of
    z.

    For AE and DAE, which have no KL, it is the reconstruction error alone.
    """
    terms = model.loss_terms(x, generator)
    return terms.reconstruction + terms.kl


def elbo(
    model, x: torch.Tensor, n_samples: int = 1, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return L(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)) in nats, [B, D] -> [B].

    The expectation is the mean over `n_samples` draws of z, the KL is exact. Slide "The Final
    Objective Function". Raises TypeError for a model without q(z|x), ValueError for n_samples below
    1.
    """
    mu, logvar = posterior(model, x)
    z = _samples(mu, logvar, n_samples, generator)
    return model.log_likelihood(z, x).mean(dim=0) - gaussian_kl(mu, logvar)


def log_importance_weights(
    model, x: torch.Tensor, n_samples: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return log w = log p(x|z) + log p(z) - log q(z|x) in nats for draws z ~ q(z|x), [n_samples,
    B].

    `x` is [B, D]. Their mean over samples estimates the ELBO; the log of the mean of w is the
    importance-weighted bound. Raises TypeError for a model without q(z|x), ValueError for n_samples
    below 1.
    """
    mu, logvar = posterior(model, x)
    z = _samples(mu, logvar, n_samples, generator)
    log_joint = model.log_likelihood(z, x) + standard_normal_log_density(z)
    return log_joint - gaussian_log_density(z, mu, logvar)


def importance_weighted_bound(
    model,
    x: torch.Tensor,
    n_samples: int,
    generator: torch.Generator | None = None,
    chunk: int = 50,
) -> torch.Tensor:
    """Return log( 1/k sum_l w_l ), k = n_samples, in nats, [B, D] -> [B] (Burda et al. 2015, eq.
    8).

    In expectation it lies between the ELBO (k = 1) and log p(x), and grows with k. `chunk` samples
    are decoded at a time, so without gradients the memory does not grow with k.
    Raises TypeError for a model without q(z|x), ValueError for n_samples or chunk below 1.
    """
    if n_samples < 1 or chunk < 1:
        raise ValueError(f"n_samples and chunk must be at least 1, got {n_samples} and {chunk}.")
    parts = []
    for start in range(0, n_samples, chunk):
        log_w = log_importance_weights(model, x, min(chunk, n_samples - start), generator)
        parts.append(torch.logsumexp(log_w, dim=0))
    return torch.logsumexp(torch.stack(parts), dim=0) - math.log(n_samples)


def posterior(model, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mu and logvar of q(z|x), [B, D] -> two times [B, J].

    Raises TypeError for a model whose encoder gives a code instead of a distribution.
    """
    encoded = model.encode(x)
    if isinstance(encoded, torch.Tensor):
        raise TypeError(
            f"{type(model).__name__} has no q(z|x), hence no bound on log p(x): its encode(x) is "
            "one code. Use a VAE, or compare reconstruction errors (evaluation.mean_loss_terms)."
        )
    return encoded


def _samples(mu, logvar, n_samples, generator):
    """Draw z [n_samples, B, J] from q(z|x) given mu and logvar [B, J]."""
    if n_samples < 1:
        raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
    shape = (n_samples, *mu.shape)
    return reparameterize(mu.expand(shape), logvar.expand(shape), generator)
