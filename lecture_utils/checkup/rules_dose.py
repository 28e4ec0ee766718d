"""Rules from measurements to findings: the signs and weights of the loss's terms, and the KL's
formula."""

from lecture_utils.checkup import forms
from lecture_utils.checkup.examined import case
from lecture_utils.checkup.report import Finding

import torch


def prices_differ(e) -> bool:
    """Whether the KL weighs something else through mu than through the second number."""
    if e.own_sigma:  # a reading that was only near its function
        return False
    mu, second = e.doses.get("mu"), e.doses.get("the second number")
    if not (mu and second):
        return False
    fits = e.dose.kl_mu, e.dose.kl_second
    noise = 6 * sum(fit.error / abs(fit.slope) for fit in fits) if e.dose.estimated else 0
    return abs(second / mu - 1) > max(0.01, noise)


def signs(e):
    """Terms of the loss that are maximised where they should be minimised."""
    if not (e.dose and e.dose.likelihood):
        return
    error, kl = e.dose.likelihood.weight, e.dose.kl_mu.slope if e.dose.kl_mu else None
    if prices_differ(e):  # a term of the KL has the wrong sign or weight, not the KL: `kl_formula`
        kl = None
    evidence = f"the error's weight in the loss is {error:.4g}"
    evidence += f", the KL's {kl:.4g}" if kl is not None else ""
    if error < 0 and kl is not None and kl < 0:
        yield Finding(
            "loss-sign",
            "fault",
            "the whole loss has the wrong sign: it is the ELBO, which is maximised",
            f"{evidence}; both are positive in a loss that is minimised",
            ("the minus before the ELBO is forgotten",),
            case(3),
        )
    elif error < 0:
        yield Finding(
            "error-sign",
            "fault",
            "the error has the wrong sign",
            f"{evidence}; each is positive in a loss that is minimised",
            ("log p(x|z) is added where -log p(x|z) is needed",),
            case(3),
        )
    elif kl is not None and kl < 0:
        yield Finding(
            "kl-sign",
            "fault",
            "the KL has the wrong sign",
            _weights(e),
            ("the slide's L2 = -KL, which is maximised, in a loss that is minimised",),
            case(3),
        )


def beta(e):
    """The KL's weight over the error's, where it is not the one that is meant."""
    mu = e.doses.get("mu")
    if mu is None or prices_differ(e):  # `kl_formula` says so
        return
    ratio = mu / e.beta
    error = abs(ratio) * e.dose.kl_mu.error / max(abs(e.dose.kl_mu.slope), 1e-300)
    said, evidence = _said(e, ratio), _weights(e)
    if ratio < 0:
        return  # a matter of signs, not of weights
    if batch_trouble(e):
        yield Finding(
            "kl-batch",
            "fault",
            "the KL's weight depends on the batch size",
            evidence + f"; on half of the batch it is {e.dose.half:.3g} times as large",
            (
                "the KL is averaged over the batch and divided by its size once more",
                "one term is summed over the batch, the other averaged",
            )
            if e.dose.half > 1
            else (
                "the error is averaged over the batch, the KL summed or divided by a fixed number",
                "the error is averaged over the batch and divided by its size once more",
            ),
            "notebook 10, exercise 1",
        )
    elif e.dose.strange_kl and not e.own_sigma:
        return  # a slope through mu is then no weight
    elif e.squared:
        yield from _variance(e, ratio, said, evidence)
    elif abs(ratio - 1) > max(0.01, 5 * error):
        yield Finding(
            "beta",
            "fault",
            "a hidden beta: the KL "
            + (
                f"weighs {ratio:.3g} times too much"
                if ratio > 1
                else f"has only {ratio:.3g} of its weight"
            ),
            evidence,
            _beta_causes(ratio, said),
            case(_beta_case(ratio, said)),
        )


def _said(e, ratio):
    """Which simple number the ratio is, in words."""
    return forms.name_of_number(ratio, e.sizes, 2e-3 if not e.dose.estimated else 0.03)


def _weights(e):
    """The evidence: the weights that were measured, and what they are as they stand."""
    mu, through = e.doses["mu"], e.doses.get("the second number")
    ratio = mu / e.beta
    said, reading = _said(e, ratio), e.dose.reading or "second number"
    evidence = (
        f"weight of the KL over that of the error: {mu:.4g} through mu"
        + (f", {through:.4g} through the {reading}" if through is not None else "")
        + (f"; {said}" if said else "")
    )
    if e.beta != 1:
        evidence += f"; beta = {e.beta:g} is meant, and {ratio:.4g} is left"
    if e.squared and ratio > 0:
        evidence += f". As it stands, a Gaussian of variance {0.5 * mu:.4g}"
    return evidence


def batch_trouble(e):
    """Whether the KL's weight over the error's is another one on half of the batch."""
    return e.dose.half and abs(e.dose.half - 1) > 0.3


BOTH_AVERAGED = "both terms are averaged: the error over the pixels, the KL over the latent units"


def _beta_causes(ratio, said):
    meant = "a beta that is meant: say beta=..."
    if said.startswith("2"):
        return ("the 1/2 of the KL is dropped", "a beta of 2 that is meant: say beta=2")
    if said.startswith("pixels / latent"):
        return (BOTH_AVERAGED, meant)
    if said.startswith("pixels ("):
        return ("the error is averaged over the pixels, the KL summed", meant)
    if said.startswith("1 / pixels"):
        return ("the KL is divided by the pixels, the error summed",)
    if said.startswith("1 / latent"):
        return ("the KL is averaged over the latent units",)
    return (
        "a beta in the loss: if it is meant, say beta=...",
        "KL annealing that has not come to its end",
        "a mean in one term and a sum in the other",
    )


def _beta_case(ratio, said):
    return 4 if said.startswith("2") else 6 if ratio > 1 else 5


def _variance(e, ratio, said, evidence):
    variance = 0.5 * ratio * e.beta
    largest = widest_variance(e)
    hidden = "pixels" in said or "latent" in said or "batch" in said
    evidence += f"; the widest direction of the images has variance {largest:.3g}"
    if ratio > 1.01 and (hidden or variance > largest):
        yield Finding(
            "beta",
            "fault",
            f"a hidden beta: this squared error is a Gaussian of variance {variance:.4g}",
            evidence,
            _variance_causes(said),
            case(19),
        )
    elif hidden:
        yield Finding(
            "beta",
            "fault",
            f"a hidden beta: this squared error is a Gaussian of variance {variance:.4g}",
            evidence,
            ("the KL is averaged or divided, the squared error summed",),
            case(5),
        )
    elif abs(ratio - 1) > 0.01 or variance > largest:
        yield Finding(
            "variance",
            "note",
            f"the squared error says: Gaussian pixels of variance {variance:.4g}, if beta is 1",
            evidence,
            ("a variance that is meant, or a weight on one of the terms",)
            if variance <= largest
            else ("it is wider than the images vary: the code may not pay for itself",),
            'notebook 03, "Squared error"',
        )


def widest_variance(e) -> float:
    """The variance of the targets in the direction in which they vary most."""
    x = e.targets[:500]
    x = x - x.mean(0)
    return torch.linalg.svdvals(x)[0].square().item() / max(len(x) - 1, 1)


def _variance_causes(said):
    never = "a variance that was never chosen"
    if said.startswith("pixels / latent"):
        return (BOTH_AVERAGED, never)
    if said.startswith("pixels ("):
        return ("mse_loss with its default mean over the pixels, beside a summed KL", never)
    return (never, "a weight on one of the terms, or a mean in one and a sum in the other")


def _slope(dose, variance):
    """The KL's slope in the second number, in units in which that in mu is mu / variance."""
    unit = dose.kl_mu.slope * variance
    terms = {name: value / unit for name, value in dose.terms.items()}
    written = [f"{v:+.3g} {name}".replace(" 1", "") for name, v in terms.items() if abs(v) > 1e-3]
    return "d KL / d s = " + " ".join(written)


def kl_formula(e):
    """A KL whose slopes are those of no KL to N(0, I)."""
    d = e.dose
    if not d or d.silent[0] or d.silent[1]:
        return
    if d.kl_mu and e.prior_mean_moved:
        yield Finding(
            "prior-mean",
            "note",
            "the prior's mean is not 0",
            f"the KL is smallest at mu = {d.offset:.3g}",
            ("another prior, or a wrong term in mu",),
            case(2),
        )
    if e.prior_variance is not None:
        yield Finding(
            "prior-variance",
            "note",
            f"the KL is that of a prior of variance {e.prior_variance:.3g}, not 1",
            _slope(d, e.prior_variance),
            ("a prior N(0, v I) that is meant", "a wrong factor before a term of the KL"),
            case(2),
        )
    elif d.kl_mu and d.terms and (e.own_sigma is False or e.own_sigma is None and d.exact):
        yield Finding(
            "kl-formula",
            "fault",
            "the KL's formula is wrong in the second number",
            f"{_slope(d, 1)}; for a log-variance s it is -0.5 +0.5 exp(s), for a log sigma "
            "-1 +1 exp(2 s)",
            ("a term is missing or has a wrong factor",),
            case(2),
        )
    if d.kl_second and not d.kl_mu and not d.estimated:
        yield Finding(
            "kl-formula",
            "fault",
            "the KL's formula is wrong in mu",
            f"in the second number it is that of a {d.reading}; its slope in mu is not mu",
            ("mu squared is left out, or something else stands in its place",),
            case(2),
        )
    if prices_differ(e):
        mu, second = e.doses["mu"], e.doses["the second number"]
        yield Finding(
            "kl-formula",
            "fault",
            "the KL charges mu and the spread at different prices",
            f"weight {mu:.4g} through mu, {second:.4g} through the {d.reading}",
            ("a term of the formula is missing or has a wrong factor",),
            case(2),
        )
