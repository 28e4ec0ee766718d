"""Rules from measurements to findings: what is learned, reported and shown."""

import math

from lecture_utils.checkup import forms
from lecture_utils.checkup.examined import COLLAPSE, DRAW, case
from lecture_utils.checkup.report import Finding
from lecture_utils.checkup.rules_dose import widest_variance
from lecture_utils.checkup.rules_draw import paths
from lecture_utils.checkup.rules_ranges import input_range, output_range
from lecture_utils.checkup.state import AS_IT_IS


def learned(e):
    """A collapsed posterior, or codes where the prior is not."""
    v = e.learned
    if v is None or not v.error < math.inf:
        return
    units = len(v.kl_units)
    untrained = v.error > 1.3 * v.without_code if e.trained is None else not e.trained
    if untrained:
        return
    if _silent(v) and (abs(v.error / v.without_code - 1) < 0.1 or e.trained):
        causes, see = _collapse(e)
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
            causes,
            see,
        )
    elif not e.standard_prior:
        return  # where another prior is, codes may lie
    elif v.error < v.without_code and v.variance > 2 and v.off_prior.mean() > 0.3:
        yield Finding(
            "off-prior",
            "fault" if _too_little_kl(e) else "note",
            "the codes lie where the prior does not",
            f"the aggregate q(z) has variance {v.variance:.3g} where N(0, I) has 1; "
            f"{v.off_prior.mean():.2f} nats a unit off",
            ("the KL weighs too little: see the dose", "too little training"),
            case(5),
        )


def worse_than_the_mean(e, faulty_loss: bool):
    """A model that is said to be trained, and whose pictures are worse than the mean image's.

    A fault of the loss may be why, and is then what is said.
    """
    v = e.learned
    if not e.trained or v is None or faulty_loss or not v.error < math.inf or _silent(v):
        return
    if v.error > 1.02 * v.without_code:
        yield Finding(
            "worse-than-mean",
            "note",
            "the images are explained worse than by their mean",
            f"error {v.error:.4g}, of the mean image alone {v.without_code:.4g}",
            (
                "a decoder whose last layer cannot return such images",
                "too little training, or a learning rate that is too large",
                "x are not the images that it was trained on, and it has learned those by heart",
            ),
            case(7),
        )


def _silent(v):
    """Whether the codes say nothing of the images."""
    return v.active == 0 and v.kl_units.max() < 0.02


def _too_little_kl(e):
    """Whether the KL surely weighs less than it should.

    In a squared error a weight may be a small variance that is meant: a sharp decoder's codes lie
    apart while it is young.
    """
    return e.bernoulli and min(e.doses.values(), default=1.0) / e.beta < 0.7


def _collapse(e):
    """The causes of a collapse, and where that kind of it is explained."""
    for lost in paths(e):
        return _found_above(lost)
    drawn = (
        e.draw is not None and not e.draw.none and e.draw.fixed is None
    )  # else nothing is known of its gradient
    if drawn and e.draw.to_mu is None:
        who = "mu" if e.draw.to_second else "the encoder"
        cause = f"the detached draw, found above: whatever the dose, {who} sees only the KL"
        return (cause,), case(14)
    for fault in output_range(e):
        return _found_above(fault)
    if e.doses and e.dose.strange_kl:
        cause = "not known: the KL's gradient is not that of a KL to N(0, I), nor its weight known"
        return (cause,), case(6)
    if not e.doses:
        return ("not known: the dose could not be measured",), f"{case(6)}, and {COLLAPSE}"
    dose, too_high = _price(e)
    if too_high:
        return (f"the price: {dose}",), case(19 if e.squared else 6)
    if e.draw is None:
        return (f"not known: {dose}, but the draw was not measured",), f"{case(14)}, and {COLLAPSE}"
    if not drawn:
        return (f"not known: nothing is drawn (found above); {dose}",), case(11)
    if abs(e.draw.to_mu - 1) > 0.05 or not e.draw.to_second:
        cause = "not known: the draw's gradient is not what it should be (found above)"
        return (f"{cause}; {dose}",), DRAW if e.draw.to_second else case(14)
    cause = f"a real collapse: the draw has its gradient, and {dose}. "
    if e.paths.encoder_flat:
        cause += "What encode returns does not depend on x: a hidden layer of the encoder is off "
        cause += "for every image, its last weights are all 0, or x is left out. Mend that, or "
        cause += "begin anew, with a lower rate, or with LeakyReLU or SiLU"
    else:
        cause += "Treatments: KL annealing or free bits, or a weaker decoder, each from a new start"
    return (cause,), f"notebook 10, {COLLAPSE}"


def _found_above(finding):
    return (f"found above: {finding.title}. Mend that first",), finding.see


def _price(e):
    """What the KL costs, in words, and whether that alone explains a collapse.

    A beta that is meant is paid all the same. Under a squared error the dose is a variance, and
    codes pay for themselves in the directions in which images vary more.
    """
    dose = max(e.doses.values())
    meant = dose > 1.5 and abs(dose / e.beta - 1) <= 0.01
    if not e.squared:
        said = f"a beta of {dose:.3g}, which is meant" if meant else f"a dose of {dose:.3g}"
        return (said, True) if dose > 1.5 else (f"the dose is {dose:.3g}", False)
    variance, widest = 0.5 * dose, widest_variance(e)
    said = f"a Gaussian of variance {variance:.3g}" + (f", with its beta of {e.beta:g}" * meant)
    than = "more" if variance > widest else "less"
    direction = f"the images' widest direction, {widest:.3g}"
    return f"{said}, {than} than that of {direction}", variance > widest


def evaluation(e, faulty_loss: bool):
    """A reported number that is not what it seems. `faulty_loss`: a fault was found in the loss,
    which may be what is reported."""
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
    if 0 < sum(v.batches) < len(e.x) and not v.own_images:
        yield Finding(
            "left-out",
            "fault",
            "the reported number leaves images out",
            f"encode gets {sum(v.batches)} of {len(e.x)} images",
            ("drop_last=True in the loader", "the first batch only"),
            case(13),
        )
    elif abs(first - second) > 1e-3 * scale and not v.training:
        yield Finding(
            "order",
            "fault",
            "the reported number depends on the order of the images",
            f"{first:.4f} and {second:.4f} on the same images, with codes planted and no noise",
            ("the mean of batch means, with a short last batch",),
            case(13),
        )
    if elbo_is_known(e) and not v.training:
        yield from _value(e, v, faulty_loss)


def elbo_is_known(e) -> bool:
    """Whether the reported number can be held against an ELBO: a Bernoulli's, with the pixels x
    themselves as targets and the prior N(0, I)."""
    if e.evaluation.elbo is None or not e.standard_prior or e.scale not in (None, AS_IT_IS):
        return False
    outside = any(f.name == "inputs-outside" for f in input_range(e))
    return e.ranges.x[0] >= -0.01 and e.ranges.x[1] <= 1.01 and not outside


def _value(e, v, faulty_loss):
    said, truth = abs(v.value), abs(v.elbo)
    # A report has one draw an image, the measured ELBO two: together 3 ** 0.5 times its error.
    tolerance = 12 * v.elbo_error + 0.01 * truth
    if v.noise is not None and v.noise < 1e-3 or abs(said - truth) < tolerance:
        return
    factor, bits = _factor(said / truth, e, v), _in_bits(said / truth, e)
    if bits:
        factor, causes = bits, ("bits, where nats are asked for",)
    elif factor:
        causes = ("a sum, or a mean over pixels",)
    elif not faulty_loss and e.learned and abs(said + _kl(e) - truth) < tolerance:
        causes = ("the error alone: the KL is left out",)
    else:
        above = "the fault found in the loss above, where the report is that loss"
        causes = (*[above] * faulty_loss, "a beta inside the reported number", "another likelihood")
    yield Finding(
        "report-differs",
        "note" if factor else "fault",
        "the reported number is not the ELBO in nats an image",
        f"reported {v.value:.4g}; measured ELBO on the same images {v.elbo:.2f} ± "
        f"{v.elbo_error:.2f} by the noise in z" + (f"; ratio {factor}" if factor else ""),
        causes,
        case(4),
    )


def _kl(e):
    """The mean KL of an image to N(0, I), nats."""
    return e.learned.kl_units.sum().item()


def _factor(ratio, e, v):
    """Which simple number, or size, the ratio of a report to the ELBO is; or nothing."""
    sizes = {name: e.sizes[name] for name in ("pixels", "latent units")}
    sizes["images of the test"] = len(e.x)
    batch = {"images in a batch": max(v.batches)}  # of the evaluation, not of the check-up
    return forms.name_of_number(ratio, batch, 0.02) or forms.name_of_number(ratio, sizes, 0.02)


def _in_bits(ratio, e):
    """Which unit a report in bits has, by its ratio to the nats of an image; or nothing."""
    bits = ratio * math.log(2)
    if abs(bits - 1) < 0.02:
        return "1 / log 2: bits"
    return "1 / (log 2 × pixels): bits a pixel" if abs(bits * e.sizes["pixels"] - 1) < 0.02 else ""


def shown(e):
    """Pictures and codes that are not what was asked for."""
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
