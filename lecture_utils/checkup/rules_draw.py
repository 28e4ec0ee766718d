"""Rules from measurements to findings: how z is drawn, and whether draw and KL agree."""

import math

from lecture_utils.checkup import forms
from lecture_utils.checkup.examined import COLLAPSE, DRAW, case
from lecture_utils.checkup.report import Finding

import torch


def paths(e):
    """A gradient that is lost in the calls of encoder and decoder, beside the draw."""
    if e.draw is None or e.draw.none:  # what the decoder gets may then be no code
        return
    if e.paths.decoder_cut:
        yield Finding(
            "detached-decoder",
            "fault",
            "no gradient passes from the decoder's output to z",
            "d output / d z does not exist",
            (
                ".detach(), no_grad() or numpy in decode: the encoder sees only the KL, and must "
                "collapse",
            ),
            case(14),
        )
    elif e.paths.decoder_flat > 0.99 and e.trained:  # else a last layer may start from zero
        yield _deaf(e.paths.decoder_flat, e.paths.decoder_constant)
    if e.paths.encoder_cut:
        yield Finding(
            "detached-encoder",
            "fault",
            "no gradient passes through encode",
            f"what encode returns for {e.paths.encoder_cut} has no gradient, neither to the "
            "weights nor to the inputs",
            ("no_grad() round encode, .detach() or .data in it: the encoder is never trained",),
            case(14),
        )


def _deaf(flat, constant):
    """A decoder without a slope in z: it is the same for each z (`constant`), or flat where this
    share of the codes of x lies."""
    dead = (
        "a hidden layer of the decoder whose ReLUs are off for every code"
        + ("" if constant else " of x")
        + ": no gradient comes back through it, and the encoder sees only the KL. Begin anew, with "
        "KL annealing, free bits, a far lower rate and more time, or with LeakyReLU or SiLU"
    )
    steps = "round, sign, argmax or clamp in decode, or a tanh or sigmoid far from zero"
    left_out = (
        "z is multiplied by 0, replaced or left out in decode, or meets weights that are all 0"
    )
    where = "every code of x" if flat == 1 else f"all but {1 - flat:.2%} of the codes of x"
    return Finding(
        "deaf-decoder",
        "fault",
        "the decoder returns the same for each z"
        if constant
        else "no gradient of the decoder's output comes back to z",
        f"d output / d z is exactly 0 at {where}, and codes that lie far away give "
        + ("the same output" if constant else "another: it is flat, or a step, where they lie"),
        (left_out, dead) if constant else (dead, steps),
        f"{case(14)}, and {COLLAPSE}" if constant else f"notebook 10, {COLLAPSE}",
    )


def draw_rules(e):
    """A draw without noise, gradient, variance 1 or independent epsilons."""
    d = e.draw
    if d is None:
        return
    if d.none:
        yield Finding(
            "no-draw",
            "fault",
            "nothing is drawn: the decoder gets mu, or a function of it",
            "with mu planted, the decoder gets the same numbers in every call, whatever the second "
            "number is",
            (
                "an autoencoder with a KL: the noise is forgotten",
                "the loss takes the branch of evaluation mode",
            ),
            case(11),
        )
        return
    if e.no_gradient:
        pass  # then the draw has none either
    elif d.to_mu is None:
        yield Finding(
            "detached-draw",
            "fault",
            "no gradient reaches mu through the draw",
            "d z / d mu does not exist",
            (
                "mu is detached in the draw, sigma is not: mu sees only the KL"
                if d.to_second
                else "sample() for rsample(), .detach() or no_grad round the draw: the encoder "
                "sees only the KL, and must collapse",
            ),
            case(14),
        )
    elif not _follows_mu(d):
        yield Finding(
            "mu-activation",
            "fault",
            "z does not follow mu",
            f"d z / d mu is {d.to_mu:.3g} on average, where it is 1",
            _causes_of_another_slope(e),
            DRAW,
        )
        return  # what is added to mu is then not known
    elif not d.to_second:
        yield Finding(
            "no-gradient-spread",
            "fault",
            "no gradient reaches the second number through the draw",
            "d z / d (second number) is 0",
            ("sigma is detached, or left out of the draw",),
            case(14),
        )
    if d.fixed is not None:
        yield _constant_epsilon(d)
        return
    if d.repeated:
        yield Finding(
            "seed-inside",
            "fault",
            "each call draws the same epsilon",
            "(z - mu) / sigma is the same in all calls",
            ("a seed is set inside the loss",),
            DRAW,
        )
    if d.shared:
        yield Finding(
            "shared-epsilon",
            "fault",
            f"all {d.shared} get the same epsilon",
            f"(z - mu) / sigma has no spread over the {d.shared}",
            ("randn of the wrong shape, broadcast",),
            DRAW,
        )
    off_centre = _off_centre(d)
    if off_centre and d.reading:  # else it is not known by what to divide: `_unreadable`
        yield Finding(
            "epsilon-mean",
            "fault",
            "epsilon's mean is not 0",
            f"{d.mean:.3f} ± {d.mean_error:.3f}",
            ("torch.rand where torch.randn is meant",)
            if abs(d.mean - 0.5) < 0.1
            else ("a number is added to the noise, or it is drawn from another distribution",),
            DRAW,
        )
    if d.reading == "constant":
        yield Finding(
            "constant-spread",
            "fault",
            "the draw does not use the second number",
            f"variance {d.scale:.3g} at each planted value",
            ("sigma is left out of the draw",),
            case(1),
        )
    elif (
        d.reading
        and not e.own_sigma
        and abs(d.scale - 1) > 0.03 + 6 * d.scale_error
        and not (d.repeated or off_centre)
        and _reading_agrees(e) is not False
    ):
        yield Finding(
            "draw-variance",
            "fault",
            "the draw has the wrong variance",
            f"variance of (z - mu) / sigma {d.scale:.4g} ± {d.scale_error:.2g}, where it is 1",
            ("epsilon has a scale of its own", "a factor in sigma"),
            case(1),
        )


def _off_centre(d):
    """Whether (z - mu) / sigma has another mean than 0."""
    return not d.repeated and not d.shared and abs(d.mean) > 0.02 + 6 * d.mean_error


def _causes_of_another_slope(e):
    """Why z does not move with mu: if not at all, the two numbers may have changed places."""
    activation = "an activation between this layer and the draw"
    if not e.dose.kl_mu:
        return ("encode or fields name the two numbers in the wrong order", activation)
    if abs(e.draw.to_mu) < 0.05 and e.draw.to_second:
        return ("the draw is given the two numbers in the wrong order", activation)
    return (activation,)


def _follows_mu(d):
    """Whether z moves with mu as mu + noise does. True where no gradient tells."""
    return d.to_mu is None or abs(d.to_mu - 1) <= 0.05


def _constant_epsilon(d):
    if abs(d.fixed - 1) < 1e-3:
        cause = "epsilon is forgotten: z = mu + sigma"
    else:
        cause = "a number stands where torch.randn is meant"
    return Finding(
        "constant-epsilon",
        "fault",
        "nothing is drawn: epsilon is a constant",
        f"(z - mu) / sigma is {d.fixed:.3g} for all images, units and calls",
        (cause,),
        DRAW,
    )


def shape_of_epsilon(e):
    """An epsilon of the right variance that is not normal."""
    d = e.draw
    usual = d and not (d.none or d.repeated or d.shared) and _follows_mu(d) and not _off_centre(d)
    if usual and d.reading and abs(d.kurtosis - 3) > 0.3 + 20 * d.scale_error:
        yield Finding(
            "epsilon-shape",
            "fault",
            "epsilon is not normal",
            f"kurtosis of (z - mu) / sigma {d.kurtosis:.2f}, where a normal has 3",
            ("another distribution than torch.randn, or a clamp on it",),
            DRAW,
        )


def same_numbers(e):
    """One layer used for both numbers; two that start from zero only look alike."""
    mu, second = e.natural.mu, e.natural.second
    if mu.shape == second.shape and torch.equal(mu, second) and mu.min() < mu.max():
        yield Finding(
            "same-numbers",
            "fault",
            "mu and the second number are the same numbers",
            "they agree on x to the last digit",
            ("one layer is used for both",),
            DRAW,
        )


def _reading_agrees(e):
    if (
        not (e.draw and e.dose and e.draw.reading and e.dose.reading)
        or e.draw.reading == "constant"
    ):
        return None
    return e.draw.reading == e.dose.reading


def _unreadable(e):
    """Where the draw is that of no reading, compare its variances with what the KL charges."""
    d = e.draw
    if not (d and e.dose and e.dose.reading and d.log_variances and not d.reading):
        return
    charged = 2 * forms.sigma_of(e.dose.reading, torch.tensor(d.seconds)).log()
    apart = (torch.tensor(d.log_variances) - charged).abs().max().item()
    if d.repeated or not apart > 0.05 + 15 * d.scale_error / max(d.scale, 1e-12):
        return
    how_far = (
        f"the log variances of the draws are off by up to {apart:.2f}"
        if math.isfinite(apart)
        else "there is a value of it at which the draws have no spread at all"
    )
    power = "a wrong power, sign or offset in sigma"
    added = "sigma is added to the noise, where it multiplies it"
    yield Finding(
        "readings-differ",
        "fault",
        "the spread that is drawn is not the one that the KL charges",
        f"the KL reads a {e.dose.reading}; {how_far}",
        (added, power) if _off_centre(d) else (power,),
        case(1),
    )


def agreement(e):
    """A draw and a KL that read the second number differently."""
    if e.own_sigma or (e.draw and not _follows_mu(e.draw)):  # what is added is then not known
        return
    yield from _unreadable(e)
    if _reading_agrees(e) is False:
        drawn, charged = e.draw.reading, e.dose.reading
        cause = {
            ("log sigma", "log-variance"): (
                "if the second number is a log-variance: exp(logvar) as the scale of the noise, "
                "where "
                "exp(logvar / 2) is needed",
                "if it is a log sigma: the KL's formula is that of a log-variance",
            ),
            ("log-variance", "log sigma"): (
                "if the second number is a log-variance: the KL reads it as a log sigma",
                "if it is a log sigma: the draw halves it",
            ),
            ("number that is four times the log sigma", "log-variance"): (
                "the log-variance is halved twice in the draw: exp(logvar / 4)",
            ),
            ("log-variance", "number that is four times the log sigma"): (
                "the KL halves the log-variance before it takes it for one",
            ),
        }
        yield Finding(
            "readings-differ",
            "fault",
            "draw and KL read the encoder's second number differently",
            f"the draw takes it for: {drawn}; the KL for: {charged}",
            cause.get((drawn, charged), ("the two come from different tutorials",)),
            case(1 if drawn == "log sigma" else 2),
        )
