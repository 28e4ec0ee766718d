"""Rules from measurements to findings: the terms of the loss, and how it joins images."""

import math

from lecture_utils.checkup.examined import case
from lecture_utils.checkup.report import Finding
from lecture_utils.checkup.rules_dose import batch_trouble
from lecture_utils.checkup.state import NAN_WEIGHTS

import torch

EXPONENT = "exp(logvar) overflows: bound logvar from above, or scale the inputs to [0, 1]"
RAN_AWAY = "weights that are NaN, of a training that ran away: train anew, with a smaller rate"
# By where the number is first.
CAUSES = {
    "the inputs x": ("the data hold NaN or infinity",),
    "the second number": (EXPONENT,),
    "z": (EXPONENT,),
    "the loss": ("log of 0: use binary_cross_entropy_with_logits", EXPONENT),
}


def nonfinite(e):
    """A number that is NaN or infinite, and where first."""
    if not e.nonfinite:
        return
    place = e.nonfinite[0]
    causes = CAUSES.get(place, ("a division by 0, or numbers that are too large", RAN_AWAY))
    if place.startswith("layer"):  # of which it is known whether its weights are finite
        causes = (RAN_AWAY,) if NAN_WEIGHTS in place else causes[:1]
    yield Finding(
        "not-finite",
        "fault",
        "a number is NaN or infinite",
        f"first in {place}",
        causes,
        case(8 if place == "the loss" else 17),
    )


def presence(e):
    """A term that is missing from the loss."""
    if not e.dose:
        return
    if e.no_gradient:
        yield Finding(
            "no-gradient",
            "fault",
            "the loss has no gradient",
            "it does not depend on what encode and decode return, nor on a weight, as far as "
            "autograd knows",
            (
                "torch.no_grad() or inference_mode() round the loss",
                "what is returned is detached, or made of loss.item()",
            ),
            case(14),
        )
        return
    if e.dose.silent[0] and e.dose.silent[1]:
        yield Finding(
            "no-kl",
            "fault",
            "there is no KL in the loss",
            "d loss / d mu and d loss / d (second number) are exactly 0 "
            "when the decoder's output is held",
            (
                "the KL is computed and not added",
                "it is added detached, or its weight is 0",
                "KL annealing that has just begun",
            ),
            case(5),
        )
    elif e.dose.silent[0] or e.dose.silent[1]:
        which = "mu" if e.dose.silent[0] else "the second number"
        yield Finding(
            "half-a-kl",
            "fault",
            f"the KL does not see {which}",
            f"d KL / d {which} is exactly 0",
            ("a term of the formula is missing",),
            case(2),
        )
    if e.dose.no_error:
        yield Finding(
            "no-reconstruction",
            "fault",
            "the loss does not depend on what the decoder returns",
            "d loss / d output is exactly 0",
            ("the error is detached, or not added",),
            'notebook 03, "What is lost with only one of the terms"',
        )


def joined(e):
    """How the images of a batch are joined."""
    d = e.dose
    if not d or not d.likelihood:
        return
    if d.batch == "neither" and not batch_trouble(e) and not d.silent[0]:
        yield Finding(
            "joined",
            "note",
            "the loss of a batch is neither the mean nor the sum of its images' losses",
            "loss of 2 n images against the losses of n and n",
            (
                "a term that is added once a batch, as weight decay is",
                "a loss that looks across the batch",
            ),
            case(13),
        )
    if d.batch == "sum":
        yield _summed(e)


def _summed(e):
    """The finding of a loss that grows with the batch, perhaps divided by a number of its own."""
    n = len(e.natural.mu)
    times = e.dose.likelihood.weight * n
    evidence = "the loss of a batch is that of its first half plus that of its second"
    causes = (
        "not wrong: but the learning rate then depends on the batch size (Adam hardly minds)",
    )
    if not e.squared:  # whose own weight may be a variance
        evidence += f"; on {n} images it is {times:.4g} times the mean nats of one"
        if abs(times / n - 1) > 0.01:
            causes += ("a division by a fixed batch size, or by the pixels",)
    return Finding(
        "summed-batch",
        "note",
        "the loss is summed over the batch",
        evidence,
        causes,
        'notebook 03, "One number per image, averaged once"',
    )


def target(e):
    """An error that compares with something else than x, or than what a loss that flips or shifts
    images made of x for the encoder."""
    likelihood = e.dose and e.dose.likelihood
    if not likelihood:
        return
    correlations = [
        torch.corrcoef(torch.stack([likelihood.target, x]))[0, 1].item()
        for x in (e.x[: len(e.natural.mu)].double().flatten(), e.dose.inputs.double().flatten())
        if len(likelihood.target) == len(x) and x.std() > 0
    ]
    if not correlations:
        return
    correlation = max(correlations, key=lambda value: (value > 0.3, abs(value)))
    if not correlation > 0.3:
        yield Finding(
            "other-target",
            "fault",
            "the error compares with something that is not x",
            f"correlation of target and x: {correlation:.2f}",
            ("the target is inverted: 1 - x",)
            if correlation < -0.3
            else ("shuffled images, or another tensor",),
            'notebook 03, "The objective, term by term"',
        )


def cap(e):
    """A pixel that cannot cost what its logit says."""
    if e.cap is None:
        return
    probabilities = e.dose.likelihood.name == "Bernoulli, probabilities"
    if not math.isfinite(e.cap):
        yield Finding(
            "log-of-zero",
            "note" if probabilities else "fault",
            "a certain pixel costs inf or NaN, and so does its gradient",
            f"{'certain' if probabilities else 'at a logit of 50'} and wrong, a pixel costs "
            f"{e.cap} nats",
            ("log(p) by hand, without a bound: use binary_cross_entropy_with_logits",),
            case(8),
        )
    elif e.dose.likelihood.name == "Bernoulli, logits" and abs(e.cap - 50) > 1:
        yield Finding(
            "clamped",
            "fault",
            "a wrong pixel does not cost its logit",
            f"at a logit of 50 it costs {e.cap:.4g} nats on average, where 50 is right",
            (
                "the sigmoid is taken first, and the log clamped: use "
                "binary_cross_entropy_with_logits",
                "an epsilon inside the log",
            ),
            case(8),
        )
    elif probabilities:
        yield Finding(
            "clamped",
            "note",
            "the error is computed from probabilities",
            f"a pixel that is certain and wrong costs {e.cap:.4g} nats and then has no gradient",
            ("not wrong for moderate logits; binary_cross_entropy_with_logits has no such end",),
            case(8),
        )
