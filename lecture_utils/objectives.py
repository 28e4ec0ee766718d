"""The formulas of Lecture 11, one function each, on tensors only.

Every value is per example, in nats, summed over pixels or latent dimensions: shape [B]. Averages
are taken once, at the end, by the caller. Throughout, ``logvar`` is the log-variance log sigma^2,
so sigma = exp(logvar / 2). What needs a model, such as the ELBO, is in `bounds`.
"""

import math

import torch
import torch.nn.functional as F


def reparameterize(
    mu: torch.Tensor, logvar: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw z = mu + sigma * epsilon, epsilon ~ N(0, I), so that gradients reach mu and logvar.

    All shapes are equal, [..., J]. Slide "The Reparameterization Trick". (The slide "The Final
    Objective Function" has sigma^2 for sigma, a misprint.)
    Raises ValueError if the shapes of mu and logvar differ.
    """
    _require_same_shape(mu, logvar)
    epsilon = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
    return mu + torch.exp(logvar / 2) * epsilon


def gaussian_kl(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return KL( N(mu, diag(exp(logvar))) || N(0, I) ) >= 0 in nats, [..., J] -> [...].

    Slide "The Second Term": the KL is -L2 = -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2).
    Raises ValueError if the shapes of mu and logvar differ.
    """
    _require_same_shape(mu, logvar)
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(dim=-1)


def bernoulli_log_likelihood(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return log p(x|z) = sum_d [x_d log p_d + (1 - x_d) log(1 - p_d)] in nats, p =
    sigmoid(logits).

    `logits` is [..., D] and `x` float [B, D] in [0, 1], where `logits` may have further leading
    dimensions (samples of z); the result has the shape of `logits` without D. Slides "The VAE
    Objective function" and "Tutorial 7". For grey pixels (0 < x < 1) this is minus the
    cross-entropy, not a log-likelihood: see notebook 03.
    Raises ValueError for shapes that do not fit, for pixels that are not floats and, on the CPU,
    for pixels outside [0, 1], NaN included.
    """
    if logits.shape[-x.dim() :] != x.shape:
        raise ValueError(
            f"logits of shape {list(logits.shape)} do not fit pixels of shape {list(x.shape)}: "
            "both must end in [B, D]. Flatten images with x.flatten(1)."
        )
    _require_pixels(x)
    cross_entropy = F.binary_cross_entropy_with_logits(
        logits, x.expand_as(logits), reduction="none"
    )
    return -cross_entropy.sum(dim=-1)


def standard_normal_log_density(z: torch.Tensor) -> torch.Tensor:
    """Return log p(z) of the prior N(0, I) in nats, [..., J] -> [...]."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=-1)


def gaussian_log_density(z: torch.Tensor, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return log q(z|x) = log N(z; mu, diag(exp(logvar))) in nats, [..., J] -> [...]."""
    squared = (z - mu).square() / logvar.exp()
    return -0.5 * (logvar + squared + math.log(2 * math.pi)).sum(dim=-1)


def _require_same_shape(mu, logvar):
    if mu.shape != logvar.shape:
        raise ValueError(
            f"mu has shape {list(mu.shape)} and logvar {list(logvar.shape)}: "
            "they must be equal, [..., J]."
        )


def _require_pixels(x):
    """Raise unless the pixels are floats in [0, 1]; the comparison also catches NaN."""
    if not x.is_floating_point():
        raise ValueError(
            f"Pixels are {x.dtype}, but must be floats in [0, 1]: "
            "use binarize(images) or to_grey(images)."
        )
    if x.device.type != "cpu":
        return  # to look at a value would make the program wait for the GPU, in every step
    low, high = torch.aminmax(x)
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"Pixels must lie in [0, 1], but range from {low.item():g} to {high.item():g} "
            "(nan: there is a NaN): use binarize(images) or to_grey(images)."
        )
