"""A check-up for any VAE in PyTorch: what its loss weighs, what it draws, what it has learned, what
its report is worth.

Black box: the calls of encoder and decoder that the loss makes are intercepted, numbers are planted
in their stead, and the loss is differentiated. Nothing is trained, and the model is left as it was.
Notebook 10 shows how to read the findings.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from lecture_utils.checkup import forms
from lecture_utils.checkup.examined import Examined
from lecture_utils.checkup.findings import all_findings
from lecture_utils.checkup.measure import (
    BATCH,
    measure_dose,
    measure_ranges,
    precise,
    random_plant,
    span,
)
from lecture_utils.checkup.measure_draw import measure_draw
from lecture_utils.checkup.own_sigma import same_sigma
from lecture_utils.checkup.paths import measure_paths
from lecture_utils.checkup.ports import (
    NAME_THE_LAYERS,
    CannotExamine,
    left_as_it_was,
    one_tensor,
    planted_values_allowed,
    seed_all,
)
from lecture_utils.checkup.probe import Probe
from lecture_utils.checkup.report import Finding, Report
from lecture_utils.checkup.state import (
    first_nonfinite,
    measure_evaluation,
    measure_learned,
    scale_of_targets,
)
from lecture_utils.checkup.summary import in_order, missing, unknown

import torch

__all__ = ["CannotExamine", "Finding", "Report", "examine"]


# What the decoder's outputs are called, by the likelihood that takes them.
UNITS = {"Bernoulli, logits": "logit", "Bernoulli, probabilities": "probability"}


class _Options(NamedTuple):
    """What `examine` was given beside the model, x and the loss."""

    evaluate: Callable | None
    picture: Callable | None
    code: Callable | None
    beta: float
    trained: bool | None
    in_training: bool  # the mode in which the model was handed in


def examine(
    model,
    x: torch.Tensor,
    loss: Callable,
    *,
    encode="encode",
    decode="decode",
    fields=None,
    evaluate: Callable | None = None,
    picture: Callable | None = None,
    code: Callable | None = None,
    beta: float = 1.0,
    trained: bool | None = None,
) -> Report:
    """Examine a VAE and return the report.

    `x` are images as the training feeds them, [N, ...], 100 or more if what is learned matters (64
    are enough for the rest). `loss(x)` returns what the training minimises, a scalar or [B], and is
    called in training mode. `encode` and `decode` name the calls that it makes: a method or a layer
    of the model ("encode", "net.decoder"), two layers for mu and the second number, ("fc_mu",
    "fc_logvar"), or (module, "name") for a function. `encode` may return a pair, one tensor whose
    halves are the pair, a Normal, or more: then `fields` says which are mu and the second number.
    Log-variance, log sigma, sigma and variance are told apart by measurement. An image may have L
    codes, which the decoder gets as [L, B, J], [B, L, J] or flattened. `evaluate(x)` returns
    the number that is reported for test images, in the mode in which the model is handed in,
    `picture(z)` what is shown of codes [B, J], `code(x)` the one code that stands for an image.
    `beta` is the weight of the KL that is meant; `trained` says whether the model is.

    Random states, weights, buffers, gradients, modes and plain attributes are restored. What is
    drawn follows from a seed: the same model has the same report. Raises CannotExamine if the
    adapter does not fit the code, if `x` is not float with 8 images or more, or if `x`, a parameter
    or a buffer of the model is not on the CPU (what is measured is fitted in float64, which not
    every GPU has).
    """
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.dim() < 2 or len(x) < 8:
        raise CannotExamine(
            "x must be a float tensor of at least 8 images, [N, ...], as the loss takes it."
        )
    if not beta > 0:
        raise CannotExamine(f"beta={beta!r}: the weight of the KL that is meant is above 0.")
    is_module = isinstance(model, torch.nn.Module)
    held = [*model.parameters(), *model.buffers()] if is_module else []
    elsewhere = {str(each.device) for each in (x, *held)} - {"cpu"}
    if elsewhere:
        raise CannotExamine(
            f"The model or x is on {', '.join(sorted(elsewhere))}. The check-up measures on the "
            "CPU: hand in model.cpu() and x.cpu(), and let the loss make no tensor elsewhere."
        )
    in_training = bool(getattr(model, "training", False))
    with left_as_it_was(model, loss, evaluate, picture, code), torch.enable_grad():
        seed_all(0)  # the same model has the same report
        options = _Options(evaluate, picture, code, beta, trained, in_training)
        return _examined(Probe(model, loss, x, encode, decode, fields), options)


def _examined(probe, options):
    """Run the loss once as it is, then examine; or say what stands in the way."""
    probe.train(True)
    natural, nonfinite, stopped = _natural(probe)
    if stopped:
        return stopped
    not_known = [
        "what the optimiser does, and what the loss writes elsewhere (logs, counters outside the "
        "model)"
    ]
    if natural.encoder_calls == 0 or natural.decoder_calls == 0:
        who = "encode" if natural.encoder_calls == 0 else "decode"
        not_known.append(f"the dose and the draw: the loss does not make the call that {who} names")
        return Report([], [], not_known, {"x": span(probe.x)})
    _require_rows(natural)
    _require_a_draw(natural)
    try:
        with planted_values_allowed():
            return _measured(probe, natural, nonfinite, not_known, options)
    except CannotExamine:
        raise
    except Exception as error:  # somebody else's code, which may raise whatever it likes
        raise CannotExamine(
            "The loss runs on x as it is, but with numbers planted in the calls of encode and "
            "decode it fails, or evaluate, picture or code do. If it calls backward() or an "
            "optimiser, hand in the part that only returns the loss. "
            f"{type(error).__name__}: {error}"
        ) from error


def _measured(probe, natural, nonfinite, not_known, options):
    """Plant, measure, and make the report."""
    probe.train(False)
    ranges = measure_ranges(probe, natural)
    probe.train(True)
    paths = None if nonfinite else measure_paths(probe, natural)
    positive = bool(natural.second.min() >= 0)
    dose = draw = learned = evaluation = cap = None
    own_sigma = False
    if not nonfinite:
        probe.learn_order(probe.x[:BATCH], natural)
        dose = measure_dose(probe, natural, ranges.output_limits, positive)
        draw = measure_draw(probe, natural, ranges.output_limits, positive)
        own_sigma = same_sigma(probe, natural, ranges.output_limits, dose, draw)
        cap = _cap(probe, natural, dose, positive)
        likelihood = dose.likelihood.name if dose.likelihood else ""
        reading = draw.reading if draw and draw.reading in forms.READINGS else dose.reading
        reading = "" if own_sigma else reading
        if likelihood:
            scale = scale_of_targets(dose.likelihood.target, probe.x[: len(natural.mu)])
            learned = measure_learned(probe, likelihood, reading, scale)
        if options.evaluate is not None:
            evaluation = measure_evaluation(
                probe, options.evaluate, likelihood, reading, options.in_training
            )
    probe.train(False)
    outside, same_code = _shown(natural, options.picture), _same_code(probe.x, options.code)
    examined = Examined(
        probe.x,
        natural,
        ranges,
        paths,
        dose,
        draw,
        own_sigma,
        learned,
        evaluation,
        cap,
        nonfinite,
        outside,
        same_code,
        options.beta,
        options.trained,
    )
    not_known += unknown(examined, natural)
    outputs = natural.output.detach().float().cpu().flatten()
    measured = {
        "dose": dose,
        "draw": draw,
        "ranges": ranges,
        "learned": learned,
        "evaluation": evaluation,
        "doses": examined.doses,
        "outputs": outputs[outputs.isfinite()],
        "unit": UNITS.get(dose.likelihood.name, "output") if dose and dose.likelihood else "output",
        "beta": options.beta,
        "missing": missing(examined),
    }
    return Report(all_findings(examined), in_order(examined), not_known, measured)


@torch.no_grad()
def _shown(natural, picture):
    """The range of the pictures of codes from the prior."""
    if picture is None:
        return None
    return span(one_tensor(picture(torch.randn_like(natural.mu)), "picture(z)"))


@torch.no_grad()
def _same_code(x, code):
    if code is None:
        return None
    codes = [one_tensor(code(x[:BATCH]), "code(x)") for _ in range(2)]
    return torch.allclose(*codes, rtol=1e-5, equal_nan=True)


def _require_rows(natural):
    """What is planted is cut by images."""
    mu, second = natural.mu.shape, natural.second.shape
    if len(mu) < 2 or len(second) < 2 or mu[0] != second[0]:
        raise CannotExamine(
            f"encode returned mu of shape {list(mu)} and a second number of shape {list(second)}: "
            "each must have a row for each image, [B, J] (codes of one number: [B, 1], by "
            "mu.unsqueeze(1)). A spread that is one for all images can be returned as "
            "logvar.expand_as(mu)."
        )


def _require_a_draw(natural):
    """The draw must stand between encode and decode.

    An encoder of one tensor, which the decoder gets as it is, is that of an autoencoder; one that
    returns z as well draws it itself, out of sight.
    """
    z = natural.z
    if any(torch.equal(z, other) for other in natural.others) and not torch.equal(z, natural.mu):
        raise CannotExamine(
            "encode returns the code that the decoder gets, beside mu and the second number: z is "
            f"drawn in encode, where no numbers can be planted: {NAME_THE_LAYERS}"
        )
    pair = torch.cat([natural.mu.flatten(1), natural.second.flatten(1)], 1)
    if natural.z.numel() == pair.numel() and torch.equal(natural.z.flatten(1), pair):
        raise CannotExamine(
            "the decoder gets all that encode returned: there is no draw between the two. An "
            "autoencoder, or "
            "encode and decode name the wrong calls."
        )


def _natural(probe):
    """Run the loss once as it is. Return the trace, what is not finite, and a report if it cannot
    be run."""
    x = probe.x[:BATCH]
    try:
        with first_nonfinite(probe.model) as found:
            trace = probe.run(x)
            if trace.encoder_calls and trace.decoder_calls and probe.find_code(x, trace):
                trace = probe.run(x)
    except CannotExamine:
        raise
    # noqa: BLE001  (somebody else's code: whatever it raises is a finding)
    except Exception as error:
        finding = Finding(
            "loss-fails",
            "fault",
            "the loss cannot be computed",
            f"{type(error).__name__}: {error}",
            *_why_it_fails(error),
        )
        return None, [], Report([finding], [], [], {"x": span(probe.x)})
    names = {
        "the inputs x": x,
        "mu": trace.mu,
        "the second number": trace.second,
        "z": trace.z,
        "the decoder's output": trace.output,
        "the loss": trace.loss,
    }
    nonfinite = [] if x.isfinite().all() else ["the inputs x"]
    nonfinite += found + [
        name for name, value in names.items() if value is not None and not value.isfinite().all()
    ]
    return trace, list(dict.fromkeys(nonfinite)), None


def _why_it_fails(error):
    """The causes, and where to read on."""
    if isinstance(error, (RuntimeError, ValueError)):
        return ("inputs, outputs or shapes do not fit the loss",), "notebook 10, case 15"
    return ("an error in the loss's own code",), "the traceback of loss(x), called by itself"


def _cap(probe, natural, dose, positive):
    """What a pixel costs that is wrong with a logit of 50 (or with certainty), in nats. None where
    that has no meaning, or where 16 bits overflow."""
    if not precise(natural) or not dose.likelihood or dose.likelihood.name not in UNITS:
        return None
    target = dose.likelihood.target.round().clamp(0, 1).to(natural.output.dtype)
    rows = probe.image_of_rows(natural)
    n_samples = natural.output.numel() // target.numel()
    if n_samples > 1:
        target = target.reshape(len(natural.mu), -1)[rows]
    target = target.reshape(natural.output.shape)
    plant = [leaf.detach() for leaf in random_plant(natural, positive)]
    if dose.likelihood.name == "Bernoulli, logits":
        fair, wrong = torch.zeros_like(target), 50 * (1 - 2 * target)
    else:
        fair, wrong = torch.full_like(target, 0.5), 1 - target
    with torch.no_grad():
        losses = [
            probe.run(probe.x[:BATCH], plant=plant, output=output, seed=0).loss.double().item()
            for output in (fair, wrong)
        ]
    exact = (
        dose.likelihood.target.round().clamp(0, 1).sub(dose.likelihood.target).abs().max() < 0.02
    )
    return (
        (losses[1] - losses[0]) / (dose.likelihood.weight * dose.likelihood.target.numel())
        + math.log(2)
        if exact
        else None
    )
