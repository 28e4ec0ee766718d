"""The formulas of the toy problems: notebook 04's q(z|x) and notebook 05's KL.

`playground` draws them in the browser; these are what it must agree with.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

# --- Notebook 04: q(z|x) = N(x^2 + 2, x^4), f(z) = z^2 ---


class ToyGradients(NamedTuple):
    """One-sample estimates of d/dx E[z^2] for given noise, each [L]; `score_function` is NaN where
    x = 0."""

    z: torch.Tensor
    reparameterized: torch.Tensor
    score_function: torch.Tensor


def toy_gradients(x: float, epsilon: torch.Tensor) -> ToyGradients:
    """Return z = x^2 + 2 + x^2 epsilon and both estimates of d/dx E[z^2] = 8x^3 + 8x for noise
    `epsilon` [L].

    Reparameterized: 2z dz/dx. Score function: z^2 d/dx log q(z|x), with d/dx log q = 2 (epsilon^2 +
    epsilon - 1) / x. Slide "The Reparameterization Trick"; both formulas are derived in notebook
    04.
    """
    z = x**2 + 2 + x**2 * epsilon
    score = 2 * (epsilon**2 + epsilon - 1) / x if x else torch.full_like(epsilon, math.nan)
    return ToyGradients(z, 2 * z * (2 * x + 2 * x * epsilon), z**2 * score)


# --- Notebook 05: KL( N(mu, sigma^2) || N(0, 1) ) ---


def kl_terms(mu: float, sigma: float) -> tuple[float, float]:
    """Return the two terms of KL( N(mu, sigma^2) || N(0, 1) ) in nats: mu^2 / 2 and (sigma^2 - 1 -
    log sigma^2) / 2.

    Both are at least 0; the first pulls the mean to 0, the second the variance to 1. Slide "The
    Second Term".
    """
    return mu**2 / 2, (sigma**2 - 1 - math.log(sigma**2)) / 2


def kl_integrand(z: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    """Return q(z) log(q(z) / p(z)) for q = N(mu, sigma^2) and p = N(0, 1), same shape as z; its
    integral is the KL."""
    log_ratio = -math.log(sigma) - ((z - mu) / sigma) ** 2 / 2 + z**2 / 2
    return _normal_density(z, mu, sigma) * log_ratio


def _normal_density(z, mu, sigma):
    return np.exp(-(((z - mu) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))
