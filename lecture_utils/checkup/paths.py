"""Whether the gradient finds its way through the calls of encoder and decoder themselves.

The draw between the two is looked at by `measure_draw`.
"""

from typing import NamedTuple

from lecture_utils.checkup.measure import STRESS
from lecture_utils.checkup.probe import Probe, Trace

import torch
from torch import nn


class Paths(NamedTuple):
    """Where the gradient ends. Nothing is `cut` in a model that can learn."""

    decoder_cut: bool  # what decode returns has no gradient with respect to z
    decoder_flat: float  # the share of the codes of x at which that gradient is exactly 0
    decoder_constant: bool  # what decode returns is the same for each z, far ones included
    encoder_cut: str  # what encode returns without a gradient: "mu", "mu and the second number"
    encoder_flat: bool  # what encode returns is the same for each x, and without a slope in x

    @property
    def cut(self) -> str:
        """The call in which the gradient is lost: "decode", "encode" or ""."""
        return "decode" if self.decoder_cut else "encode" if self.encoder_cut else ""


def measure_paths(probe: Probe, natural: Trace) -> Paths:
    """Call decode with other codes, and encode with inputs that can be differentiated by.

    The calls draw from a fork of the random state: what is measured afterwards draws as ever.
    """
    with torch.random.fork_rng(devices=[]):
        return Paths(*_decoder(probe, natural), *_encoder(probe, natural))


def _decoder(probe, natural):
    """Whether the decoder's output has no gradient with respect to z, at which share of the codes
    it is 0, and whether the output is the same for each z."""
    if not natural.z.is_floating_point():  # a label, which stands before the code
        return False, 0.0, False
    z = natural.z.detach().clone().requires_grad_()
    output = probe.call_decoder(natural, lambda _: z.clone())
    slope = None
    if output.requires_grad:
        (slope,) = torch.autograd.grad(_weighted(output), z, allow_unused=True)
    with torch.no_grad():
        far = probe.call_decoder(natural, lambda z: STRESS * torch.randn_like(z))
    if slope is None:
        return True, 0.0, False
    flat = (slope == 0).reshape(len(slope), -1).all(dim=1).double().mean().item()
    return False, flat, flat == 1 and torch.equal(far, output)


def _encoder(probe, natural):
    """What encode returns without a gradient, in words, or ""; and whether x has no say in it.

    Neither a weight nor the input reaches it in the first case. A second number that is one
    constant is a choice, and so are weights that are all frozen.
    """
    parameters = probe.model.parameters() if isinstance(probe.model, nn.Module) else []
    if not any(parameter.requires_grad for parameter in parameters):
        return "", False
    leaves = []
    mu, second = probe.call_encoder(natural, 1.0, leaves)
    if natural.mu.requires_grad or mu.requires_grad:
        outputs = mu, second
        alike = all(_same_for_each_image(output) for output in outputs)
        return "", alike and _no_slope(outputs, leaves)
    constant = natural.second.detach().amax() == natural.second.detach().amin()
    alone = natural.second.requires_grad or second.requires_grad or constant
    return ("mu" if alone else "mu and the second number"), False


def _same_for_each_image(output):
    """To rounding: equal rows of a matrix may be multiplied in another order each."""
    apart = (output - output[:1]).detach().abs().amax()
    return bool(apart <= 1e-5 * (1 + output.detach().abs().amax()))


def _no_slope(outputs, leaves):
    """Whether the gradient of the outputs with respect to each of the leaves is exactly 0."""
    found = [_weighted(output) for output in outputs if output.requires_grad]
    if not leaves:  # the inputs are whole numbers, such as labels
        return False
    slopes = torch.autograd.grad(sum(found), leaves, allow_unused=True) if found else ()
    return all(slope is None or not slope.any() for slope in slopes)


def _weighted(output):
    """The sum with a weight of its own for each number: the sum of a softmax has no slope."""
    return (torch.rand(output.shape, generator=torch.Generator().manual_seed(0)) * output).sum()
