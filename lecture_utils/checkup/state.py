"""What is learned, what the evaluation does, and where the first number that is not finite appears.
See `findings`."""

import contextlib
import math
from typing import NamedTuple

from lecture_utils.checkup import forms
from lecture_utils.checkup.ports import CannotExamine, kind_of
from lecture_utils.checkup.probe import Probe, sharp
from lecture_utils.checkup.rows import by_image, image_of_rows, neighbours

import torch
import torch.nn.functional as F
from torch import nn

CHUNK = 250
NAN_WEIGHTS = ", whose weights are NaN or infinite"
LEARNED_ON = 100  # fewer images say nothing about what was learned


class Learned(NamedTuple):
    """What the codes of the images say, in evaluation mode. Errors are in nats (or squared error)
    per image."""

    active: int  # units with Var_x(mu) > 0.01 (Burda et al. 2015)
    kl_units: torch.Tensor  # mean KL of each unit, nats
    off_prior: torch.Tensor  # KL of a normal with the moments of q(z_j) to N(0, 1), nats
    variance: float  # of the aggregate posterior, mean over units
    error: float
    without_code: float  # the error of the mean image
    swapped: float  # the error when each image gets its neighbour's code


class Scale(NamedTuple):
    """How the error's targets follow from x: offset + factor * x."""

    offset: float
    factor: float

    def targets(self, x: torch.Tensor) -> torch.Tensor:
        """Return the targets of images x, of x's shape, float64."""
        x = x.double()
        return x if self == AS_IT_IS else self.offset + self.factor * x


AS_IT_IS = Scale(0.0, 1.0)


def scale_of_targets(target: torch.Tensor, x: torch.Tensor) -> Scale | None:
    """Return the scale of targets [n] that were recovered for the pixels of images x; None if they
    do not follow from x, not even on average (binary draws of grey pixels do)."""
    x = x.double().flatten()
    if len(target) != len(x) or x.std() == 0:
        return None
    factor = (torch.cov(torch.stack([x, target]))[0, 1] / x.var()).item()
    offset = (target.mean() - factor * x.mean()).item()
    as_it_is = abs(offset) < 0.1 and abs(factor - 1) < 0.2  # or drawn: then these are estimates
    exact = (offset + factor * x - target).abs().max() < 1e-2 * target.std()
    if exact and (abs(offset) > 1e-3 or abs(factor - 1) > 1e-3):
        return Scale(offset, factor)
    return AS_IT_IS if as_it_is else None


@torch.no_grad()
def measure_learned(
    probe: Probe, likelihood: str, reading: str, scale: Scale | None
) -> Learned | None:
    """Encode and decode all images, in evaluation mode. None if there are too few, or a reading or
    the targets' scale is unknown, or a Bernoulli's targets lie outside [0, 1]."""
    if len(probe.x) < LEARNED_ON or not reading or scale is None:
        return None
    pixels = scale.targets(probe.x)
    if not likelihood.startswith("squared") and (pixels.min() < -0.02 or pixels.max() > 1.02):
        return None
    probe.train(False)
    mus, sds, errors, swapped = [], [], [], []
    for x in probe.x.split(CHUNK):
        trace = probe.run(x)
        rows = probe.image_of_rows(trace)
        mus.append(trace.mu.flatten(1).double())
        sds.append(forms.sigma_of(reading, trace.second.double()).expand(trace.mu.shape).flatten(1))
        targets = scale.targets(x)
        errors.append(_errors(likelihood, trace.output, targets, rows))
        other = probe.call_decoder(trace, lambda z, rows=rows: neighbours(z, rows))
        swapped.append(_errors(likelihood, other, targets, rows))
    mu, sd = torch.cat(mus), torch.cat(sds)
    kl = 0.5 * (mu.square() + sd.square() - 1) - sd.log()
    mean, variance = mu.mean(0), mu.var(0) + sd.square().mean(0)
    return Learned(
        int((mu.var(0) > 0.01).sum()),
        kl.mean(0),
        0.5 * (variance + mean.square() - 1 - variance.log()),
        variance.mean().item(),
        torch.cat(errors).mean().item(),
        _without_code(likelihood, pixels),
        torch.cat(swapped).mean().item(),
    )


def _errors(likelihood, output, x, rows):
    """Return the error of each code in the likelihood's own unit, [L B], nan where it cannot be
    computed."""
    if rows is None or rows.max() + 1 != len(x) or output.numel() != len(rows) * x[0].numel():
        return x.new_full((len(x),), math.nan, dtype=torch.float64)
    output, x = output.double().reshape(len(rows), -1), x.double().flatten(1)[rows]
    if likelihood.startswith("squared"):
        mean = {"squared error": output, "squared error of sigmoid": output.sigmoid()}.get(
            likelihood, output.tanh()
        )
        return (mean - x).square().sum(1)
    if likelihood == "Bernoulli, probabilities":
        return _cross_entropy(output.clamp(0, 1), x.clamp(0, 1))
    logits = {"sigmoid twice": output.sigmoid(), "logits of a tanh": output.tanh()}.get(
        likelihood, output
    )
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


def _without_code(likelihood, x):
    """Return the error of one picture for all: the mean image, as if it had been seen once more off
    and on."""
    x = x.double().flatten(1)
    mean = x.mean(0)
    if likelihood.startswith("squared"):
        return (mean - x).square().sum(1).mean().item()
    p = ((mean * len(x) + 1) / (len(x) + 2)).clamp(1e-6, 1 - 1e-6)
    return _cross_entropy(p, x.clamp(0, 1)).mean().item()


def _cross_entropy(p, x):
    """-log p(x|z) for probabilities, [B, D] -> [B]; infinite for a pixel that cannot be."""
    return -(torch.xlogy(x, p) + torch.xlogy(1 - x, 1 - p)).sum(1)


class Evaluation(NamedTuple):
    """What `evaluate(x)` does: its values, and how it came to them."""

    value: float
    noise: float | None  # rms of (z - mu) / sd in its decoder's calls: 1; None if unknown
    training: list  # names of dropout and batch-norm layers that were in training mode
    sorted: tuple[
        float, float
    ]  # its values on the images in ascending and descending order of their loss, no noise
    own_images: bool  # it encodes the same images whatever x it is given
    batches: list  # the sizes of the batches it made
    elbo: float | None  # our own ELBO of the same inputs, nats
    elbo_error: float


@torch.no_grad()
def measure_evaluation(
    probe: Probe, evaluate, likelihood: str, reading: str, in_training: bool
) -> Evaluation:
    """Call the user's evaluation on x, in the mode in which the model was handed in, and intercept
    what it does."""
    probe.train(in_training)
    with modes_seen(probe.model) as seen:
        trace = probe.run(probe.x, function=evaluate)
    noise = _noise(trace, reading)
    elbo = error = None
    if likelihood.startswith("Bernoulli") and reading and trace.batches:
        elbo, error = _own_elbo(probe, torch.cat(trace.batches), likelihood, reading)
    sizes = [len(batch) for batch in trace.batches]
    ordered = _in_two_orders(probe, evaluate, trace, reading) if sizes else ((0.0, 0.0), False)
    value = _one_number(trace.loss)
    return Evaluation(value, noise, seen, *ordered, sizes, elbo, error or 0.0)


def _one_number(result) -> float:
    """Return what an evaluation returned as a number. Raises CannotExamine if it is none."""
    try:
        return float(result)
    except (TypeError, ValueError, RuntimeError):
        raise CannotExamine(
            f"evaluate(x) returned {kind_of(result)}: it must return one number, the one that is "
            "reported."
        ) from None


def _noise(trace, reading):
    """How far the codes that were decoded lie from their means, in standard deviations."""
    values = []
    for mu, second, z in trace.noise:
        if not reading or mu is None or z.shape[z.dim() - mu.dim() + 1 :] != mu.shape[1:]:
            return None
        # The evaluation may lay codes out in another way than the loss. Where the means are so
        # alike that distances may err, they are also so alike that the noise comes out the same.
        rows = image_of_rows(z, mu)
        if rows is None:
            return None
        sd = forms.sigma_of(reading, second).expand(mu.shape).flatten(1)[rows]
        noise = (z.reshape(sd.shape) - mu.flatten(1)[rows]) / sd
        values.append(noise.double().square().mean())
    return torch.stack(values).mean().sqrt().item() if values else None


def _own_elbo(probe, x, likelihood, reading):
    """Return the mean ELBO of images x over two draws of z, nats, and its standard error by the
    noise in z; None where the codes do not fit."""
    probe.train(False)
    if x.shape[0] > len(probe.x) or x[0].numel() != probe.x[0].numel():
        return None, None
    values = []
    for part in x.reshape(-1, *probe.x.shape[1:]).split(CHUNK):
        trace = probe.run(part)
        rows = probe.image_of_rows(trace)
        if rows is None or trace.z.numel() != len(rows) * trace.mu[0].numel():
            return None, None
        codes_of, sd = _codes_of(rows), forms.sigma_of(reading, trace.second)
        kl = (0.5 * (trace.mu.square() + sd.square() - 1) - sd.log()).flatten(1).sum(1)
        errors = [
            _per_image(likelihood, probe.call_decoder(trace, codes_of(code)), part, rows)
            for code in (
                trace.mu + sd * torch.randn_like(trace.mu),
                trace.mu + sd * torch.randn_like(trace.mu),
            )
        ]
        values.append(torch.stack([*(-error - kl for error in errors)]).double())
    first, second = torch.cat(values, 1)
    return (
        ((first + second) / 2).mean().item(),
        ((first - second).std() / (2 * len(first) ** 0.5)).item(),
    )


def _codes_of(rows):
    """For codes [B, ...], return what puts them in the place of z, one for each of its rows."""
    return lambda code: lambda z: code[rows].reshape(z.shape)


def _per_image(likelihood, output, x, rows):
    output, x = output.reshape(len(rows), -1), x.flatten(1)[rows]
    if likelihood == "Bernoulli, probabilities":
        errors = _cross_entropy(output, x)
    else:
        errors = F.binary_cross_entropy_with_logits(output, x, reduction="none").sum(1)
    return by_image(errors, rows).mean(1)


def _in_two_orders(probe, evaluate, trace, reading):
    """The value on the images by ink, upwards and downwards: a short last batch is then unusual.
    And whether both times the same images were encoded, in the same order: then not those given.

    The noise is taken away, and the images with much ink get a mean code that costs much KL, so
    that images differ also where nothing has been learned.
    """
    size = max(map(len, trace.batches), default=1)
    x = sharp(probe.x)
    if len(x) < size + 1:
        x = torch.cat([x] * (-(-(size + 1) // len(x))))
    x = x[: size + max(1, size // 10)]
    order = x.double().flatten(1).mean(1).argsort()
    quiet = (
        -30.0
        if reading in ("log-variance", "log sigma", "number whose softplus is sigma")
        else 1e-6
    )
    seen = torch.cat(trace.batches).flatten(1).mean(1)
    centre, spread = seen.mean(), seen.std() + 1e-12

    def still(mu, second, inputs):
        cost = 2 * ((inputs.flatten(1).mean(1) - centre) / spread).clamp(0, 3)
        cost = cost.reshape(-1, *[1] * (mu.dim() - 1)).to(mu.dtype)
        return cost.expand_as(mu).clone(), torch.full_like(second, quiet)

    up, down = (
        probe.run(x[rows], function=evaluate, shift=still, seed=0)
        for rows in (order, order.flip(0))
    )
    same_number = len(up.batches) == len(down.batches)
    own = same_number and all(map(torch.equal, up.batches, down.batches))
    return (_one_number(up.loss), _one_number(down.loss)), own


@contextlib.contextmanager
def modes_seen(model):
    """Collect the names of dropout and batch-norm layers that run in training mode within the
    context."""
    seen, handles = [], []
    sensitive = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    for name, module in model.named_modules() if isinstance(model, nn.Module) else []:
        if isinstance(module, sensitive):

            def look(module, _, name=name):
                if module.training and name not in seen:
                    seen.append(name)

            handles.append(module.register_forward_pre_hook(look))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def first_nonfinite(model):
    """Within the context, find the first layer that turns finite numbers into others: a list with
    at most one name."""
    found, handles = [], []

    def finite(value):
        if isinstance(value, torch.Tensor):
            return bool(value.isfinite().all())
        return all(finite(v) for v in value) if isinstance(value, (tuple, list)) else True

    for name, module in model.named_modules() if isinstance(model, nn.Module) else []:
        if name and not list(module.children()):

            def look(module, inputs, output, name=name):
                if not found and finite(inputs) and not finite(output):
                    ill = not all(finite(weight) for weight in module.parameters())
                    found.append(f"layer {name} ({type(module).__name__}{NAN_WEIGHTS * ill})")

            handles.append(module.register_forward_hook(look))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
