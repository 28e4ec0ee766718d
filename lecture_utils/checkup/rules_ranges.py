"""Rules from measurements to findings: inputs, outputs and codes that end where they should not."""

from lecture_utils.checkup import forms
from lecture_utils.checkup.examined import case
from lecture_utils.checkup.measure import span
from lecture_utils.checkup.report import Finding

import torch


def input_range(e):
    """Pixels outside [0, 1], grey or thresholded under a Bernoulli."""
    if e.bernoulli:
        target = e.dose.likelihood.target
        t_low, t_high = target.min().item(), target.max().item()
        if t_low < -0.02 or t_high > 1.02:
            yield Finding(
                "inputs-outside",
                "fault",
                "a Bernoulli is asked for pixels outside [0, 1]",
                f"targets from {t_low:.3g} to {t_high:.3g}: the error has no lower bound",
                ("Normalize, or [-1, 1], left over from another model", "pixels from 0 to 255"),
                case(15),
            )
        else:
            seen = e.x[: len(e.natural.mu)].flatten()  # of these there are targets
            grey = ((seen > 0.02) & (seen < 0.98)).double().mean().item()
            grey_target = ((target > 0.02) & (target < 0.98)).double().mean().item()
            if grey_target > 0.01:
                p = e.targets.clamp(1e-9, 1 - 1e-9)
                floor = -(p * p.log() + (1 - p) * (1 - p).log()).sum(1).mean().item()
                yield Finding(
                    "grey-pixels",
                    "note",
                    "a Bernoulli is asked for grey pixels: the number is no log-likelihood",
                    f"{grey_target:.1%} of the targets are grey; the error cannot fall below "
                    f"{floor:.1f} nats an image",
                    ("grey instead of drawn pixels",),
                    case(21),
                )
            elif grey > 0.01 and len(target) == len(seen):
                same = ((target > 0.5) == (seen > 0.5)).double().mean().item()
                if same > 0.9999:
                    yield Finding(
                        "thresholded",
                        "note",
                        "grey pixels are thresholded, not drawn",
                        f"{grey:.1%} of x is grey; every target is 1 where x is above 1/2, and 0 "
                        f"elsewhere",
                        (
                            "another data set than drawn pixels: no number may be compared with "
                            "theirs",
                        ),
                        case(9),
                    )
    low, high = span(e.natural.batches[0])  # a loss may divide x by 255 itself
    if max(abs(low), abs(high)) > 20:
        yield Finding(
            "inputs-outside",
            "fault",
            "the inputs are far larger than 1",
            f"the encoder gets values from {low:.3g} to {high:.3g}",
            ("pixels from 0 to 255: divide by 255",),
            case(15),
        )


def output_range(e):
    """Outputs that end where the likelihood needs more."""
    if not e.dose or not e.dose.likelihood:
        return
    name, limits = e.dose.likelihood.name, e.ranges.output_limits
    seen = f"outputs from {e.ranges.output[0]:.3g} to {e.ranges.output[1]:.3g} on x"
    t = e.dose.likelihood.target
    if name == "sigmoid twice" or (name == "Bernoulli, logits" and limits == "unit"):
        in_loss = name == "sigmoid twice"
        where = (
            "the loss takes sigmoid(output) for a logit"
            if in_loss
            else "with far larger codes they do not leave [0, 1]"
        )
        yield Finding(
            "sigmoid-twice",
            "fault",
            "probabilities are taken for logits: the sigmoid is applied twice",
            f"{seen}; {where}: p lies between 0.5 and 0.73",
            (f"a {_end('sigmoid', in_loss)}, and binary_cross_entropy_with_logits",),
            case(16),
        )
    elif name == "logits of a tanh" or (name == "Bernoulli, logits" and limits == "tanh"):
        in_loss = name == "logits of a tanh"
        where = (
            "the loss takes tanh(output) for a logit"
            if in_loss
            else "with far larger codes they do not leave [-1, 1]"
        )
        yield Finding(
            "tanh-outputs",
            "fault",
            "the logits cannot leave [-1, 1]",
            f"{seen}; {where}",
            (f"a {_end('tanh', in_loss)}",),
            case(7),
        )
    elif name == "Bernoulli, logits" and limits == "floor":
        yield Finding(
            "relu-outputs",
            "fault",
            "the logits cannot be negative",
            seen,
            ("a ReLU at the decoder's end",),
            case(7),
        )
    elif name == "squared error" and (
        (limits == "unit" and (t.min() < -0.05 or t.max() > 1.05))
        or (limits == "floor" and t.min() < -0.05)
        or (limits == "tanh" and t.max() > 1.2)
    ):
        yield Finding(
            "output-range",
            "fault",
            "the decoder cannot reach the targets",
            seen + f"; targets from {t.min():.3g} to {t.max():.3g}",
            ("an activation that does not fit the pixels' scale",),
            case(15),
        )


def _end(activation, in_loss):
    """Where the activation stands, in the loss or in the decoder."""
    return f"{activation} in the loss" if in_loss else f"{activation} at the decoder's end"


def code_range(e):
    """Activations on mu or the second number, and a sigma that explodes."""
    r, reading = e.ranges, (e.dose.reading if e.dose else "") or (e.draw.reading if e.draw else "")
    if e.draw is not None and r.mu_limits in ("floor", "unit", "tanh"):  # else it may be no mu
        yield Finding(
            "mu-activation",
            "fault",
            "mu is bounded",
            f"mu from {r.mu[0]:.3g} to {r.mu[1]:.3g} on x; far larger inputs "
            f"do not leave {_limits(r.mu_limits)}",
            ("an activation on the encoder's last layer",),
            "notebook 10, exercise 3",
        )
    exponential = reading in ("log-variance", "log sigma") and not e.own_sigma
    if exponential and r.second_limits in ("floor", "unit", "tanh"):
        least = forms.sigma_of(
            reading, torch.tensor(0.0 if r.second_limits != "tanh" else -1.0)
        ).item()
        yield Finding(
            "spread-activation",
            "fault",
            f"sigma cannot be less than {least:.2g}",
            f"the second number from {r.second[0]:.3g} to {r.second[1]:.3g} on x; it does not "
            f"leave {_limits(r.second_limits)}",
            ("an activation on the log-variance: it is any real number",),
            case(18),
        )
    if reading and reading != "constant" and not e.own_sigma:
        sd = forms.sigma_of(reading, torch.tensor(r.second[1], dtype=torch.float64)).item()
        if not sd < 20:
            yield Finding(
                "exploding-spread",
                "fault",
                "sigma explodes",
                f"the largest sigma on x is {sd:.3g}, the prior's is 1",
                (
                    "a log-variance without bound on inputs that are too large",
                    "a last layer with too large weights",
                ),
                case(17),
            )


def _limits(name):
    return {"unit": "[0, 1]", "tanh": "[-1, 1]", "floor": "[0, inf)"}[name]
