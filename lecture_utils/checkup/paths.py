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

    @property
    def cut(self) -> str:
        """The call in which the gradient is lost: "decode", "encode" or ""."""
        return "decode" if self.decoder_cut else "encode" if self.encoder_cut else ""


def measure_paths(probe: Probe, natural: Trace) -> Paths:
    """Call decode with other codes, and encode with inputs that can be differentiated by.

    The calls draw from a fork of the random state: what is measured afterwards draws as ever.
    """
    with torch.random.fork_rng(devices=[]):
        return Paths(*_decoder(probe, natural), _encoder(probe, natural))


def _decoder(probe, natural):
    """Whether the decoder's output has no gradient with respect to z, at which share of the codes
    it is 0, and whether the output is the same for each z."""
    if not natural.z.is_floating_point():  # a label, which stands before the code
        return False, 0.0, False
    z = natural.z.detach().clone().requires_grad_()
    output = probe.call_decoder(natural, lambda _: z.clone())
    # Weights of their own for each pixel: the sum of a softmax, for one, has no slope.
    weights = torch.rand(output.shape, generator=torch.Generator().manual_seed(0)).to(output)
    slope = None
    if output.requires_grad:
        (slope,) = torch.autograd.grad((weights * output).sum(), z, allow_unused=True)
    with torch.no_grad():
        far = probe.call_decoder(natural, lambda z: STRESS * torch.randn_like(z))
    if slope is None:
        return True, 0.0, False
    flat = (slope == 0).reshape(len(slope), -1).all(dim=1).double().mean().item()
    return False, flat, flat == 1 and torch.equal(far, output)


def _encoder(probe, natural):
    """What encode returns without a gradient, in words; "" if all is well.

    Neither a weight nor the input reaches it then. A second number that is one constant is a
    choice, and so are weights that are all frozen.
    """
    parameters = probe.model.parameters() if isinstance(probe.model, nn.Module) else []
    if not any(parameter.requires_grad for parameter in parameters):
        return ""
    mu, second = probe.call_encoder(natural, 1.0, differentiable=True)
    if natural.mu.requires_grad or mu.requires_grad:
        return ""
    constant = natural.second.detach().amax() == natural.second.detach().amin()
    alone = natural.second.requires_grad or second.requires_grad or constant
    return "mu" if alone else "mu and the second number"
