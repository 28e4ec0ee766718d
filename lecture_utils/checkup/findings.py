"""From measurements to findings: what is wrong, with the evidence, the likely causes in order, and
where it is explained."""

import math
from typing import Any, NamedTuple

from lecture_utils.checkup import forms
from lecture_utils.checkup.report import Finding

import torch


class Examined(NamedTuple):
    """All that was measured; None stands for what could not be."""

    x: torch.Tensor
    natural: Any
    ranges: Any
    dose: Any
    draw: Any
    learned: Any
    evaluation: Any
    cap: float | None  # what a certain and wrong pixel costs where it should cost 50 nats
    nonfinite: list
    outside: tuple[float, float] | None  # the range of the pictures it shows
    same_code: bool | None  # two codes of one image agree
    beta: float  # the weight that is meant
    trained: bool | None

    @property
    def sizes(self) -> dict[str, float]:
        """The numbers by which people divide."""
        return {
            "pixels": self.x[0].numel(),
            "latent units": self.natural.mu[0].numel(),
            "images in the batch": len(self.natural.mu),
        }

    @property
    def bernoulli(self) -> bool:
        """Whether the error is a cross-entropy."""
        return bool(self.dose and self.dose.likelihood) and (
            "Bernoulli" in self.dose.likelihood.name
            or self.dose.likelihood.name in ("sigmoid twice", "logits of a tanh")
        )

    @property
    def doses(self) -> dict[str, float]:
        """The KL's weight over the error's, through mu and through the second number. A squared
        error counts as variance 1/2."""
        if not (self.dose and self.dose.likelihood):
            return {}
        unit = self.dose.likelihood.weight / (
            2 if self.dose.likelihood.name.startswith("squared") else 1
        )
        fits = {"mu": self.dose.kl_mu, "the second number": self.dose.kl_second}
        return {name: fit.slope / unit for name, fit in fits.items() if fit}


def case(number) -> str:
    """Where the finding is explained."""
    return f"notebook 10, case {number}" if isinstance(number, int) else str(number)


def all_findings(e: Examined):
    """Return the findings, faults first."""
    found = [
        f
        for rule in (
            _nonfinite,
            _presence,
            _beta,
            _kl_formula,
            _joined,
            _draw_rules,
            _shape_of_epsilon,
            _same_numbers,
            _agreement,
            _input_range,
            _output_range,
            _code_range,
            _target,
            _cap,
            _learned,
            _evaluation,
            _shown,
        )
        for f in rule(e)
    ]
    return sorted(found, key=lambda finding: finding.level != "fault")


def _nonfinite(e):
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


def _presence(e):
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


def _beta(e):
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


def _kl_formula(e):
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


def _joined(e):
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


def _draw_rules(e):
    d = e.draw
    if d is None:
        return
    if d.none:
        yield Finding(
            "no-draw",
            "fault",
            "nothing is drawn: the decoder gets mu",
            "z = mu to the last digit in every call",
            (
                "an autoencoder with a KL: the noise is forgotten",
                "the loss takes the branch of evaluation mode",
            ),
            case(11),
        )
        return
    if d.to_mu is None:
        yield Finding(
            "detached-draw",
            "fault",
            "no gradient reaches mu through the draw",
            "d z / d mu does not exist",
            (
                "sample() for rsample(), .detach() or no_grad round the draw: the encoder sees "
                "only the "
                "KL, and must collapse",
            ),
            case(14),
        )
    elif abs(d.to_mu - 1) > 0.05:
        yield Finding(
            "mu-activation",
            "fault",
            "z does not follow mu",
            f"d z / d mu is {d.to_mu:.3g} on average, where it is 1",
            ("an activation between this layer and the draw",),
            "notebook 04",
        )
    elif not d.to_second:
        yield Finding(
            "no-gradient-spread",
            "fault",
            "no gradient reaches the second number through the draw",
            "d z / d (second number) is 0",
            ("sigma is detached, or left out of the draw",),
            case(14),
        )
    if d.repeated:
        yield Finding(
            "seed-inside",
            "fault",
            "each call draws the same epsilon",
            "two calls of the loss agree to the last digit",
            ("a seed is set inside the loss",),
            "notebook 10, the emergency room",
        )
    if d.shared:
        yield Finding(
            "shared-epsilon",
            "fault",
            f"all {d.shared} get the same epsilon",
            f"(z - mu) / sigma has no spread over the {d.shared}",
            ("randn of the wrong shape, broadcast",),
            "notebook 10, the emergency room",
        )
    off_centre = not d.repeated and not d.shared and abs(d.mean) > 0.02 + 6 * d.mean_error
    if off_centre:
        yield Finding(
            "epsilon-mean",
            "fault",
            "epsilon's mean is not 0",
            f"{d.mean:.3f} ± {d.mean_error:.3f}",
            ("torch.rand where torch.randn is meant",),
            "notebook 04",
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


def _shape_of_epsilon(e):
    d = e.draw
    usual = d and not (d.none or d.repeated or d.shared) and abs(d.mean) < 0.02 + 6 * d.mean_error
    if usual and d.reading and abs(d.kurtosis - 3) > 0.3 + 20 * d.scale_error:
        yield Finding(
            "epsilon-shape",
            "fault",
            "epsilon is not normal",
            f"kurtosis of (z - mu) / sigma {d.kurtosis:.2f}, where a normal has 3",
            ("another distribution than torch.randn, or a clamp on it",),
            "notebook 04",
        )


def _reading_agrees(e):
    if (
        not (e.draw and e.dose and e.draw.reading and e.dose.reading)
        or e.draw.reading == "constant"
    ):
        return None
    return e.draw.reading == e.dose.reading


def _same_numbers(e):
    mu, second = e.natural.mu, e.natural.second
    if mu.shape == second.shape and torch.equal(mu, second):
        yield Finding(
            "same-numbers",
            "fault",
            "mu and the second number are the same numbers",
            "they agree on x to the last digit",
            ("one layer is used for both",),
            "notebook 04",
        )


def _unreadable(e):
    """Where the draw is that of no reading, compare its variances with what the KL charges."""
    d = e.draw
    if not (d and e.dose and e.dose.reading and d.log_variances and not d.reading):
        return
    charged = 2 * forms.sigma_of(e.dose.reading, torch.tensor(d.seconds)).log()
    apart = (torch.tensor(d.log_variances) - charged).abs().max().item()
    if not d.repeated and apart > 0.05 + 15 * d.scale_error / max(d.scale, 1e-12):
        yield Finding(
            "readings-differ",
            "fault",
            "the spread that is drawn is not the one that the KL charges",
            f"the KL reads a {e.dose.reading}; the log variances of the draws are off by up to "
            f"{apart:.2f}",
            ("a wrong power, sign or offset in sigma",),
            case(1),
        )


def _agreement(e):
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
        }
        yield Finding(
            "readings-differ",
            "fault",
            "draw and KL read the encoder's second number differently",
            f"the draw takes it for: {drawn}; the KL for: {charged}",
            cause.get((drawn, charged), ("the two come from different tutorials",)),
            case(1 if drawn == "log sigma" else 2),
        )


def _input_range(e):
    low, high = e.ranges.x
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
            grey = ((e.x > 0.02) & (e.x < 0.98)).double().mean().item()
            grey_target = ((target > 0.02) & (target < 0.98)).double().mean().item()
            if grey_target > 0.01:
                p = e.x.double().clamp(1e-9, 1 - 1e-9).flatten(1)
                floor = -(p * p.log() + (1 - p) * (1 - p).log()).sum(1).mean().item()
                yield Finding(
                    "grey-pixels",
                    "note",
                    "a Bernoulli is asked for grey pixels: the number is no log-likelihood",
                    f"{grey_target:.1%} of the targets are grey; the error cannot fall below "
                    f"{floor:.1f} nats an image",
                    ("grey instead of drawn pixels",),
                    case(9),
                )
            elif grey > 0.01 and len(target) == len(seen := e.x[: len(e.natural.mu)].flatten()):
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
    if max(abs(low), abs(high)) > 20:
        yield Finding(
            "inputs-outside",
            "fault",
            "the inputs are far larger than 1",
            f"x from {low:.3g} to {high:.3g}",
            ("pixels from 0 to 255: divide by 255",),
            case(15),
        )


def _output_range(e):
    if not e.dose or not e.dose.likelihood:
        return
    name, limits = e.dose.likelihood.name, e.ranges.output_limits
    seen = f"outputs from {e.ranges.output[0]:.3g} to {e.ranges.output[1]:.3g} on x"
    t = e.dose.likelihood.target
    if name == "sigmoid twice" or (name == "Bernoulli, logits" and limits == "unit"):
        yield Finding(
            "sigmoid-twice",
            "fault",
            "probabilities are taken for logits: the sigmoid is applied twice",
            seen + "; with far larger codes they do not leave [0, 1]: p lies between 0.5 and 0.73",
            ("a decoder that ends in a sigmoid, and binary_cross_entropy_with_logits",),
            case(16),
        )
    elif name == "logits of a tanh" or (name == "Bernoulli, logits" and limits == "tanh"):
        yield Finding(
            "tanh-outputs",
            "fault",
            "the logits cannot leave [-1, 1]",
            seen + "; nor with far larger codes",
            ("a tanh at the decoder's end",),
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


def _code_range(e):
    r, reading = e.ranges, (e.dose.reading if e.dose else "") or (e.draw.reading if e.draw else "")
    if r.mu_limits in ("floor", "unit", "tanh"):
        yield Finding(
            "mu-activation",
            "fault",
            "mu is bounded",
            f"mu from {r.mu[0]:.3g} to {r.mu[1]:.3g} on x; far larger inputs "
            f"do not leave {_limits(r.mu_limits)}",
            ("an activation on the encoder's last layer",),
            "notebook 10, exercise 3",
        )
    if reading in ("log-variance", "log sigma") and r.second_limits in ("floor", "unit", "tanh"):
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
    if reading and reading != "constant":
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


def _target(e):
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


def _cap(e):
    if e.cap is None:
        return
    if e.dose.likelihood.name == "Bernoulli, logits" and abs(e.cap - 50) > 1:
        yield Finding(
            "clamped",
            "fault",
            "a wrong pixel does not cost its logit",
            f"at a logit of 50 it costs {e.cap:.4g} nats, where 50 is right",
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


def _learned(e):
    v = e.learned
    if v is None or not v.error < math.inf:
        return
    units = len(v.kl_units)
    untrained = v.error > 1.3 * v.without_code if e.trained is None else not e.trained
    if untrained:
        return
    silent = v.active == 0 and v.kl_units.max() < 0.02
    if silent and (abs(v.error / v.without_code - 1) < 0.1 or e.trained):
        yield Finding(
            "collapse",
            "fault" if e.trained else "note",
            "the code says nothing: "
            + (
                "posterior collapse"
                if e.trained
                else "not trained yet, or collapsed: say trained=True"
            ),
            f"no active unit of {units}, KL {v.kl_units.sum():.3g} nats; error {v.error:.4g}, of "
            f"the mean image alone "
            f"{v.without_code:.4g}, with the neighbour's code {v.swapped:.4g}",
            _collapse_causes(e),
            case(6),
        )
    elif v.error < v.without_code and v.variance > 2 and v.off_prior.mean() > 0.3:
        yield Finding(
            "off-prior",
            "fault" if min(e.doses.values(), default=1.0) / e.beta < 0.7 else "note",
            "the codes lie where the prior does not",
            f"the aggregate q(z) has variance {v.variance:.3g} where N(0, I) has 1; "
            f"{v.off_prior.mean():.2f} nats a unit off",
            ("the KL weighs too little: see the dose", "too little training"),
            case(5),
        )


def _collapse_causes(e):
    doses = [value / e.beta for value in e.doses.values()]
    if e.draw is not None and e.draw.to_mu is None and not e.draw.none:
        return (
            "the detached draw, found above: with a dose of 1 the encoder still sees only the KL",
        )
    if doses and max(doses) > 1.5:
        return (f"the price: a dose of {max(doses):.3g}",)
    if doses:
        return (
            "a real one: the dose is 1 and the draw has its gradient. KL annealing or free bits; "
            "a weaker decoder; "
            "another start",
        )
    return ("not known: the dose could not be measured",)


def _evaluation(e):
    v = e.evaluation
    if v is None:
        return
    if v.training:
        yield Finding(
            "train-mode",
            "fault",
            "the evaluation runs in training mode",
            "in training mode: " + ", ".join(v.training[:4]),
            ("model.eval() is forgotten",),
            case(20),
        )
    if v.noise is not None and v.noise < 1e-3:
        yield Finding(
            "mean-code",
            "fault",
            "the reported number is no bound: it decodes the mean code",
            "z = mu in the evaluation",
            ("if self.training: draw, else: mu",),
            case(11),
        )
    first, second = v.sorted
    scale = max(abs(first), abs(second), 1e-12)
    if abs(first - second) > 1e-3 * scale and not v.training:
        yield Finding(
            "order",
            "fault",
            "the reported number depends on the order of the images",
            f"{first:.4f} and {second:.4f} on the same images, the noise taken away",
            ("the mean of batch means, with a short last batch",),
            case(13),
        )
    if (
        v.elbo is not None
        and not v.training
        and e.ranges.x[0] >= -0.01
        and e.ranges.x[1] <= 1.01
        and not any(f.name == "inputs-outside" for f in _input_range(e))
    ):
        yield from _value(e, v)


def _value(e, v):
    said, truth = abs(v.value), abs(v.elbo)
    tolerance = 6 * v.elbo_error + 0.01 * truth
    if v.noise is not None and v.noise < 1e-3 or abs(said - truth) < tolerance:
        return
    sizes = {**e.sizes, "images of the test": len(e.x)}
    factor = forms.name_of_number(said / truth, sizes, 0.02)
    yield Finding(
        "report-differs",
        "fault" if not factor else "note",
        "the reported number is not the ELBO in nats an image",
        f"reported {v.value:.4g}; measured ELBO {v.elbo:.4g} ± {v.elbo_error:.2g}"
        + (f"; ratio {factor}" if factor else ""),
        (
            "what was found in the loss, if the report is made of it",
            "a beta inside the reported number",
            "another likelihood",
        )
        if not factor
        else ("a sum, or a mean over pixels",),
        case(4),
    )


def _shown(e):
    if e.outside and (e.outside[0] < -0.01 or e.outside[1] > 1.01) and e.bernoulli:
        yield Finding(
            "logits-shown",
            "fault",
            "what is shown are not probabilities",
            f"pictures of z ~ N(0, I) have values from {e.outside[0]:.3g} to {e.outside[1]:.3g}",
            ("the decoder's logits, without the sigmoid",),
            case(10),
        )
    if e.same_code is False:
        yield Finding(
            "random-code",
            "fault",
            "the code of an image is another one each time",
            "two calls of code(x) differ",
            ("a draw where the mean was asked for",),
            case(12),
        )
