"""The forms that a likelihood and a reading of the second number can take, and which of them a
measured gradient has."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

MOST = 50_000  # outputs whose gradients decide on the form

# Each likelihood: the gradient of its error with respect to the decoder's output o, for a target t,
# is a(o) + t b(o).
LIKELIHOODS = {
    "Bernoulli, logits": lambda o: (torch.sigmoid(o), -torch.ones_like(o)),
    "Bernoulli, probabilities": lambda o: (1 / (1 - o), -1 / (o * (1 - o))),
    "squared error": lambda o: (o, -torch.ones_like(o)),
    "squared error of sigmoid": lambda o: _through(
        torch.sigmoid(o), o, lambda p: (p, -torch.ones_like(p))
    ),
    "squared error of tanh": lambda o: _tanh(o),
    "sigmoid twice": lambda o: _twice(o),
    "logits of a tanh": lambda o: _tanh_logits(o),
    "continuous Bernoulli": lambda o: (1 / -torch.expm1(-o) - 1 / o, -torch.ones_like(o)),
}


def _through(p, o, form):
    a, b = form(p)
    slope = p * (1 - p)
    return a * slope, b * slope


def _tanh(o):
    slope = 1 - torch.tanh(o).square()
    return torch.tanh(o) * slope, -slope


def _twice(o):
    p = torch.sigmoid(o)
    return torch.sigmoid(p) * p * (1 - p), -p * (1 - p)


def _tanh_logits(o):
    slope = 1 - torch.tanh(o).square()
    return torch.sigmoid(torch.tanh(o)) * slope, -slope


class Likelihood(NamedTuple):
    """A recognised error: its name, its weight in the loss, the targets it was compared with, and
    the misfit of the form."""

    name: str
    weight: float
    target: torch.Tensor
    misfit: float


def recognise_likelihood(
    outputs: torch.Tensor, gradients: torch.Tensor, tolerance: float
) -> Likelihood | None:
    """Return the likelihood whose gradient was measured at R planted outputs a pixel, or None: both
    are [R, n], float64.

    The targets need not be known: what depends on them is projected out for each pixel, and they
    are found afterwards.
    """
    best, n = None, outputs.shape[1]
    all_outputs, all_gradients = outputs, gradients
    if n > MOST:
        some = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:MOST].to(
            outputs.device
        )
        outputs, gradients = outputs[:, some], gradients[:, some]
    for name, form in LIKELIHOODS.items():
        a, b = form(outputs)
        if not (a.isfinite().all() and b.isfinite().all()):
            continue
        a_rest, g_rest = _without(a, b), _without(gradients, b)
        weight = (a_rest * g_rest).sum() / a_rest.square().sum().clamp(min=1e-300)
        misfit = (
            (g_rest - weight * a_rest).square().sum() / gradients.square().sum().clamp(min=1e-300)
        ).item() ** 0.5
        power = (
            weight.abs()
            * a_rest.square().sum().sqrt()
            / gradients.square().sum().clamp(min=1e-300).sqrt()
        ).item()
        if power > 1e-3 and misfit < tolerance and (best is None or misfit < best[2]):
            best = name, weight, misfit
    if best is None:
        return None
    name, weight, misfit = best
    a, b = LIKELIHOODS[name](all_outputs)
    target = ((all_gradients - weight * a) * b).sum(0) / b.square().sum(0) / weight
    return Likelihood(name, weight.item(), target, misfit)


def _without(values, direction):
    """Remove, for each column, the part of `values` [R, n] along `direction` [R, n]."""
    return values - direction * (values * direction).sum(0) / direction.square().sum(0)


# Each reading of the second number s: the standard deviation it stands for, and d sd / d s.
READINGS = {
    "log-variance": lambda s: (torch.exp(s / 2), torch.exp(s / 2) / 2),
    "log sigma": lambda s: (torch.exp(s), torch.exp(s)),
    "sigma": lambda s: (s, torch.ones_like(s)),
    "variance": lambda s: (s.clamp(min=1e-12).sqrt(), 0.5 / s.clamp(min=1e-12).sqrt()),
    "number whose softplus is sigma": lambda s: (F.softplus(s), torch.sigmoid(s)),
    "number whose softplus is the variance": lambda s: (
        F.softplus(s).sqrt(),
        0.5 * torch.sigmoid(s) / F.softplus(s).sqrt(),
    ),
    "number that is four times the log sigma": lambda s: (torch.exp(s / 4), torch.exp(s / 4) / 4),
}
PLAIN = (
    "log-variance",
    "log sigma",
    "sigma",
    "variance",
    "number whose softplus is sigma",
    "number whose softplus is the variance",
)


def sigma_of(reading: str, second: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation that the second number stands for."""
    return READINGS[reading](second)[0]


def allowed_readings(positive: bool) -> list[str]:
    """A negative number can be neither a sigma nor a variance."""
    return [name for name in READINGS if positive or name not in ("sigma", "variance")]


def kl_slope(reading: str, second: torch.Tensor) -> torch.Tensor:
    """Return the derivative of KL(N(mu, sd^2) || N(0, 1)) = (mu^2 + sd^2 - 1)/2 - log sd with
    respect to the second number."""
    sd, slope = READINGS[reading](second)
    return (sd - 1 / sd) * slope


class Fit(NamedTuple):
    """A slope through the origin, its standard error, and the relative misfit."""

    slope: float
    error: float
    misfit: float


def through_origin(x: torch.Tensor, y: torch.Tensor) -> Fit:
    """Fit y = slope * x, all [n] float64."""
    power = x.square().sum().clamp(min=1e-300)
    slope = (x * y).sum() / power
    rest = (y - slope * x).square().sum()
    error = (rest / max(len(x) - 1, 1) / power).sqrt()
    return Fit(
        slope.item(), error.item(), (rest / y.square().sum().clamp(min=1e-300)).sqrt().item()
    )


def name_of_number(value: float, sizes: dict[str, float], tolerance: float = 2e-3) -> str:
    """Return in words which simple number `value` is, made of the sizes {"pixels": D, ...}; empty
    if none fits."""
    if abs(value - 1) < tolerance:
        return ""
    named = {"2": 2.0, "one half": 0.5, "minus one": -1.0, "4": 4.0, "one quarter": 0.25}
    for name, size in sizes.items():
        if size > 1:
            named[f"{name} ({size:g})"] = size
            named[f"1 / {name} ({size:g})"] = 1 / size
    items = [(name, size) for name, size in sizes.items() if size > 1]
    for first, one in items:
        for second, two in items:
            if first < second:
                named[f"{first} × {second} ({one:g} × {two:g})"] = one * two
                named[f"1 / ({first} × {second}) ({one:g} × {two:g})"] = 1 / (one * two)
            if first != second:
                named[f"{first} / {second} ({one:g} / {two:g})"] = one / two
    fits = [
        (abs(math.log(abs(value / size))), name)
        for name, size in named.items()
        if value and value * size > 0
    ]
    return min(fits)[1] if fits and min(fits)[0] < tolerance else ""
