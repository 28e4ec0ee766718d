"""The formulas of Lecture 11, one function each.

Every value is per example, in nats, summed over pixels or latent dimensions: shape [B]. Averages are taken once, at
the end, by the caller. Throughout, ``logvar`` is the log-variance log sigma^2, so sigma = exp(logvar / 2).
"""

import math

import torch
import torch.nn.functional as F


def reparameterize(mu: torch.Tensor, logvar: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw z = mu + sigma * epsilon, epsilon ~ N(0, I), so that gradients reach mu and logvar.

    All shapes are equal, [..., J]. Slide "The Reparameterization Trick". (The slide "The Final Objective Function"
    has sigma^2 for sigma, a misprint.) Raises ValueError if the shapes of mu and logvar differ.
    """
    _require_same_shape(mu, logvar)
    epsilon = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
    return mu + torch.exp(logvar / 2) * epsilon


def gaussian_kl(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return KL( N(mu, diag(exp(logvar))) || N(0, I) ) >= 0 in nats, [..., J] -> [...], summed over the J dimensions.

    Slide "The Second Term": the KL is -L2 = -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2).
    Raises ValueError if the shapes of mu and logvar differ.
    """
    _require_same_shape(mu, logvar)
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(dim=-1)


def bernoulli_log_likelihood(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return log p(x|z) = sum_d [x_d log p_d + (1 - x_d) log(1 - p_d)] in nats, with p = sigmoid(logits).

    `logits` is [..., D] and `x` float [B, D] in [0, 1], where `logits` may have further leading dimensions (samples
    of z); the result has the shape of `logits` without D. Slides "The VAE Objective function" and "Tutorial 7".
    For grey pixels (0 < x < 1) this is minus the cross-entropy, not a log-likelihood: see notebook 03.
    Raises ValueError for shapes that do not fit and for pixels outside [0, 1], NaN included.
    """
    if logits.shape[-x.dim():] != x.shape:
        raise ValueError(f"logits of shape {list(logits.shape)} do not fit pixels of shape {list(x.shape)}: "
                         "both must end in [B, D]. Flatten images with x.flatten(1).")
    _require_pixels(x)
    return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(dim=-1)


def standard_normal_log_density(z: torch.Tensor) -> torch.Tensor:
    """Return log p(z) of the prior N(0, I) in nats, [..., J] -> [...]."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=-1)


def gaussian_log_density(z: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return log q(z|x) = log N(z; mu, diag(exp(logvar))) in nats, [..., J] -> [...]."""
    return -0.5 * (logvar + (z - mu).square() / logvar.exp() + math.log(2 * math.pi)).sum(dim=-1)


def negative_elbo(model, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return the training loss -L(x) = reconstruction + KL in nats, [B, D] -> [B], with one sample of z.

    For AE and DAE, which have no KL, it is the reconstruction error alone.
    """
    terms = model.loss_terms(x, generator)
    return terms.reconstruction + terms.kl


def elbo(model, x: torch.Tensor, n_samples: int = 1, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return L(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z)) in nats, [B, D] -> [B].

    The expectation is the mean over `n_samples` draws of z, the KL is exact. Slide "The Final Objective Function".
    """
    mu, logvar = model.encode(x)
    z = _samples(mu, logvar, n_samples, generator)
    return bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar)


def log_importance_weights(model, x: torch.Tensor, n_samples: int,
                           generator: torch.Generator | None = None) -> torch.Tensor:
    """Return log w = log p(x|z) + log p(z) - log q(z|x) in nats for draws z ~ q(z|x): [B, D] -> [n_samples, B].

    Their mean over samples estimates the ELBO; the log of the mean of w is the importance-weighted bound.
    """
    mu, logvar = model.encode(x)
    z = _samples(mu, logvar, n_samples, generator)
    return (bernoulli_log_likelihood(model.decode(z), x) + standard_normal_log_density(z)
            - gaussian_log_density(z, mu, logvar))


def importance_weighted_bound(model, x: torch.Tensor, n_samples: int, chunk: int = 50,
                              generator: torch.Generator | None = None) -> torch.Tensor:
    """Return log( 1/k sum_l w_l ), k = n_samples, in nats, [B, D] -> [B] (Burda et al. 2015, eq. 8).

    In expectation it lies between the ELBO (k = 1) and log p(x), and grows with k. `chunk` samples are decoded at a
    time, so without gradients the memory does not grow with k.
    """
    if n_samples < 1 or chunk < 1:
        raise ValueError(f"n_samples and chunk must be at least 1, got {n_samples} and {chunk}.")
    total = None
    for start in range(0, n_samples, chunk):
        log_w = log_importance_weights(model, x, min(chunk, n_samples - start), generator)
        part = torch.logsumexp(log_w, dim=0)
        total = part if total is None else torch.logaddexp(total, part)
    return total - math.log(n_samples)


def _samples(mu, logvar, n_samples, generator):
    """Draw z [n_samples, B, J] from q(z|x) given mu and logvar [B, J]."""
    if n_samples < 1:
        raise ValueError(f"n_samples must be at least 1, got {n_samples}.")
    shape = (n_samples, *mu.shape)
    return reparameterize(mu.expand(shape), logvar.expand(shape), generator)


def _require_same_shape(mu, logvar):
    if mu.shape != logvar.shape:
        raise ValueError(f"mu has shape {list(mu.shape)} and logvar {list(logvar.shape)}: they must be equal, [..., J].")


def _require_pixels(x):
    """Raise unless the pixels are floats in [0, 1]; the comparison also catches NaN."""
    if not x.is_floating_point():
        raise ValueError(f"Pixels are {x.dtype}, but must be floats in [0, 1]: use binarize(images) or to_grey(images).")
    low, high = torch.aminmax(x)
    if not (low >= 0 and high <= 1):
        raise ValueError(f"Pixels must lie in [0, 1], but range from {low.item():g} to {high.item():g} "
                         "(nan: there is a NaN): use binarize(images) or to_grey(images).")
