"""The measurement of how z is drawn from mu and the second number."""

from typing import NamedTuple

from lecture_utils.checkup import forms
from lecture_utils.checkup.measure import BATCH, planted_outputs, random_plant
from lecture_utils.checkup.probe import Probe, Trace

import torch

# values of epsilon that are looked at: the variance then has a standard error of one per cent
DRAWS = 20_000


class Draw(NamedTuple):
    """How z is drawn. `reading` is as what the sampler takes the second number, `scale` the
    variance of (z - mu) / sd."""

    reading: str
    scale: float
    scale_error: float
    mean: float  # of (z - mu) / sd: 0
    mean_error: float
    seconds: list  # planted values of the second number
    log_variances: list  # log variance of the draws at each
    shared: str  # "images" or "units" if they get the same epsilon
    repeated: bool  # the same epsilon in each call
    fixed: float | None  # epsilon, if it is one number for all
    none: bool  # nothing is drawn
    to_mu: float | None  # d z / d mu: 1
    to_second: bool  # a gradient reaches the second number
    kurtosis: float  # of (z - mu) / sd: 3


def measure_draw(probe: Probe, natural: Trace, limits: str, positive: bool) -> Draw | None:
    """Plant constants for mu and the second number, and look at the decoder's argument. None if z
    cannot be told."""
    x, rows = probe.x[:BATCH], natural.mu.shape[0]
    n_units = natural.mu[0].numel()
    levels = [0.3, 0.6, 1.0, 1.5, 2.0] if positive else [-2.0, -1.0, 0.0, 0.7, 1.4]
    passes = max(2, -(-DRAWS // (len(levels) * rows * n_units)))
    output = planted_outputs(natural, limits, 0)
    collected = {level: [] for level in levels}
    for _ in range(passes):
        for level in levels:
            collected[level].append(_drawn(probe, natural, x, level, output))
    if any(z is None for zs in collected.values() for z in zs):
        return None
    zs = torch.stack(
        [torch.stack(collected[level]) for level in levels]
    )  # [levels, passes, rows, columns]
    moved = (zs.amax((0, 1)) - zs.amin((0, 1))).amax(
        0
    ) > 1e-7  # columns that do not move are labels, for example
    to_mu, to_second = _jacobian(probe, natural, x, positive, output)
    if not moved.any():
        if not _moves_with_mu(probe, natural, x, output):
            return None
        return Draw("", 0, 0, 0, 0, levels, [], "", False, None, True, to_mu, to_second, 3)
    noise = zs[..., moved] - 0.5  # mu is planted at 0.5
    if not _fits_width(int(moved.sum()), n_units, natural):
        return None
    own = probe.image_of_rows(natural)
    if own is None or len(own) != noise.shape[2]:
        return _describe(noise, levels, positive, to_mu, to_second, 1)
    noise = noise[:, :, own.argsort(stable=True)]
    return _describe(noise, levels, positive, to_mu, to_second, len(own) // rows)


def _moves_with_mu(probe, natural, x, output):
    """Whether the decoder gets something else if mu is another one."""
    second = natural.second.detach()
    with torch.no_grad():
        codes = [
            probe.run(x, plant=(torch.full_like(natural.mu, mu), second), output=output, seed=0).z
            for mu in (-0.5, 0.5)
        ]
    return not torch.equal(*codes)


def _fits_width(width, n_units, natural):
    return width == n_units or width == natural.mu.shape[-1]


def _drawn(probe, natural, x, level, output):
    plant = torch.full_like(natural.mu, 0.5), torch.full_like(natural.second, level)
    with torch.no_grad():
        z = probe.run(x, plant=plant, output=output).z
    # Samples may stand before the images: [L, B, J], or [L B, J].
    same = z.dim() == natural.mu.dim() and z.shape[1:].numel() >= natural.mu.shape[1:].numel()
    return z.double().reshape(-1, z.shape[1:].numel() if same else z.shape[-1])


def _jacobian(probe, natural, x, positive, output):
    """Return d z / d mu (its mean; None without a gradient) and whether a gradient reaches the
    second number."""
    plant = random_plant(natural, positive, seed=1)
    z = probe.run(x, plant=plant, output=output).z
    if not z.requires_grad:
        return None, False
    by_mu, by_second = torch.autograd.grad(z.sum(), plant, allow_unused=True)
    per_draw = len(z.reshape(-1, z.shape[-1])) / max(
        len(plant[0].reshape(-1, plant[0].shape[-1])), 1
    )
    slope = None if by_mu is None else by_mu.double().mean().item() / max(per_draw, 1)
    return slope, by_second is not None and bool(by_second.abs().max() > 0)


def _describe(noise, levels, positive, to_mu, to_second, n_samples):
    """Describe the noise [levels, passes, images n_samples, columns], ordered by image."""
    level_values = torch.tensor(levels, dtype=torch.float64)
    squares = noise.square().mean((1, 2, 3))
    best, best_score = "", -torch.inf
    for name in forms.allowed_readings(positive):
        sd = forms.sigma_of(name, level_values)
        variance = (squares / sd.square()).mean()
        score = -(sd.log().mean() + 0.5 * variance.log())
        if score > best_score:
            best, best_score = name, score
    sd = forms.sigma_of(best, level_values)
    epsilon = noise / sd[:, None, None, None]
    ratios = squares / sd.square()
    shared, copies, repeated = _sharing(epsilon, n_samples)
    n_free = epsilon.numel() / copies
    n_free = n_free / (epsilon.shape[0] * epsilon.shape[1]) if repeated else n_free
    scale = ratios.mean().item()
    error = scale * (2 / n_free) ** 0.5
    constant = squares.max() / squares.min() < 1.2
    uneven = (
        (ratios / scale - 1).abs().max() > 6 * (2 * len(levels) / n_free) ** 0.5 + 0.02
    ).item()
    # A few shared draws fit any reading; draws that are repeated for each planted value fit one.
    few = bool(shared) and not repeated and error > 0.1 * scale
    reading = "constant" if constant else "" if uneven or few else best
    if constant:
        scale, error = squares.mean().item(), squares.mean().item() * (2 / n_free) ** 0.5
    mean = epsilon.mean().item()
    return Draw(
        reading,
        scale,
        error,
        mean,
        epsilon.std().item() / n_free**0.5,
        levels,
        squares.log().tolist(),
        shared,
        repeated,
        _only_value(epsilon),
        False,
        to_mu,
        to_second,
        _kurtosis(epsilon),
    )


def _only_value(values):
    """Return the number that all values are, or None."""
    alike = values.amax() - values.amin() < 1e-4 * values.abs().amax()
    return values.mean().item() if alike else None


def _kurtosis(epsilon):
    centred = epsilon - epsilon.mean((1, 2, 3), keepdim=True)
    fourth, second = centred.pow(4).mean((1, 2, 3)), centred.square().mean((1, 2, 3))
    return (fourth / second.square().clamp(min=1e-300)).mean().item()


def _sharing(epsilon, n_samples):
    """Who gets the same epsilon [levels, passes, images n_samples, columns]: "images", "units" or
    "", how many get each, and whether it is the same in all calls."""
    epsilon = epsilon.unflatten(2, (-1, n_samples))
    spread = epsilon.square().mean().sqrt().clamp(min=1e-300) * 1e-4

    def same(axis):
        return epsilon.shape[axis] > 1 and (epsilon.amax(axis) - epsilon.amin(axis)).max() < spread

    images, units = same(2), same(4)
    copies = (epsilon.shape[2] if images else 1) * (epsilon.shape[4] if units else 1)
    return "images" if images else "units" if units else "", copies, bool(same(1))
