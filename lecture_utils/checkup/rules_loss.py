"""Rules from measurements to findings: the terms of the loss and their weights."""

from lecture_utils.checkup import forms
from lecture_utils.checkup.examined import case
from lecture_utils.checkup.report import Finding

import torch


def nonfinite(e):
    """A number that is NaN or infinite, and where first."""
    if e.nonfinite:
        yield Finding(
            "not-finite",
            "fault",
            "a number is NaN or infinite",
            f"first in {e.nonfinite[0]}",
            (
                "exp(logvar) overflows: bound logvar from above, or scale the inputs to [0, 1]",
                "log of 0: use binary_cross_entropy_with_logits",
                "the weights are NaN already: train anew, with a smaller learning rate",
            ),
            case(17),
        )


def presence(e):
    """A term that is missing from the loss."""
    if not e.dose:
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
            "notebook 03",
        )


def beta(e):
    """The KL's weight over the error's, where it is not the one that is meant."""
    mu = e.doses.get("mu")
    if mu is None:
        return
    name = e.dose.likelihood.name
    squared = name.startswith("squared")
    ratio, error = (
        mu / e.beta,
        abs(mu / e.beta) * e.dose.kl_mu.error / max(abs(e.dose.kl_mu.slope), 1e-300),
    )
    said = forms.name_of_number(ratio, e.sizes, 2e-3 if not e.dose.estimated else 0.03)
    through = e.doses.get("the second number")
    reading = e.dose.reading or "second number"
    evidence = (
        f"weight of the KL over that of the error: {mu:.4g} through mu"
        + (f", {through:.4g} through the {reading}" if through is not None else "")
        + (f"; {said}" if said else "")
    )
    if e.beta != 1:
        evidence += f"; beta = {e.beta:g} is meant, and {ratio:.4g} is left"
    if squared:
        evidence += f". As it stands, a Gaussian of variance {0.5 * mu:.4g}"
    if ratio < 0:
        yield Finding(
            "kl-sign",
            "fault",
            "the KL has the wrong sign",
            evidence,
            ("the slide's L2 = -KL, which is maximised, in a loss that is minimised",),
            case(3),
        )
    elif _batch_trouble(e):
        yield Finding(
            "kl-batch",
            "fault",
            "the KL's weight depends on the batch size",
            evidence + f"; on half of the batch it is {e.dose.half:.3g} times as large",
            (
                "the KL is averaged over the batch and divided by its size once more",
                "one term is summed over the batch, the other averaged",
            ),
            case("notebook 10, exercise 1"),
        )
    elif squared:
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


def _batch_trouble(e):
    return e.dose.half and abs(e.dose.half - 1) > 0.3


def _beta_causes(ratio, said):
    if said.startswith("2"):
        return ("the 1/2 of the KL is dropped", "a beta of 2 that is meant: say beta=2")
    if "pixels" in said and ratio > 1:
        return (
            "the error is averaged over the pixels, the KL summed",
            "a beta that is meant: say beta=...",
        )
    if "pixels" in said:
        return ("the KL is divided by the pixels, the error summed",)
    if "latent" in said:
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
    x = e.x.double().flatten(1)
    x = x[:500] - x[:500].mean(0)
    largest = torch.linalg.svdvals(x)[0].square().item() / max(len(x) - 1, 1)
    hidden = "pixels" in said or "latent" in said or "batch" in said
    evidence += f"; the widest direction of the images has variance {largest:.3g}"
    if ratio > 1.01 and (hidden or variance > largest):
        yield Finding(
            "beta",
            "fault",
            f"a hidden beta: this squared error is a Gaussian of variance {variance:.4g}",
            evidence,
            (
                "mse_loss with its default mean over the pixels, beside a summed KL",
                "a variance that was never chosen",
            ),
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
            "notebook 03",
        )


def kl_formula(e):
    """A KL whose slopes are those of no KL to N(0, I)."""
    d = e.dose
    if not d or d.silent[0] or d.silent[1]:
        return
    if d.kl_mu and abs(d.offset) > 0.02:
        yield Finding(
            "prior-mean",
            "note",
            "the prior's mean is not 0",
            f"the KL is smallest at mu = {d.offset:.3g}",
            ("another prior, or a wrong term in mu",),
            "notebook 05",
        )
    if d.kl_mu and d.terms:
        evidence = (
            "d KL / d s = "
            + " ".join(
                f"{value / d.kl_mu.slope:+.3g} {name}".replace(" 1", "")
                for name, value in d.terms.items()
                if abs(value / d.kl_mu.slope) > 1e-3
            )
            + "; for a log-variance s it is -0.5 +0.5 exp(s), for a log sigma -1 +1 exp(2 s)"
        )
        yield Finding(
            "kl-formula",
            "fault",
            "the KL's formula is wrong in the second number",
            evidence,
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
    mu, second = e.doses.get("mu"), e.doses.get("the second number")
    if (
        mu
        and second
        and abs(second / mu - 1)
        > max(
            0.01,
            6 * d.kl_second.error / abs(d.kl_second.slope) * d.estimated
            + 6 * d.kl_mu.error / abs(d.kl_mu.slope) * d.estimated,
        )
    ):
        yield Finding(
            "kl-formula",
            "fault",
            "the KL charges mu and the spread at different prices",
            f"weight {mu:.4g} through mu, {second:.4g} through the {d.reading}",
            ("a term of the formula is missing or has a wrong factor",),
            case(2),
        )


def joined(e):
    """How the images of a batch are joined."""
    d = e.dose
    if not d or not d.likelihood:
        return
    if d.batch == "neither" and not _batch_trouble(e) and not d.silent[0]:
        yield Finding(
            "joined",
            "note",
            "the loss of a batch is neither the mean nor the sum of its images' losses",
            "loss of 2 n images against the losses of n and n",
            ("a division by a fixed batch size", "a loss that looks across the batch"),
            case(13),
        )
    per_image = (
        d.likelihood.weight
        * len(e.natural.mu)
        / (2 if d.likelihood.name.startswith("squared") else 1)
    )
    if d.batch == "sum":
        yield Finding(
            "summed-batch",
            "note",
            "the loss is summed over the batch",
            f"{per_image:.4g} times the nats of one image",
            (
                "not wrong: but the learning rate then depends on the batch "
                "size (Adam hardly minds)",
            ),
            "notebook 03",
        )


def target(e):
    """An error that compares with something else than x."""
    likelihood = e.dose and e.dose.likelihood
    x = e.x[: len(e.natural.mu)].double().flatten()
    if not likelihood or len(likelihood.target) != len(x) or x.std() == 0:
        return
    correlation = torch.corrcoef(torch.stack([likelihood.target, x]))[0, 1].item()
    if not correlation > 0.3:
        yield Finding(
            "other-target",
            "fault",
            "the error compares with something that is not x",
            f"correlation of target and x: {correlation:.2f}",
            ("shuffled images, or another tensor",),
            "notebook 03",
        )


def cap(e):
    """A pixel that cannot cost what its logit says."""
    if e.cap is None:
        return
    if e.dose.likelihood.name == "Bernoulli, logits" and abs(e.cap - 50) > 1:
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
    elif e.dose.likelihood.name == "Bernoulli, probabilities":
        yield Finding(
            "clamped",
            "note",
            "the error is computed from probabilities",
            f"a pixel that is certain and wrong costs {e.cap:.4g} nats and then has no gradient",
            ("not wrong for moderate logits; binary_cross_entropy_with_logits has no such end",),
            case(8),
        )
