"""What the check-up says is true: small VAEs, each with one line of its own, and the sentences."""

import math
import re
from pathlib import Path

from lecture_utils import checkup

import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal

from tests.unit.other_styles import Plain, bce, images, kld

X = images()


def squared(outputs, x):
    return (outputs - x).square().sum()


def normal_kl(variance):
    """The KL to N(0, variance), but for a constant."""
    return lambda mu, logvar: 0.5 * ((mu.square() + logvar.exp()) / variance - logvar).sum()


def examine(error=bce, kl=kld, draw=None, x=X, out=None, report=None, **options):
    """Examine a small VAE whose error, KL, draw or images are others: error and KL are summed, and
    are divided by the number of images here. `report(loss, x)` is what it reports."""
    torch.manual_seed(0)
    model = Plain(out=out)

    def loss(x):
        mu, logvar = model.encode(x)
        z = (draw or model.reparameterize)(mu, logvar)
        return (error(model.decode(z), x) + kl(mu, logvar)) / len(x)

    if report is not None:
        options["evaluate"] = lambda x: report(loss, x)
    return checkup.examine(model, x, loss, **options)


def only(report):
    """The only finding."""
    assert len(report.findings) == 1, report.names
    return report.findings[0]


# --- signs, weights and the prior


def minus(term):
    return lambda *args: -term(*args)


@pytest.mark.parametrize("error", [bce, squared])
def test_the_sign_that_is_wrong_is_the_one_that_is_named(error):
    wrong = {
        "loss-sign": {"error": minus(error), "kl": minus(kld)},
        "error-sign": {"error": minus(error)},
        "kl-sign": {"error": error, "kl": minus(kld)},
    }
    for name, changes in wrong.items():
        report = examine(**changes)
        assert only(report).name == name and report.faults == [name]
        assert not any(line.startswith("the dose") for line in report.in_order)
        assert "variance -" not in str(report)


@pytest.mark.parametrize("weight", [-0.5, 1.0])
@pytest.mark.parametrize("error", [bce, squared])
def test_one_term_of_the_kl_that_is_wrong_is_not_the_whole_kl(weight, error):
    def kl(mu, logvar):
        return (weight * mu.square() + 0.5 * (logvar.exp() - 1 - logvar)).sum()

    finding = only(examine(error, kl))
    assert finding.name == "kl-formula" and "different prices" in finding.title
    assert f"weight {2 * weight:g} through mu, 1 through" in finding.evidence


def test_an_error_of_the_wrong_sign_is_named_without_a_kl():
    report = examine(minus(bce), lambda mu, logvar: 0 * kld(mu, logvar))
    assert report.faults == ["no-kl", "error-sign"]


@pytest.mark.parametrize("variance", [0.25, 2.0, 4.0])
@pytest.mark.parametrize("error", [bce, squared])
def test_another_prior_is_no_fault(variance, error):
    report = examine(error, normal_kl(variance))
    assert only(report).name == "prior-variance" and report.faults == []
    assert f"a prior of variance {variance:g}" in only(report).title
    assert not any("another prior" in line for line in report.unknown)


def test_a_formula_that_no_prior_has_is_a_fault_still():
    """A log-variance that counts twice: a prior of variance 2 would weigh half as much."""
    report = examine(kl=lambda mu, logvar: 2 * normal_kl(2.0)(mu, logvar))
    assert report.faults == ["kl-formula"]


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_under_another_prior_no_elbo_and_no_place_of_the_codes_is_claimed(shift):
    """The report is right: minus the loss, with the KL to the other prior."""

    def kl(mu, logvar):
        return normal_kl(1 if shift else 9)(mu - shift, logvar) + 9 * len(mu)

    report = examine(kl=kl, report=lambda loss, x: -loss(x))
    assert report.measured["evaluation"].elbo is not None
    assert report.names == ["prior-mean" if shift else "prior-variance"]
    assert any(line.startswith("whether the reported number") for line in report.unknown)


AVERAGED = "both terms are averaged: the error over the pixels, the KL over the latent units"


@pytest.mark.parametrize(
    ("error", "pixels", "units", "cause"),
    [
        (bce, 64, 4, AVERAGED),
        (squared, 64, 4, AVERAGED),
        (bce, 64, 1, "the error is averaged over the pixels, the KL summed"),
        (squared, 64, 1, "mse_loss with its default mean over the pixels, beside a summed KL"),
        (bce, 1, 4, "the KL is averaged over the latent units"),
        (bce, 1, 1 / 2, "the 1/2 of the KL is dropped"),
        (bce, 1, 1 / 3, "a beta in the loss: if it is meant, say beta=..."),
        (squared, 99, 1, "a variance that was never chosen"),
    ],
)
def test_the_causes_of_a_hidden_beta_follow_from_its_number(error, pixels, units, cause):
    report = examine(lambda o, x: error(o, x) / pixels, lambda mu, lv: kld(mu, lv) / units)
    assert only(report).name == "beta" and only(report).causes[0] == cause


# --- what is learned, on the scale of the targets


def trained(error, x, back=lambda x: x, **options):
    """Examine a model that is trained for a moment, by a loss that brings its images back first."""
    torch.manual_seed(0)
    model = Plain()

    def loss(x):
        logits, mu, logvar = model(back(x))
        return (error(logits, back(x)) + kld(mu, logvar)) / len(x)

    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()
    return checkup.examine(model, x, loss, **options)


@pytest.mark.parametrize("grey", [False, True])
def test_what_is_learned_does_not_depend_on_the_scale_of_x(grey):
    x = images(grey=grey)
    plain = trained(bce, x)
    moved = trained(bce, 2 * x - 1, lambda x: (x + 1) / 2)
    assert moved.in_order == plain.in_order and "learned" in str(plain.in_order)
    assert [f.evidence for f in moved.findings] == [f.evidence for f in plain.findings]
    assert plain.names == moved.names == ["grey-pixels"] * grey


def test_a_variance_is_held_against_the_targets():
    x = images(grey=True)
    plain, moved = trained(squared, x), trained(squared, 255 * x, lambda x: x / 255)
    assert plain.names == moved.names == []


def test_what_is_learned_is_not_known_where_the_error_compares_with_something_else():
    x = images(grey=True)
    report = trained(bce, x, lambda x: (x > 0.2).float() * (x.mean(1, keepdim=True) > 0.1))
    assert report.measured["learned"] is None
    assert any("error that compares with x" in line for line in report.unknown)


def test_a_squared_error_is_not_given_in_nats():
    (line,) = (line for line in trained(squared, X).in_order if line.startswith("what is learned"))
    assert "the squared error is" in line and "nats below" not in line


# --- what the decoder returns, and what a pixel costs


def by_hand(p, x):
    return -(x * p.log() + (1 - x) * (1 - p).log()).sum()


@pytest.mark.parametrize(
    ("activation", "layer", "name"),
    [
        (torch.sigmoid, nn.Sigmoid(), "sigmoid-twice"),
        (torch.tanh, nn.Tanh(), "tanh-outputs"),
    ],
)
def test_an_activation_is_looked_for_where_it_stands(activation, layer, name):
    finding = only(examine(lambda o, x: bce(activation(o), x)))
    assert finding.name == name and "in the loss" in finding.causes[0]
    assert "larger codes" not in finding.evidence and "the loss takes" in finding.evidence
    finding = only(examine(out=layer))
    assert finding.name == name and "at the decoder's end" in finding.causes[0]
    assert "larger codes" in finding.evidence


def test_a_log_by_hand_is_not_called_clamped():
    finding = only(examine(lambda o, x: by_hand(o.sigmoid(), x)))
    assert (finding.name, finding.level) == ("log-of-zero", "fault")
    finding = only(examine(by_hand, out=nn.Sigmoid()))
    assert (finding.name, finding.level) == ("log-of-zero", "note")
    finding = only(examine(lambda o, x: by_hand(o.sigmoid().clamp(1e-6, 1 - 1e-6), x)))
    assert (finding.name, finding.level) == ("clamped", "fault")


def test_an_inverted_target_is_called_so():
    finding = only(examine(lambda o, x: bce(o, 1 - x)))
    assert finding.name == "other-target" and "1 - x" in finding.causes[0]
    finding = only(examine(lambda o, x: bce(o, x.flip(1).roll(1, 0))))
    assert finding.name == "other-target" and "shuffled" in finding.causes[0]


# --- the draw


@pytest.mark.parametrize(
    ("draw", "names", "said"),
    [
        (lambda mu, s: mu + (s / 2).exp(), ["constant-epsilon"], "z = mu + sigma"),
        (lambda mu, s: mu + 0.3 * (s / 2).exp(), ["constant-epsilon"], "is 0.3 for all"),
        (lambda mu, s: mu + 0.3, ["no-draw"], "or a function of it"),
        (lambda mu, s: mu + (s / 2).exp() * torch.randn(1), ["shared-epsilon"], "all images"),
        (lambda mu, s: mu.tanh(), ["no-draw"], "or a function of it"),
        (
            lambda mu, s: mu.detach() + (s / 2).exp() * torch.randn_like(s),
            ["detached-draw"],
            "mu sees only the KL",
        ),
        (
            lambda mu, s: (mu + (s / 2).exp() * torch.randn_like(s)).detach(),
            ["detached-draw"],
            "the encoder sees only the KL",
        ),
        (
            lambda mu, s: mu + (s / 4).exp() * torch.randn_like(s),
            ["readings-differ"],
            "halved twice in the draw",
        ),
        (
            lambda mu, s: s + (mu / 2).exp() * torch.randn_like(mu),
            ["mu-activation"],
            "likely: the draw is given the two numbers in the wrong order",
        ),
        (
            lambda mu, s: mu + (s / 2).exp() + torch.randn_like(mu),
            ["readings-differ"],
            "likely: sigma is added to the noise",
        ),
        (
            lambda mu, s: mu + s * torch.randn_like(mu),
            ["readings-differ"],
            "at which the draws have no spread",
        ),
        (
            lambda mu, s: mu + (s / 2).exp() * (1 + torch.randn_like(mu)),
            ["epsilon-mean"],
            "a number is added to the noise",
        ),
        (
            lambda mu, s: mu + (s / 2).exp() * torch.rand_like(mu),
            ["epsilon-mean"],
            "torch.rand where",
        ),
    ],
)
def test_what_is_wrong_with_the_draw_is_what_is_said(draw, names, said):
    report = examine(draw=draw)
    assert sorted(report.names) == names
    assert said in " ".join(str(report).split())
    assert "inf" not in str(report)
    assert "the variance of" not in str(report) or names[0] in ("readings-differ", "detached-draw")


def test_a_softplus_is_named_as_it_reads():
    def draw(mu, second):
        return mu + F.softplus(second) * torch.randn_like(mu)

    def kl(mu, second):
        sigma = F.softplus(second)
        return 0.5 * (mu.square() + sigma.square() - 1 - 2 * sigma.log()).sum()

    report = examine(kl=kl, draw=draw)
    assert report.names == []
    assert any("as a number whose softplus is sigma" in line for line in report.in_order)


def sigmas(drawn, charged, weight=1.0):
    """Examine a VAE that draws with one sigma and charges another, functions of its number s, in a
    KL of some weight."""

    def draw(mu, s):
        return mu + drawn(s) * torch.randn_like(mu)

    def kl(mu, s):
        sigma = charged(s)
        return weight * 0.5 * (mu.square() + sigma.square() - 1 - 2 * sigma.log()).sum()

    return examine(kl=kl, draw=draw)


def exp_plus(c):
    return lambda s: (s / 2).exp() + c


OTHER_SIGMAS = {
    "exp(s / 2) + 0.001": exp_plus(1e-3),
    "exp(s / 2) + 0.03": exp_plus(0.03),
    "exp(s - 1)": lambda s: (s - 1).exp(),
    "softplus(s - 1)": lambda s: F.softplus(s - 1),
    "softplus(s - 3)": lambda s: F.softplus(s - 3),
}


@pytest.mark.parametrize("sigma", OTHER_SIGMAS.values(), ids=OTHER_SIGMAS)
def test_another_function_of_the_second_number_is_no_fault(sigma):
    report = sigmas(sigma, sigma)
    assert report.names == [] and report.measured["learned"] is None
    assert any(line.startswith("what sigma is") for line in report.unknown)
    assert not any("wrong formula" in line for line in report.unknown)
    assert not any(line.startswith("the draw") for line in report.in_order)


@pytest.mark.parametrize(
    ("drawn", "charged", "name"),
    [
        (exp_plus(0.1), exp_plus(0), "readings-differ"),
        (F.softplus, lambda s: F.softplus(s - 1), "kl-formula"),
        (lambda s: (s - 1).exp(), lambda s: s.exp(), "draw-variance"),
    ],
)
def test_two_functions_of_the_second_number_are_a_fault(drawn, charged, name):
    assert sigmas(drawn, charged).faults == [name]


# --- where the gradient is lost beside the draw


def changed(change, error=bce, kl=kld, steps=0, x=X, out=None, **options):
    """Examine a small VAE that `change(model)` has changed; it is trained for some steps."""
    torch.manual_seed(0)
    model = Plain(out=out)
    change(model)

    def loss(x):
        outputs, mu, logvar = model(x)
        return (error(outputs, x) + kl(mu, logvar)) / len(x)

    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()
    return checkup.examine(model, x, loss, **options)


def decodes(how):
    """A change of the model: what the decoder makes of z."""
    return lambda model: setattr(model, "decode", lambda z: model.dec(how(z)))


def encodes(how):
    """A change of the model: what becomes of each of the two numbers."""

    def change(model):
        pair = model.encode
        model.encode = lambda x: tuple(map(how, pair(x)))

    return change


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (decodes(lambda z: z.detach()), "detached-decoder"),
        (decodes(lambda z: torch.tensor(z.detach().numpy())), "detached-decoder"),
        (decodes(lambda z: 0 * z), "deaf-decoder"),
        (encodes(lambda number: number.data), "detached-encoder"),
        (lambda m: setattr(m, "encode", torch.no_grad()(m.encode)), "detached-encoder"),
    ],
)
@pytest.mark.parametrize("steps", [0, 150])
def test_a_gradient_that_is_lost_in_a_call_is_found(change, name, steps):
    report = changed(change, steps=steps, trained=steps > 0 or name == "deaf-decoder")
    assert report.findings[0].name == name and set(report.names) <= {name, "collapse"}
    assert not any("gradient passes" in line for line in report.in_order) or name[:4] == "deaf"
    for finding in report.findings[1:]:
        assert finding.causes[0].startswith("found above")
        assert finding.see.startswith("notebook 10, case 14")


def begin_from_zero(*names):
    """A change of the model: layers that start from zero."""

    def change(model):
        for name in names:
            for weight in model.get_submodule(name).parameters():
                nn.init.zeros_(weight)

    return change


def shift_the_layer(by):
    """Every unit of the decoder's hidden layer is off for every code of x; by far, for any z."""
    return lambda model: nn.init.constant_(model.dec[0].bias, by)


LEFT_OUT, DEAD = ["left out", "ReLUs are off"], ["ReLUs are off", "round"]


@pytest.mark.parametrize(
    ("change", "title", "causes", "see"),
    [
        (decodes(lambda z: 0 * z), "the same for each z", LEFT_OUT, "case 14"),
        (begin_from_zero("dec.2"), "the same for each z", LEFT_OUT, "case 14"),
        (shift_the_layer(-1e9), "the same for each z", LEFT_OUT, "Real collapse"),
        (shift_the_layer(-50.0), "no gradient of the", DEAD, "Real collapse"),
        (decodes(torch.round), "no gradient of the", DEAD, "Real collapse"),
    ],
)
def test_of_a_decoder_without_a_slope_all_causes_are_named(change, title, causes, see):
    deaf, *others = changed(change, trained=True).findings
    assert deaf.name == "deaf-decoder" and title in deaf.title and see in deaf.see
    assert "exactly 0 at every code of x" in deaf.evidence
    assert ("give the same output" in deaf.evidence) == (title == "the same for each z")
    assert len(deaf.causes) == len(causes)
    assert all(part in cause for part, cause in zip(causes, deaf.causes))
    assert [other.name for other in others] in ([], ["collapse"])
    assert all(other.causes[0].startswith("found above") for other in others)
    assert all(other.see == deaf.see for other in others)


def test_a_decoder_that_hears_one_unit_is_not_deaf():
    def change(model):
        shift_the_layer(-50.0)(model)
        with torch.no_grad():
            model.dec[0].bias[0] = 50.0

    assert "deaf-decoder" not in changed(change, trained=True).names


G = images(grey=True)


@pytest.mark.parametrize(
    ("options", "beta", "cause", "see"),
    [
        ({}, 30.0, "the price: a beta of 30, which is meant", "case 6"),
        ({"error": squared, "x": 0.4 * G}, 1.0, "the price: a Gaussian of variance 0.5, ", "19"),
        ({"error": squared, "x": G}, 9.0, "of variance 4.5, with its beta of 9, more th", "19"),
        ({"out": nn.Sigmoid()}, 1.0, "found above: probabilities are taken for logits", "case 16"),
        ({"out": nn.ReLU()}, 1.0, "found above: the logits cannot be negative", "case 7"),
        ({"error": squared, "x": 3 * G}, 1.0, "a real collapse: the draw has its gr", "Real coll"),
    ],
)
def test_the_cause_of_a_collapse_is_the_one_that_was_measured(options, beta, cause, see):
    """The encoder says N(0, I) of each image, as after a collapse."""
    collapsed = begin_from_zero("fc21", "fc22")
    report = changed(
        collapsed, kl=lambda mu, lv: beta * kld(mu, lv), beta=beta, trained=True, **options
    )
    (finding,) = (f for f in report.findings if f.name == "collapse")
    assert cause in finding.causes[0] and see in finding.see
    assert len(finding.causes) == 1
    assert ("real" in cause) == ("does not depend on x" in finding.causes[0])  # its heads are 0


def nearly_silent(model):
    """Its heads are small, not 0, as after a collapse that the KL brought about."""
    with torch.no_grad():
        for name in ("fc21", "fc22"):
            model.get_submodule(name).weight.mul_(1e-3)
            model.get_submodule(name).bias.zero_()


def off(model):
    """Every unit of the encoder's hidden layer is off, for every image."""
    nearly_silent(model)
    nn.init.constant_(model.enc[0].bias, -1e3)


def left_out(model):
    nearly_silent(model)
    encode = model.encode
    model.encode = lambda x: encode(0 * x)


def thresholds(model):
    """No gradient comes back to x, but the code depends on it."""
    nearly_silent(model)
    encode = model.encode
    model.encode = lambda x: encode((x > 0.5).to(x))


@pytest.mark.parametrize(
    ("change", "blind"),
    [(off, True), (left_out, True), (nearly_silent, False), (thresholds, False)],
)
def test_an_encoder_to_which_x_does_not_come_is_told_from_one_that_is_silent(change, blind):
    report = changed(change, error=squared, x=3 * G, trained=True)
    (finding,) = (f for f in report.findings if f.name == "collapse")
    assert ("does not depend on x" in finding.causes[0]) == blind
    assert ("Treatments: KL annealing" in finding.causes[0]) == (not blind)


def test_a_loss_without_a_gradient_is_called_so():
    finding = only(examine(torch.no_grad()(bce), torch.no_grad()(kld), x=X[:80]))
    assert finding.name == "no-gradient" and "no_grad()" in finding.causes[0]


def freeze(model):
    model.requires_grad_(False)


def fix_the_spread(model):
    """A second number that is a constant."""
    pair = model.encode
    model.encode = lambda x: (pair(x)[0], torch.full((len(x), 4), -1.0))


@pytest.mark.parametrize("change", [freeze, fix_the_spread, begin_from_zero("dec.2")])
def test_a_gradient_that_nobody_lost_is_not_missed(change):
    names = changed(change).names
    assert not any(name.startswith(("detached", "deaf")) for name in names)


@pytest.mark.parametrize("layers", [("fc21",), ("fc22",), ("fc21", "fc22"), ("dec.2",)])
def test_a_layer_that_starts_from_zero_is_healthy(layers):
    report = changed(begin_from_zero(*layers))
    assert set(report.names) <= {"collapse"} and report.faults == []
    assert any(line.startswith("the dose: the KL weighs 1 ") for line in report.in_order)


def test_probabilities_that_start_at_one_half_are_healthy():
    def probabilities(p, x):
        return F.binary_cross_entropy(p, x, reduction="sum")

    report = changed(begin_from_zero("dec.2"), probabilities, out=nn.Sigmoid())
    assert set(report.names) <= {"clamped", "collapse"} and report.faults == []
    assert any(line.startswith("the dose: the KL weighs 1 ") for line in report.in_order)


# --- batches, and numbers that are not finite


@pytest.mark.parametrize(
    ("error", "kl", "cause"),
    [
        (1, 0, "the KL is averaged over the batch and divided by its size once more"),
        (1, 2, "the error is averaged over the batch, the KL summed or divided by a fixed num"),
        (0, 1, "the error is averaged over the batch and divided by its size once more"),
    ],
)
def test_the_causes_of_a_weight_that_depends_on_the_batch(error, kl, cause):
    """`examine` divides by the number of images: these are the powers of it that come before."""
    finding = examine(
        lambda o, x: bce(o, x) * len(x) ** (error - 1.0),
        lambda mu, lv: kld(mu, lv) * len(mu) ** (kl - 1.0),
    ).findings[0]
    assert finding.name == "kl-batch" and any(line.startswith(cause) for line in finding.causes)
    assert ("averaged over the batch and div" in finding.causes[0]) == (kl == 0)


def test_the_causes_of_a_sum_follow_from_its_number():
    (finding,) = examine(
        lambda o, x: bce(o, x) * len(x) / 128, lambda mu, lv: kld(mu, lv) * len(mu) / 128
    ).findings
    assert finding.name == "summed-batch" and "on 62 images it is 0.4844" in finding.evidence
    assert any("fixed batch size" in cause for cause in finding.causes)
    (finding,) = examine(
        lambda o, x: bce(o, x) * len(x), lambda mu, lv: kld(mu, lv) * len(mu)
    ).findings
    assert "on 62 images it is 62" in finding.evidence and len(finding.causes) == 1
    assert only(examine(lambda o, x: bce(o, x) + 99)).causes[0].startswith("a term that is added")


@pytest.mark.parametrize(
    ("options", "place", "cause"),
    [
        ({"x": torch.where(torch.arange(64) == 9, torch.nan, X)}, "the inputs x", "the data"),
        ({"error": lambda o, x: by_hand(0 * o, x)}, "the loss", "log of 0"),
        ({"draw": lambda mu, lv: mu + (999 + lv).exp()}, "z", "exp(logvar)"),
        (
            {"draw": lambda mu, lv: mu + lv, "out": nn.Threshold(9, torch.inf)},
            "layer",
            "a division",
        ),
    ],
)
def test_the_causes_of_nan_follow_from_its_place(options, place, cause):
    finding = only(examine(**options))
    assert finding.evidence.startswith(f"first in {place}")
    assert finding.causes[0].startswith(cause) and finding.name == "not-finite"


def test_weights_that_are_nan_are_seen():
    out = nn.Linear(64, 64)
    nn.init.constant_(out.bias, torch.nan)
    finding = only(examine(out=out))
    assert "whose weights are NaN" in finding.evidence and "train anew" in finding.causes[0]


# --- the adapter, and the report


class Boxed:
    def __init__(self, mu, logvar):
        self.mu, self.logvar = mu, logvar


ENCODINGS = {
    "dict": (lambda mu, logvar: {"mu": mu, "logvar": logvar}, lambda o: (o["mu"], o["logvar"])),
    "object": (Boxed, lambda o: (o.mu, o.logvar)),
    "three": (lambda mu, logvar: (mu, logvar, mu), lambda o: o[:2]),
}


def examine_adapter(kind=None, **options):
    """Examine a healthy small VAE whose encode returns the pair in a box of this kind."""
    torch.manual_seed(0)
    model = Plain()
    if kind:
        pair, (box, unbox) = model.encode, ENCODINGS[kind]
        model.encode = lambda x: box(*pair(x))

    def loss(x):
        mu, logvar = unbox(model.encode(x)) if kind else model.encode(x)
        return (bce(model.decode(model.reparameterize(mu, logvar)), x) + kld(mu, logvar)) / len(x)

    return checkup.examine(model, X, loss, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "dict"}, r"keys 'mu', 'logvar'.*fields="),
        ({"kind": "dict", "fields": ("mu", "log_var")}, "'log_var', which is not among"),
        ({"kind": "object"}, "type Boxed: name the two layers"),
        ({"kind": "three", "fields": (0, 5)}, "5, which is not among"),
        ({"kind": "three", "fields": (0,)}, "must name two"),
        ({"encode": "enc.9"}, "'enc.9' is not a method"),
        ({"decode": "nosuch.0"}, "'nosuch.0' is not a method.*decode="),
        ({"evaluate": lambda x: (1.0, 2)}, r"evaluate\(x\) returned a tuple: .*one number"),
        ({"evaluate": lambda x: x.sum(1)}, r"evaluate\(x\) returned a tensor of shape \[200\]"),
        ({"code": lambda x: (x, x)}, r"code\(x\) returned the type tuple"),
        ({"picture": lambda z: (z, z)}, r"picture\(z\) returned the type tuple"),
        ({"beta": 0}, "above 0"),
    ],
)
def test_an_adapter_that_does_not_fit_is_told_what_to_change(options, message):
    with pytest.raises(checkup.CannotExamine, match=message):
        examine_adapter(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "dict", "fields": ("mu", "logvar")},
        {"kind": "three", "fields": (0, -2)},
        {"kind": "object", "encode": ("fc21", "fc22")},
        {"decode": "dec"},
    ],
)
def test_an_adapter_that_fits_finds_a_healthy_model_healthy(options):
    report = examine_adapter(**options)
    assert report.names == [] and len(report.in_order) >= 3


def two_outputs(model):
    """The decoder returns the mean and the log-variance of each pixel."""
    spread = nn.Linear(4, 64)
    model.decode = lambda z: (model.dec(z), spread(z).clamp(-6, 2))


def a_normal(model):
    spread = nn.Linear(4, 64)
    model.decode = lambda z: Normal(model.dec(z), spread(z).clamp(-3, 1).exp())


def own_variance(output, x):
    if isinstance(output, Normal):
        return -output.log_prob(x).sum()
    mean, logvar = output
    return 0.5 * ((mean - x).square() * (-logvar).exp() + logvar).sum()


@pytest.mark.parametrize("change", [two_outputs, a_normal])
def test_a_decoder_with_a_variance_of_its_own_is_examined(change):
    report = changed(change, own_variance)
    assert report.names == [] and any(line.startswith("the likeli") for line in report.unknown)


def test_calls_in_half_precision_are_examined():
    def cast(model):
        model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)

    report = changed(cast, lambda o, x: bce(o.float(), x), lambda mu, lv: kld(mu.float(), lv))
    assert report.faults == [] and any(line.startswith("the dose") for line in report.in_order)


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16])
def test_a_model_of_sixteen_bits_is_healthy(dtype):
    assert changed(lambda model: model.to(dtype), x=X.to(dtype)).names == []


class Conditional(nn.Module):
    """A VAE whose decoder is given a label of `width` before the code."""

    def __init__(self, width):
        super().__init__()
        self.inner, self.width = Plain(), width
        self.inner.dec = nn.Sequential(nn.Linear(4 + width, 32), nn.ReLU(), nn.Linear(32, 64))
        self.encode = self.inner.encode

    def decode(self, label, z):
        return self.inner.dec(torch.cat([z, label], 1))

    def loss(self, x):
        label = F.one_hot((x.sum(1) > 10).long(), self.width).float()
        mu, logvar = self.encode(x)
        z = self.inner.reparameterize(mu, logvar)
        return (bce(self.decode(label, z), x) + kld(mu, logvar)) / len(x)


@pytest.mark.parametrize("width", [2, 4])
def test_a_label_before_the_code_is_no_code(width):
    model = Conditional(width)
    report = checkup.examine(model, X, model.loss)
    assert report.names == [] and len(report.in_order) == 3
    model.decode = lambda label, z: Conditional.decode(model, label, z.detach())
    assert checkup.examine(model, X, model.loss).names == ["detached-decoder"]


@pytest.mark.parametrize("n_samples", [16, 62])
@pytest.mark.parametrize("before", [True, False])
def test_prior_samples_that_the_loss_decodes_are_not_examined(before, n_samples):
    def decode_samples(model):
        forward = model.forward

        def call(x):
            if before:
                model.decode(torch.randn(n_samples, 4))
            results = forward(x)
            if not before:
                model.decode(torch.randn(n_samples, 4))
            return results

        model.forward = call

    report = changed(decode_samples)
    assert report.names == [] and len(report.in_order) == 3
    assert any("decodes 2 times" in line for line in report.unknown)


def one_sigma_an_image(model):
    model.fc22 = nn.Linear(32, 1)


def test_one_sigma_for_all_units_of_an_image_is_charged_for_each():
    report = changed(one_sigma_an_image, kl=lambda mu, lv: kld(mu, lv.expand_as(mu)))
    assert report.names == []
    assert report.measured["doses"] == pytest.approx({"mu": 1, "the second number": 1}, rel=1e-3)


def test_images_that_the_loss_itself_flips_are_no_other_target():
    torch.manual_seed(0)
    model = Plain()

    def loss(x):
        x = x.flip(1) if torch.rand(()) < 0.5 else x  # under the seed 0 of the planted runs: flips
        logits, mu, logvar = model(x)
        return (bce(logits, x) + kld(mu, logvar)) / len(x)

    assert checkup.examine(model, X, loss).names == []


def draws_inside(model):
    """Encode returns mu, the log-variance and z."""
    pair = model.encode

    def encode(x):
        mu, logvar = pair(x)
        return mu, logvar, model.reparameterize(mu, logvar)

    def forward(x):
        mu, logvar, z = model.encode(x)
        return model.decode(z), mu, logvar

    model.encode, model.forward = encode, forward


def test_a_code_that_encode_itself_draws_is_refused_with_its_mend():
    with pytest.raises(checkup.CannotExamine, match="name the two layers"):
        changed(draws_inside, fields=(0, 1))
    assert changed(draws_inside, encode=("fc21", "fc22")).names == []


def one_spread_for_all(model):
    pair, logvar = model.encode, nn.Parameter(torch.zeros(4))
    model.encode = lambda x: (pair(x)[0], logvar)


def step(model):
    """The model's forward call trains, too."""
    forward = model.forward

    def call(x):
        output, mu, logvar = forward(x)
        bce(output, x).backward()
        return output, mu, logvar

    model.forward = call


@pytest.mark.parametrize(
    ("change", "message"),
    [(one_spread_for_all, r"shape \[4\]: each must have a row"), (step, r"calls backward\(\)")],
)
def test_a_model_that_cannot_be_examined_is_told_why(change, message):
    with pytest.raises(checkup.CannotExamine, match=message):
        changed(change, kl=lambda mu, logvar: kld(mu, logvar.expand_as(mu)))


def test_two_numbers_in_the_wrong_order_are_called_so():
    for options in ({"encode": ("fc22", "fc21")}, {"kind": "three", "fields": (1, 0)}):
        finding = only(examine_adapter(**options))
        assert finding.name == "mu-activation" and "wrong order" in finding.causes[0]
    report = examine_adapter(encode="enc")  # the hidden layer, behind a ReLU
    assert report.names == [] and any("name the first call" in line for line in report.unknown)


def test_nothing_examined_is_not_nothing_found():
    text = str(examine_adapter(decode="forward"))
    assert text.startswith("Check-up: nothing could be examined.")


def swapped_kl(mu, logvar):
    return kld(logvar, mu)


@pytest.mark.parametrize(
    ("options", "head"),
    [
        ({}, "no faults, no notes."),
        ({"kl": swapped_kl}, "no faults, no notes; not known: the KL."),
        ({"error": lambda o, x: (o - x).abs().sum()}, "no faults, no notes; not known: the error."),
    ],
)
def test_no_faults_are_no_news_where_a_term_is_not_known(options, head):
    assert str(examine(**options)).splitlines()[0] == f"Check-up: {head}"


def test_a_loss_that_does_not_run_is_not_said_to_have_wrong_shapes():
    def loss(x):
        return nosuch(x)  # noqa: F821

    finding = only(checkup.examine(Plain(), X, loss))
    assert finding.causes == ("an error in the loss's own code",) and "case" not in finding.see


def test_the_figure_names_what_is_drawn_and_is_shown_once():
    report = examine(lambda o, x: squared(o.sigmoid(), x), lambda mu, lv: 4 * kld(mu, lv), beta=4)
    open_figures = plt.get_fignums()
    dose, _, outputs, _ = report.figure().axes
    assert outputs.get_xlabel() == "output" and plt.get_fignums() == open_figures
    assert dose.lines[0].get_ydata()[0] == 4
    assert examine().figure().axes[2].get_xlabel() == "logit"


def test_the_sections_that_findings_name_are_there():
    root = Path(__file__).parents[2]
    sources = [path.read_text() for path in (root / "lecture_utils/checkup").glob("*.py")]
    named = {found for text in sources for found in re.findall(r"notebook (\d\d), \"(.+?)\"", text)}
    assert len(named) >= 5
    for number, heading in named:
        (notebook,) = (root / "notebooks").glob(f"{number}_*.ipynb")
        assert re.search(rf'"#+ {re.escape(heading)}', notebook.read_text()), (number, heading)


# --- the reported number


@pytest.mark.parametrize(
    ("error", "factor", "names", "said"),
    [
        (bce, 1, [], ""),
        (bce, 5, ["report-differs"], "likely: a beta inside the reported number"),
        (bce, 1 / math.log(2), ["report-differs"], "bits, where nats are asked for"),
        (bce, 1 / 64 / math.log(2), ["report-differs"], "bits, where nats are asked for"),
        (bce, 1 / 64, ["report-differs"], "likely: a sum, or a mean over pixels"),
        (squared, 5, [], "? whether the reported number is the ELBO"),
    ],
)
def test_a_report_in_another_unit_is_called_so(error, factor, names, said):
    report = examine(error, report=lambda loss, x: -factor * loss(x))
    assert report.names == names and said in " ".join(str(report).split())
    assert "found in the loss above" not in str(report)


def test_a_trained_model_that_is_worse_than_the_mean_image_is_called_so():
    def probabilities(p, x):
        return F.binary_cross_entropy(p, x, reduction="sum")

    def far_codes(model):
        nn.init.normal_(model.fc21.weight, std=1.0)

    softmax = {"error": probabilities, "out": nn.Softmax(1)}
    report = changed(far_codes, **softmax, trained=True)
    assert "worse-than-mean" in report.names and report.faults == []
    assert "worse-than-mean" not in changed(far_codes, **softmax).names


def by_batches(size, join, last=True):
    """A report that joins the sums of batches."""

    def report(loss, x):
        parts = [part for part in x.split(size) if last or len(part) == size]
        return -join([loss(part) * len(part) for part in parts], parts)

    return report


def sum_over_images(sums, parts):
    return sum(sums) / sum(map(len, parts))


@pytest.mark.parametrize(
    ("report", "names", "said"),
    [
        (by_batches(60, sum_over_images), [], ""),
        (by_batches(60, sum_over_images, last=False), ["left-out"], "180 of 200 images"),
        (lambda loss, x: -loss(x[:64]), ["left-out"], "64 of 200 images"),
        (
            by_batches(50, lambda sums, parts: sum(sums) / len(parts)),
            ["report-differs"],
            "images in a batch (50)",
        ),
        (
            lambda loss, x: -sum(loss(x) for _ in range(5)) / 5,
            [],
            "the evaluation encodes 1000 images, and x has 200",
        ),
        (lambda loss, x: -loss(X[:64]), [], "the evaluation encodes images of its own"),
    ],
)
def test_how_a_report_joins_its_batches(report, names, said):
    text = examine(report=report)
    assert text.names == names and said in " ".join(str(text).split())


def test_a_report_without_the_kl_is_called_so():
    torch.manual_seed(0)
    model = Plain()
    nn.init.constant_(model.fc22.bias, -3.0)

    def terms(x):
        logits, mu, logvar = model(x)
        return bce(logits, x) / len(x), kld(mu, logvar) / len(x)

    report = checkup.examine(model, X, lambda x: sum(terms(x)), evaluate=lambda x: -terms(x)[0])
    assert only(report).causes == ("the error alone: the KL is left out",)


def test_a_fault_in_the_loss_may_be_the_report_s_only_where_there_is_one():
    report = examine(kl=minus(kld), report=lambda loss, x: -5 * loss(x))
    assert report.names == ["kl-sign", "report-differs"]
    assert "found in the loss above" in str(report)


# --- styles that a reader of the check-up tried


def with_calls_before(before):
    """A healthy loss that calls the decoder for something else first."""
    torch.manual_seed(0)
    model = Plain()

    def loss(x):
        before(model)
        out, mu, logvar = model(x)
        return (bce(out, x) + kld(mu, logvar)) / len(x)

    return model, loss


def test_prior_samples_of_a_generator_of_their_own_may_be_decoded_first():
    generator = torch.Generator().manual_seed(0)
    model, loss = with_calls_before(lambda m: m.decode(torch.randn(16, 4, generator=generator)))
    assert checkup.examine(model, X, loss).names == []


def test_a_loss_that_decodes_more_often_in_training_is_refused_in_words():
    model, loss = with_calls_before(lambda m: m.training and m.decode(torch.randn(16, 4)))
    with pytest.raises(checkup.CannotExamine, match="another number of times in evaluation"):
        checkup.examine(model, X, loss)


def in_training_only(model):
    def decode(z):
        with torch.set_grad_enabled(model.training):
            return model.dec(z)

    model.decode = decode


def in_place(model):
    model.dec = nn.Sequential(nn.LeakyReLU(inplace=True), *model.dec)


def from_constants(model):
    """Layers that start from weights of zero, with biases of their own."""
    for layer, bias in ((model.fc21, 0.2), (model.fc22, 0.1), (model.dec[2], 0.5)):
        nn.init.zeros_(layer.weight)
        nn.init.uniform_(layer.bias, 0, bias)


@pytest.mark.parametrize("change", [in_training_only, in_place, from_constants])
def test_a_healthy_model_of_another_style_has_nothing(change):
    assert changed(change).names == []


def test_a_kl_that_does_not_see_the_spread_is_half_a_kl():
    assert examine(kl=lambda mu, _: 0.5 * mu.square().sum()).faults == ["half-a-kl"]


def test_a_draw_that_is_a_little_too_wide_is_seen():
    wide = sigmas(lambda s: 1.06 * (s / 2).exp(), lambda s: (s / 2).exp())
    assert wide.faults == ["draw-variance"]


@pytest.mark.parametrize("weight", [0.25, 8.0])
def test_the_weight_of_a_kl_with_a_sigma_of_its_own_is_seen(weight):
    assert sigmas(exp_plus(0.03), exp_plus(0.03), weight).faults == ["beta"]
