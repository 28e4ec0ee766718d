"""What a report says beside its findings: what is in order, and what is not known."""

from lecture_utils.checkup import forms
from lecture_utils.checkup.rules_model import elbo_is_known
from lecture_utils.checkup.state import LEARNED_ON


def in_order(e) -> list[str]:
    """Return a line for each measurement that came out as it should."""
    lines = []
    as_meant = all(abs(value / e.beta - 1) <= 0.01 for value in e.doses.values())
    if e.doses and as_meant and not e.dose.strange_kl and e.dose.likelihood.weight > 0:
        kind = "a Gaussian of variance 1/2" if e.squared else e.dose.likelihood.name
        lines.append(f"the dose: the KL weighs {e.beta:g} against the error ({kind})")
    elif e.dose and e.dose.likelihood:
        lines.append(f"the error is known: {e.dose.likelihood.name}")
    if (
        e.draw
        and e.draw.reading in forms.READINGS
        and not (e.draw.shared or e.draw.repeated or e.own_sigma)
        and abs(e.draw.scale - 1) < 0.03 + 6 * e.draw.scale_error
    ):
        lines.append(
            f"the draw: with the second number as a {e.draw.reading}, the variance of (z - mu) / "
            f"sigma is {e.draw.scale:.3f} ± {e.draw.scale_error:.3f}"
        )
    if e.draw and e.draw.to_mu is not None and e.draw.to_second and not e.paths.cut:
        lines.append("the gradient passes through the draw to both numbers")
    if e.learned and e.learned.error < e.learned.without_code:
        gain = e.learned.without_code - e.learned.error
        lines.append(
            f"what is learned: {e.learned.active} of {len(e.learned.kl_units)} units active, KL "
            f"{'' if e.standard_prior else 'to N(0, I) '}{e.learned.kl_units.sum():.1f} nats; "
            f"the {'squared ' * e.squared}error is {gain:.3g} {'' if e.squared else 'nats '}below "
            "that of the mean image"
        )
    return lines


def missing(e) -> list[str]:
    """Return what the loss is made of and could not be measured: then no faults say little."""
    if e.dose is None or e.no_gradient:
        return []
    found = {
        "the error": e.dose.likelihood or e.dose.no_error,
        "the KL": not e.dose.strange_kl or e.own_sigma or e.prior_variance is not None,
        "the draw": e.draw is not None,
    }
    return [name for name, known in found.items() if not known]


def unknown(e, natural) -> list[str]:
    """Return a line for what could not be measured, and for what it would take."""
    lines = []
    if e.dose is None:
        return ["dose, draw and all the rest: the numbers are not finite"]
    if not e.dose.likelihood and not e.dose.no_error:
        lines.append(
            "the likelihood: the error's gradient is that of no form this check-up knows "
            "(Bernoulli, squared error, continuous "
            "Bernoulli), so the dose cannot be known"
        )
    if e.own_sigma:
        lines.append(
            "what sigma is: another function of the second number than those that this check-up "
            "knows. Draw and KL take the same one, as far as can be measured"
        )
    elif e.dose.strange_kl and e.prior_variance is None:
        lines.append(
            "the KL's weight: its gradient is not that of a KL to N(0, I) (another prior, free "
            "bits, a bound on it, a wrong formula)"
        )
    if e.draw is None:
        lines.append(
            "the draw: what the decoder gets has not the shape of mu, or does not move with it; "
            "name the first call after the draw, and in encode the layers of mu and the second "
            "number"
        )
    if e.learned is None:
        lines.append(
            f"what is learned: it takes {LEARNED_ON} images, a known likelihood that fits the "
            "pixels, a known reading, and an error that compares with x or x on another scale"
        )
    if e.squared:
        lines.append(
            "whether a weight in a squared error is a variance or a beta: the two give the same "
            "loss up to a constant factor"
        )
    if e.evaluation is None:
        lines.append("what the evaluation does: give evaluate=")
    elif e.evaluation.own_images:
        lines.append(
            "whether the reported number leaves images out, or depends on their order: the "
            "evaluation encodes images of its own, not the x that it is given"
        )
    elif sum(e.evaluation.batches) > len(e.x):
        lines.append(
            f"whether the reported number is the ELBO: the evaluation encodes "
            f"{sum(e.evaluation.batches)} images, and x has {len(e.x)}"
        )
    elif not elbo_is_known(e):
        lines.append(
            "whether the reported number is the ELBO: it takes a Bernoulli of x itself, the prior "
            "N(0, I), and an evaluation that calls encode"
        )
    if natural.decoder_calls > 1:
        lines.append(
            f"the loss decodes {natural.decoder_calls} times; the first call whose code moves with "
            "mu was examined"
        )
    return lines
