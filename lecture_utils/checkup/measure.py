"""The measurements of a check-up. Nothing here judges: see `findings`."""

from typing import NamedTuple

from lecture_utils.checkup import forms
from lecture_utils.checkup.probe import Probe, Trace, sharp
from lecture_utils.checkup.rows import by_image, part

import torch

BATCH = 62  # no size of a layer: a division by it is then told apart
PASSES = 64  # runs over which a KL that is itself estimated from draws is averaged
# Where the planted numbers start: not where a run of the loss does (`Probe.run`), or its epsilon
# would be the planted mu, and a KL that is estimated from a draw would have another slope.
PLANTED = 10**6
STRESS = 1e4  # how much larger than usual the numbers are that show where an output ends


class Dose(NamedTuple):
    """The weights with which the loss's two terms enter its gradient; `kl_mu` and `kl_second` are
    fits, or None."""

    likelihood: forms.Likelihood | None
    kl_mu: forms.Fit | None
    kl_second: forms.Fit | None
    reading: str  # as what the KL reads the second number; "" if unknown
    offset: float  # the prior's mean, in units of mu
    estimated: bool  # the KL is a Monte Carlo estimate
    inputs: torch.Tensor  # what the encoder was given when the targets were recovered
    silent: tuple[bool, bool]  # no gradient to mu, to the second number
    no_error: bool  # the loss does not depend on the decoder's output
    terms: dict  # if no reading fits: the KL's slope by 1, exp(s/2), exp(s), exp(2 s)
    exact: bool  # these terms are the slope, and do not only come near it
    batch: str  # "mean", "sum", "neither" or "" (not known): how the loss joins a batch's images
    half: float  # KL's weight over the error's on half of the batch, relative to the whole

    @property
    def strange_kl(self) -> bool:
        """Whether something weighs on mu and the second number whose gradient is not that of a KL
        to N(0, I)."""
        return not (self.kl_mu and self.kl_second) and not any(self.silent)


def random_plant(trace: Trace, positive: bool, seed: int = 0):
    """Return values of mu and the second number, of the shapes that the encoder returns, that no
    encoder would return."""
    generator = torch.Generator().manual_seed(PLANTED + seed)
    mu = 1.2 * torch.randn(trace.mu.shape, generator=generator)
    u = torch.rand(trace.second.shape, generator=generator)
    second = 0.3 + 1.7 * u if positive else -1.5 + 2.7 * u
    return tuple(
        v.to(like.device, like.dtype).requires_grad_()
        for v, like in ((mu, trace.mu), (second, trace.second))
    )


def planted_outputs(trace: Trace, limits: str, seed: int):
    """Return outputs of the decoder's shape, spread over a range that it can have: errors of other
    values may be refused."""
    within_unit = trace.output.min() >= 0 and trace.output.max() <= 1
    within_tanh = trace.output.abs().max() < 1
    contained = limits or ("unit" if within_unit else "tanh" if within_tanh else "")
    low, high = {"unit": (0.05, 0.95), "tanh": (-0.95, 0.95)}.get(contained, (-3.0, 3.0))
    generator = torch.Generator().manual_seed(PLANTED + seed)
    u = torch.rand(trace.output.shape, generator=generator)
    return (low + (high - low) * u).to(trace.output.device, trace.output.dtype).requires_grad_()


def gradients(trace: Trace, *leaves):
    """Return d loss / d leaf for each leaf, zero where the loss does not depend on it, float64."""
    if not trace.loss.requires_grad:
        return [torch.zeros_like(leaf, dtype=torch.float64) for leaf in leaves]
    found = torch.autograd.grad(trace.loss, leaves, allow_unused=True)
    return [
        torch.zeros_like(leaf, dtype=torch.float64) if g is None else g.detach().double()
        for g, leaf in zip(found, leaves)
    ]


def precise(trace: Trace) -> bool:
    """Whether a run computes in 32 bits or more: else sums are coarse, and soon overflow."""
    return all(
        torch.finfo(value.dtype).bits >= 32 for value in (trace.mu, trace.output, trace.loss)
    )


def measure_dose(probe: Probe, natural: Trace, limits: str, positive: bool) -> Dose:
    """Differentiate the loss with respect to planted outputs of encoder and decoder."""
    x = probe.x[:BATCH]
    tolerance = 1e-3 if precise(natural) else 5e-2
    plant = random_plant(natural, positive)
    outputs, slopes, kls = [], [], []
    for run in range(4):
        output = planted_outputs(natural, limits, run)
        trace = probe.run(x, plant=plant, output=output, seed=0)
        *by_code, by_output = gradients(trace, *plant, output)
        outputs.append(output.detach().double().flatten())
        slopes.append(by_output.flatten())
        kls.append(by_code)
    slopes = torch.stack(slopes)
    likelihood = _of_images(
        forms.recognise_likelihood(torch.stack(outputs), slopes, tolerance),
        probe.image_of_rows(natural),
    )
    # A second number that stands for several units, as one sigma an image, is charged for each.
    units = natural.mu.numel() / natural.second.numel()
    mu, second = (leaf.detach().double().flatten() for leaf in plant)
    by_mu, by_second = kls[0][0].flatten(), kls[0][1].flatten() / units
    largest = max(slopes.abs().max().item(), by_mu.abs().max().item(), by_second.abs().max().item())
    silent = tuple(g.abs().max().item() <= 1e-12 * largest for g in (by_mu, by_second))
    kl_mu, offset = _fit_mu(mu, by_mu, tolerance)
    kl_second, reading = _fit_second(second, by_second, positive, tolerance)
    estimated = False
    if not (kl_mu and kl_second) and not any(silent):
        averaged = _averaged(probe, natural, plant, limits, positive, units)
        if averaged:
            kl_mu, kl_second, reading, offset = averaged
            estimated = True
    terms, rest = ({}, 0.0) if kl_second or silent[1] else _terms(second, by_second)
    batch, half = ("", 1.0) if estimated else _batches(probe, natural, plant, limits)
    return Dose(
        likelihood,
        kl_mu,
        kl_second,
        reading,
        offset,
        estimated,
        trace.batches[0],
        silent,
        slopes.abs().max().item() == 0,
        terms,
        rest < 1e-5,
        batch,
        half,
    )


def _of_images(likelihood, rows):
    """Bring a likelihood of L codes an image to that of the image: L times the weight, the mean
    target."""
    n_samples = 1 if rows is None else len(rows) // (int(rows.max()) + 1)
    if likelihood is None or n_samples == 1 or likelihood.target.numel() % len(rows):
        return likelihood
    target = by_image(likelihood.target.reshape(len(rows), -1), rows).mean(1).flatten()
    return likelihood._replace(weight=likelihood.weight * n_samples, target=target)


def _fit_mu(mu, by_mu, tolerance):
    """The KL's slope in mu is w (mu - m), with the prior's mean m."""
    centred = mu - mu.mean()
    fit = forms.through_origin(centred, by_mu - by_mu.mean())
    if fit.slope == 0 or fit.misfit > tolerance:
        return None, 0.0
    return fit, (mu.mean() - by_mu.mean() / fit.slope).item()


def _fit_second(second, by_second, positive, tolerance):
    fits = {
        name: forms.through_origin(forms.kl_slope(name, second), by_second)
        for name in forms.allowed_readings(positive)
    }
    name = min(fits, key=lambda key: fits[key].misfit)
    return (fits[name], name) if fits[name].slope and fits[name].misfit < tolerance else (None, "")


def _averaged(probe, natural, plant, limits, positive, units):
    """Average the gradients of a KL that is estimated from draws, and accept a fit whose misfit is
    that of the noise.

    None if two runs agree: then nothing is estimated.
    """
    mu, second = (leaf.detach().double().flatten() for leaf in plant)
    output = planted_outputs(natural, limits, 0)
    runs = [
        [
            g.flatten()
            for g in gradients(probe.run(probe.x[:BATCH], plant=plant, output=output), *plant)
        ]
        for _ in range(PASSES)
    ]
    by_mu, by_second = (torch.stack(part) for part in zip(*runs))
    sums = by_mu, by_second / units
    means, errors = [s.mean(0) for s in sums], [s.std(0) / PASSES**0.5 for s in sums]
    if max(e.max().item() for e in errors) == 0:
        return None

    def misfit(fit, x, y, error):
        return (
            (y - fit.slope * x).square().mean() / error.square().mean().clamp(min=1e-300)
        ).item()

    fit_mu = forms.through_origin(mu - mu.mean(), means[0] - means[0].mean())
    offset = (mu.mean() - means[0].mean() / fit_mu.slope).item() if fit_mu.slope else 0.0
    good_mu = (
        fit_mu.slope != 0
        and misfit(fit_mu, mu - mu.mean(), means[0] - means[0].mean(), errors[0]) < 1.5
    )
    slopes = {
        name: forms.kl_slope(name, second)
        for name in forms.PLAIN
        if name in forms.allowed_readings(positive)
    }
    fits = {name: forms.through_origin(slope, means[1]) for name, slope in slopes.items()}
    name = min(fits, key=lambda key: misfit(fits[key], slopes[key], means[1], errors[1]))
    good = misfit(fits[name], slopes[name], means[1], errors[1]) < 1.5
    return (
        fit_mu if good_mu else None,
        fits[name] if good else None,
        name if good else "",
        offset
        if abs(offset) > 6 * (errors[0].mean() / len(mu) ** 0.5 / abs(fit_mu.slope)).item()
        else 0.0,
    )


def _terms(second, by_second):
    """Write the KL's slope as a combination of 1, exp(s / 2), exp(s), exp(2 s), if that fits; and
    what is left over, relative to it."""
    names = {"1": 0.0, "exp(s/2)": 0.5, "exp(s)": 1.0, "exp(2 s)": 2.0}
    columns = torch.stack([(power * second).exp() for power in names.values()], 1)
    solution = torch.linalg.lstsq(columns, by_second[:, None]).solution[:, 0]
    rest = (columns @ solution - by_second).norm() / by_second.norm().clamp(min=1e-300)
    return dict(zip(names, solution.tolist())) if rest < 1e-3 else {}, rest.item()


def _batches(probe, natural, plant, limits):
    """How the loss joins images, from the loss of a batch and of its halves, with everything random
    planted away."""
    x, output = sharp(probe.x[:BATCH]), planted_outputs(natural, limits, 0)
    n = len(x) // 2
    rows = probe.image_of_rows(natural)
    if n < 2 or rows is None or len(natural.mu) != len(x) or output.numel() % len(rows):
        return "", 1.0
    if len(output) != len(rows) and output.shape[:2].numel() != len(rows):
        return "", 1.0
    x = x[: 2 * n]
    parts = [x, x[:n], x[n:]]
    cuts = [slice(0, 2 * n), slice(0, n), slice(n, 2 * n)]
    losses, ratios = [], []
    for images, cut in zip(parts, cuts):
        leaves = [*(leaf.detach()[cut] for leaf in plant), part(output.detach(), rows, cut)]
        leaves = [leaf.clone().requires_grad_() for leaf in leaves]
        trace = probe.run(images, plant=leaves[:2], output=leaves[2], seed=0)
        by_mu, by_output = gradients(trace, leaves[0], leaves[2])
        losses.append(trace.loss.item())
        ratios.append(by_mu.norm().item() / max(by_output.norm().item(), 1e-300))
    whole, first, other = losses
    scale = abs(first) + abs(other)
    kind = (
        ""  # sums of fewer than 32 bits are too coarse to be compared
        if not precise(natural)
        else "mean"
        if abs(whole - (first + other) / 2) < 1e-3 * scale
        else "sum"
        if abs(whole - first - other) < 1e-3 * scale
        else "neither"
    )
    # Norms over n and 2 n images grow alike for both terms, so the ratio of ratios is that of the
    # weights.
    half = (ratios[1] + ratios[2]) / 2 / ratios[0] if ratios[0] > 0 else 1.0
    return kind, half


class Ranges(NamedTuple):
    """Where numbers end: what was seen on x, and with far larger inputs."""

    x: tuple[float, float]
    mu: tuple[float, float]
    second: tuple[float, float]
    output: tuple[float, float]
    mu_limits: str
    second_limits: str
    output_limits: str


@torch.no_grad()
def measure_ranges(probe: Probe, natural: Trace) -> Ranges:
    """Look at the ranges on x, and drive encoder and decoder with far larger inputs."""
    generator = torch.Generator().manual_seed(0)
    mu, second = probe.call_encoder(natural, STRESS)
    negative = probe.call_encoder(natural, -STRESS)
    mu, second = torch.cat([mu, negative[0]]), torch.cat([second, negative[1]])
    big = probe.call_decoder(
        natural, lambda z: STRESS * torch.randn(z.shape, generator=generator).to(z.device, z.dtype)
    )
    return Ranges(
        span(probe.x),
        span(natural.mu),
        span(natural.second),
        span(natural.output),
        limits_of(torch.cat([mu, natural.mu])),
        limits_of(torch.cat([second, natural.second])),
        limits_of(torch.cat([big, natural.output])),
    )


def span(values):
    """Return the least and the greatest of the values."""
    return values.min().item(), values.max().item()


def limits_of(values: torch.Tensor) -> str:
    """Return "unit" for [0, 1], "tanh" for [-1, 1] if both ends are met, "floor" for [0, inf), or
    "". Rows that are all the same, as those of a layer that starts from zero, show no ends."""
    if len(values) == 0 or (values == values[:1]).all():
        return ""
    values = values.detach().double().flatten()
    values = values[values.isfinite()]
    if not len(values):
        return ""
    low, high = span(values)

    def met(end):
        return ((values - end).abs() < 1e-3 * max(1.0, abs(end))).double().mean().item() > 0.05

    if low >= 0 and high <= 1 + 1e-6:
        return "unit"
    if -1 - 1e-6 <= low < -0.99 and 0.99 < high <= 1 + 1e-6:
        return "tanh"
    return "floor" if 0 <= low < 1e-3 and met(low) else ""
