"""Whether draw and KL take the same sigma, where it is a function of the second number that has no
name in `forms`: exp(s / 2) + 0.01, or softplus(s - 1)."""

import math

from lecture_utils.checkup.measure import Dose, planted_outputs
from lecture_utils.checkup.measure_draw import Draw
from lecture_utils.checkup.probe import Probe, Trace

import torch

APART = 0.15  # of log variances; those of the draws at one level have a standard error of 0.02


def is_named(dose: Dose, draw: Draw) -> bool:
    """Whether one reading explains draw and KL, so that there is nothing to look for."""
    agree = bool(dose.reading) and dose.reading == draw.reading
    return agree and abs(draw.scale - 1) <= 0.03 + 6 * draw.scale_error


def same_sigma(
    probe: Probe, natural: Trace, limits: str, dose: Dose, draw: Draw | None
) -> bool | None:
    """Return whether the variance that is drawn is the one that the KL charges, at each planted
    value of the second number. None where that cannot be measured.

    A KL of weight w has the slope w (sigma^2 - 1) sigma' / sigma in the second number, and
    sigma' / sigma is what z tells: its slope over its noise. So the KL's slope gives sigma^2.
    """
    if dose.kl_second and dose.kl_second.misfit < 1e-5 or draw and is_named(dose, draw):
        return False  # the KL's sigma has a name
    if draw is None or not (dose.kl_mu and draw.to_second and draw.log_variances):
        return None
    if draw.shared or draw.repeated or draw.fixed is not None:  # then no variance is measured
        return None
    if any(dose.silent) or dose.estimated or natural.z.shape != natural.mu.shape:
        return None
    with torch.random.fork_rng(devices=[]):
        charged = [
            _charged(probe, natural, limits, dose.kl_mu.slope, level) for level in draw.seconds
        ]
    known = [(value, log) for value, log in zip(charged, draw.log_variances) if value is not None]
    return bool(known) and all(
        value > 0 and abs(math.log(value) - log) < APART for value, log in known
    )


def _charged(probe, natural, limits, weight, level):
    """The variance that the KL charges at this second number; None where sigma is flat."""
    mu = torch.full_like(natural.mu, 0.5).detach()
    second = torch.full_like(natural.second, level).detach().requires_grad_()
    output = planted_outputs(natural, limits, 0).detach()
    trace = probe.run(probe.x[: len(mu)], plant=(mu, second), output=output, seed=0)
    units = mu.numel() / second.numel()
    (by_loss,) = torch.autograd.grad(trace.loss, second, retain_graph=True)
    (by_z,) = torch.autograd.grad(trace.z.sum(), second)
    noise = (trace.z.detach() - 0.5).reshape(*second.shape[:1], -1)
    slope = by_z.reshape(len(noise), -1).sum(1) / noise.sum(1)  # of one image: sigma' / sigma
    slope, by_loss = slope.median().item(), by_loss.double().mean().item() / units
    return None if slope == 0 == by_loss else 1 + by_loss / (weight * slope) if slope else -1.0
