"""Tasks 1 to 4: the sample, the KL, the likelihood, the ELBO. Compared with torch.distributions
and quadrature."""

import math

from lecture_utils.tutorial.task import (
    AXIS_LOST,
    FLOATS,
    NATS_IN_A_BIT,
    NotYet,
    Task,
    Toy,
    compare,
    draws_are_fresh,
    exact_kl,
    exact_likelihood,
    expect,
    gaussian_noise,
    gradients,
    near,
    no_error,
    numbers,
    pixels,
    probe_draws,
    same,
    seeded,
    tensor,
    toy_numbers,
    uniform,
    unless_returned,
)

import numpy as np
import torch
import torch.nn.functional as F

BATCH = 8192


# --- 1 Sample z


def _draw_sample(g):
    sign = torch.tensor([1.0, -1.0, 1.0]) * (1 if torch.rand((), generator=g) < 0.5 else -1)
    return {
        "mu": uniform(g, (3,), -3, 3),
        "logvar": sign * uniform(g, (3,), 0.6, 1.6),
        "small mu": uniform(g, (4, 5), -2, 2),
        "small logvar": uniform(g, (4, 5), -1.5, 1.5),
        "weight": uniform(g, (4, 5), 0.5, 2),
    }


def _probe_sample(functions, given, seed, record):
    (reparameterize,) = functions
    mu, logvar = given["mu"].repeat(BATCH, 1), given["logvar"].repeat(BATCH, 1)
    before = mu.clone(), logvar.clone()
    probe_draws(lambda g: reparameterize(mu, logvar, g), "z", seed, record)
    record["unchanged"] = same(mu, before[0]) and same(logvar, before[1])
    for name, shape in (("vector", (3,)), ("one image", (1, 3)), ("many", (4, 50, 3))):
        record.put(
            name,
            reparameterize(given["mu"].expand(shape), given["logvar"].expand(shape), seeded(seed)),
        )
    ends = torch.tensor([4.0, -4.0]).repeat(BATCH, 1)
    record.put("wide", reparameterize(torch.zeros(BATCH, 2), ends, seeded(seed)))
    mu, logvar = (given[f"small {n}"].clone().requires_grad_() for n in ("mu", "logvar"))
    z = reparameterize(mu, logvar, seeded(seed))
    record.put("small z", z)
    weighted = z * given["weight"] if isinstance(z, torch.Tensor) else z
    for name, gradient in zip(("mu", "logvar"), gradients(weighted, (mu, logvar))):
        record.put(f"gradient {name}", gradient)


def _judge_sample(given, r):
    z = tensor(r, "z", (BATCH, 3), "that of mu")
    expect(
        r.get("unchanged", True), "mu or logvar was changed: they are still needed as they were."
    )
    mu, logvar = given["mu"].double(), given["logvar"].double()
    noise = z - mu
    expect(
        not z.isnan().any(),
        "There are NaN in z: a root or a logarithm of a negative number was taken. logvar may be"
        " negative.",
    )
    expect(noise.abs().max() > 0, "z equals mu: nothing random was added.")
    expect(
        noise.std(dim=0).max() > 1e-5,
        "All examples of a batch share one epsilon. Each entry of mu needs its own.",
    )
    _scale(noise, mu, logvar)
    error = 6 * (logvar / 2).exp().max() / BATCH**0.5
    expect(
        noise.mean(dim=0).abs().max() < error or z.mean(dim=0).abs().max() > error,
        f"mu is missing, or averaged: the mean of z is {numbers(z.mean(dim=0))}, expected"
        f" {numbers(mu)}.",
    )
    expect(
        noise.mean(dim=0).abs().max() < error,
        f"The mean of z is {numbers(z.mean(dim=0))}, but mu is {numbers(mu)}: is mu itself"
        " changed, or has the noise a mean of its own?",
    )
    gaussian_noise(noise / (logvar / 2).exp(), "epsilon")
    no_error(
        r,
        {
            "": (
                "It works for mu of shape [B, J]. mu may have any number of leading dimensions: [J]"
                " or [L, B, J]."
            )
        },
    )
    _reached(r)
    draws_are_fresh(r, "z", "z")
    tensor(r, "vector", (3,), "that of mu")
    tensor(r, "one image", (1, 3), "that of mu", {(3,): AXIS_LOST})
    many = tensor(r, "many", (4, 50, 3), "that of mu, samples first")
    expect(
        not same(many[0], many[1]), "For mu of shape [L, B, J], all L samples share one epsilon."
    )
    wide = tensor(r, "wide", (BATCH, 2), "that of mu").std(dim=0)
    expect(
        near(wide / torch.tensor([2.0, -2.0]).exp(), torch.ones(2), rtol=0.1),
        "Right for logvar between -1.6 and 1.6, wrong for 4 and -4: the standard deviations of z"
        f" are {numbers(wide)}, expected [7.389, 0.1353]. Is logvar cut off?",
    )
    small = tensor(r, "small z", (4, 5), "that of mu")
    weight = given["weight"].double()
    expect(
        near(r["gradient mu"], weight),
        "The gradient dz/dmu is not 1: mu enters z in a second place.",
    )
    expect(
        near(r["gradient logvar"], weight * (small - given["small mu"].double()) / 2),
        "The gradient dz/dlogvar is wrong: part of sigma is cut off from the graph.",
    )


def _reached(r):
    """Raise NotYet unless gradients reach mu and logvar."""
    reached = {
        name: isinstance(r.get(f"gradient {name}"), torch.Tensor)
        and bool(r[f"gradient {name}"].abs().max() > 0)
        for name in ("mu", "logvar")
    }
    expect(
        reached["mu"] or not reached["logvar"],
        "A gradient reaches logvar, but none reaches mu: detach, no_grad, .data or numpy cuts it"
        " off.",
    )
    expect(
        reached["mu"],
        "No gradient flows from z to mu: the draw is a constant to autograd, as from torch.normal,"
        " sample() or within no_grad. What must be drawn, so that z is a function of mu?",
    )
    expect(
        reached["logvar"],
        "A gradient reaches mu, but none reaches logvar: detach, no_grad, .data or numpy cuts it"
        " off.",
    )


def _scale(noise, mu, logvar):
    """Recognise a wrong sigma by the spread of the noise, if one mistake alone explains it."""
    spread, sigma, one = noise.std(dim=0), (logvar / 2).exp(), torch.ones(3, dtype=noise.dtype)
    if ((spread / sigma).log().abs() < 0.06).all():
        return
    times = (spread / sigma).log().mean().exp()
    mistakes = {
        "You scale epsilon by the variance sigma², but z needs sigma; torch's Normal takes sigma, "
        "too. One of the slides has this misprint.": (logvar.exp()),
        "You scale epsilon by logvar itself, which is a logarithm, and of sigma² at that.": (
            logvar.abs()
        ),
        "You scale epsilon by half of logvar, the logarithm of sigma: its exp is missing.": (
            logvar.abs() / 2
        ),
        "epsilon is not scaled at all.": one,
        "You scale epsilon by 1 / sigma.": 1 / sigma,
        f"The noise is {times:.2g} times as large as sigma. epsilon has standard deviation 1.": (
            times * sigma
        ),
        "You scale epsilon by mu: mu is where z lies, sigma how far it strays.": mu.abs(),
    }
    if noise.min() >= 0:
        mistakes = {"The noise is never negative. A standard normal is, half of the time.": spread}
    hints = [
        hint for hint, value in mistakes.items() if ((spread / value).log().abs() < 0.06).all()
    ]
    seen = (
        f"For the variances {numbers(logvar.exp())} the standard deviations of your z are"
        f" {numbers(spread)}, expected {numbers(sigma)}."
    )
    raise NotYet(
        f"{hints[0]}\n{seen}"
        if len(hints) == 1
        else f"The noise has the wrong size: what is the standard deviation that belongs to a"
        f" variance?\n{seen}",
    )


# --- 2 The KL term

KL_SHAPES = {
    "matrix": (3, 4),
    "samples": (2, 4, 3),
    "vector": (5,),
    "one image": (1, 3),
    "wide": (6, 20),
}


def _draw_kl(g):
    given = {}
    for name, shape in KL_SHAPES.items():
        given[f"mu {name}"] = uniform(g, shape, -2, 2)
        given[f"logvar {name}"] = uniform(g, shape, -1.5, 1.5)
    given["mu wide"], given["logvar wide"] = 2 * given["mu wide"], 4 * given["logvar wide"]
    return given


def _probe_kl(functions, given, seed, record):
    (gaussian_kl,) = functions
    record.put("zero", gaussian_kl(torch.zeros(1, 2), torch.zeros(1, 2)))
    m, v = given["mu matrix"], given["logvar matrix"]
    record.put("of mu", gaussian_kl(m, torch.zeros_like(v)))
    record.put("of logvar", gaussian_kl(torch.zeros_like(m), v))
    record.put("of one", gaussian_kl(m[:, :1], v[:, :1]))
    record.put("matrix", gaussian_kl(m, v))
    record.put("again", gaussian_kl(m, v))
    for name in KL_SHAPES:
        record.put(name, gaussian_kl(given[f"mu {name}"], given[f"logvar {name}"]))
    mu, logvar = (given[f"{n} samples"].clone().requires_grad_() for n in ("mu", "logvar"))
    for name, gradient in zip(("mu", "logvar"), gradients(gaussian_kl(mu, logvar), (mu, logvar))):
        record.put(f"gradient {name}", gradient)


def _kl_mistakes(m, v):
    """{hint: the KL of someone who makes that mistake}, for mu and logvar [B, J] in float64."""
    s, b, j = lambda t: t.sum(dim=-1), len(m), m.shape[-1]
    right = exact_kl(m, v)
    return {
        "The KL is twice too large: the ½ is missing.": 2 * right,
        "The sign is wrong: this is minus the KL (L2 of the slide). A KL is never negative.": (
            -right
        ),
        "The KL is divided by J: sum over the latent dimensions, do not average.": right / j,
        "Each KL is divided by the number of examples. The mean over the batch comes once, "
        "later.": (right / b),
        "You take logvar for the standard deviation sigma. It is the logarithm of sigma².": (
            0.5 * s(m**2 + v**2 - 1 - (v**2).log())
        ),
        "You take logvar for log sigma. It is the logarithm of sigma², so the variance comes "
        "out squared. torch's Normal takes sigma.": (0.5 * s(m**2 + (2 * v).exp() - 1 - 2 * v)),
        "One term holds sigma where the variance belongs: exp(logvar / 2) is sigma.": (
            0.5 * s(m**2 + (v / 2).exp() - 1 - v)
        ),
        "mu enters to the first power. By hand: mu and -mu are equally far from 0.": (
            0.5 * s(m + v.exp() - 1 - v)
        ),
        "mu enters by its absolute value. By hand: the KL of N(2, 1) is four times that of N(1, "
        "1).": (0.5 * s(m.abs() + v.exp() - 1 - v)),
        "Every KL is off by the same constant. By hand: N(0, I) against itself must give 0.": (
            right + 0.5 * j
        ),
        "The 1 is counted once: it belongs to each latent dimension, inside the sum.": (
            right + 0.5 * (j - 1),
            right + 0.5 * j - 1,
        ),
        "Every KL is off by J. By hand: N(0, I) against itself must give 0.": right + j,
        "This is KL(p || q). The KL is not symmetric, and the lecture needs KL(q || p).": (
            0.5 * s((m**2 + 1) / v.exp() - 1 + v)
        ),
        "This is in bits: use natural logarithms.": right / NATS_IN_A_BIT,
        "mu is missing: far from 0 the KL must grow.": 0.5 * s(v.exp() - 1 - v),
        "mu enters with the wrong sign: the further from 0, the larger the KL.": (
            0.5 * s(v.exp() - m**2 - 1 - v)
        ),
        "The logarithm of the variance is missing.": 0.5 * s(m**2 + v.exp() - 1),
        "logvar enters with the wrong sign.": 0.5 * s(m**2 + v.exp() - 1 + v),
        "The variance is missing: only its logarithm is there.": 0.5 * s(m**2 - 1 - v),
        "The ½ belongs to every term, not to one alone.": s(m**2 / 2 + v.exp() - 1 - v),
        "The latent dimensions are multiplied: independent dimensions add up.": (
            0.5 * (m**2 + v.exp() - 1 - v).prod(dim=-1)
        ),
        "Only the first latent dimension counts.": exact_kl(m[:, :1], v[:, :1]),
    }


def _judge_kl(given, r):
    nan = "logvar already is a logarithm, and may be negative: take no logarithm of it."
    about = "mu {}, logvar {}".format(*(numbers(given[f"{n} matrix"][0]) for n in ("mu", "logvar")))
    kl = tensor(
        r,
        "matrix",
        (3,),
        "one KL per example",
        {
            (): "sum over the latents alone, dim=-1; the mean over examples comes once, later",
            (4,): "you summed over the examples, not over the latents",
            (3, 4): "the latent dimensions are not summed",
            (3, 1): "the summed dimension is still there",
        },
    )
    m, v = given["mu matrix"].double(), given["logvar matrix"].double()
    expect(
        not kl.isnan().any(), f"The KL is NaN: you take the logarithm of a negative number. {nan}"
    )
    expect(same(r.get("again"), kl.float()), "Two calls differ: the closed form needs no sampling.")
    compare(
        kl,
        exact_kl(m, v),
        _kl_mistakes(m, v),
        _where_kl_is_wrong(r, m, v),
        f"for the first example, {about}, and the next two, ",
    )
    no_error(
        r,
        {
            "": (
                "It works for mu of shape [B, J]. mu may have any number of leading dimensions: [J]"
                " or [L, B, J]. Which axis is the last?"
            )
        },
    )
    for name, words in (
        ("samples", "[2, 4, 3]: does your code depend on the shape?"),
        ("vector", "[5]: does your code depend on the shape?"),
        ("one image", "[1, 3]: does your code depend on the shape?"),
        ("wide", "[6, 20] with logvar between -6 and 6: is something cut off?"),
    ):
        shape = KL_SHAPES[name]
        wrong_shapes = {
            shape[:1] + shape[2:]: "sum over the last axis, wherever it stands",
            shape[:1]: "sum over the last axis alone",
            shape: "the latent dimensions are not summed",
        }
        if name == "one image":
            wrong_shapes = {(): AXIS_LOST}
        value = tensor(r, name, shape[:-1], f"for mu of shape {list(shape)}", wrong_shapes)
        exact = exact_kl(given[f"mu {name}"].double(), given[f"logvar {name}"].double())
        compare(
            value,
            exact,
            {},
            f"Right for mu and logvar of shape [3, 4], wrong for {words}",
        )
    _kl_gradients(given, r)


def _where_kl_is_wrong(r, m, v):
    """Return the hint for a value that no single mistake explains: which part of it is wrong."""
    zero, flat, still = torch.zeros(1), torch.zeros_like(v), torch.zeros_like(m)
    if not near(r.get("zero", zero), zero):
        return f"N(0, I) against itself must give 0, yours gives {numbers(r['zero'])}."
    if near(r.get("of one", zero), exact_kl(m[:, :1], v[:, :1])):
        return "Right for one latent dimension, wrong for four: how do independent ones combine?"
    of_mu, of_logvar = (
        near(r.get(name, zero), exact_kl(*pair))
        for name, pair in (("of mu", (m, flat)), ("of logvar", (still, v)))
    )
    if of_mu and not of_logvar:
        return "Right where logvar is 0, wrong where mu is 0: look at what logvar adds."
    if of_logvar and not of_mu:
        return "Right where mu is 0, wrong where logvar is 0: look at what mu adds."
    return "The value is wrong, also where mu alone or logvar alone is not 0."


def _kl_gradients(given, r):
    exact = {
        "mu": given["mu samples"].double(),
        "logvar": 0.5 * (given["logvar samples"].double().exp() - 1),
    }
    for name, value in exact.items():
        gradient = r.get(f"gradient {name}")
        expect(
            isinstance(gradient, torch.Tensor),
            f"No gradient flows from the KL to {name}: no_grad, detach, .data or numpy cuts it"
            " off.",
        )
        expect(
            near(gradient, value),
            f"The value is right, but its gradient with respect to {name} is not: part of it is cut"
            " off from the graph.",
        )


# --- 3 The Bernoulli log-likelihood


def _draw_likelihood(g):
    return {
        "logits": uniform(g, (3, 4), -3, 3),
        "x": torch.tensor([[1.0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 1]]),
        "many logits": 3 * torch.randn(2, 5, 784, generator=g),
        "many x": pixels(g, 5, 784),
        "large logits": torch.tensor([[200.0, -200.0], [200.0, 200.0]]),
        "large x": torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
    }


def _probe_likelihood(functions, given, seed, record):
    (likelihood,) = functions
    record.put("value", likelihood(given["logits"], given["x"]))
    for name, x in (("ones", torch.ones(3, 4)), ("zeros", torch.zeros(3, 4))):
        record.put(name, likelihood(given["logits"], x))
    record.put("fair", likelihood(torch.zeros(3, 4), given["x"]))
    record.put("one image", likelihood(given["logits"][:1], given["x"][:1]))
    record.put("large", likelihood(given["large logits"], given["large x"]))
    record.put(
        "stacked", likelihood(torch.stack([given["logits"], 2 * given["logits"]]), given["x"])
    )
    record.put("many", likelihood(given["many logits"], given["many x"]))
    logits = torch.stack([given["logits"], -given["logits"]]).requires_grad_()
    record.put("gradient", gradients(likelihood(logits, given["x"]), (logits,))[0])


def _likelihood_mistakes(logits, x):
    right, p = exact_likelihood(logits, x), torch.sigmoid(logits)
    return {
        "The sign is wrong: this is the cross-entropy. A log-probability is never positive.": (
            -right
        ),
        "The value is divided by the number of pixels: sum over pixels, do not average.": (
            right / x.shape[-1]
        ),
        "The sigmoid is applied twice: your function expects logits, and you hand it "
        "probabilities.": exact_likelihood(p, x),
        "Only pixels that are 1 count. A pixel that is 0 has a probability too.": (
            (x * F.logsigmoid(logits)).sum(dim=-1)
        ),
        "Only pixels that are 0 count. A pixel that is 1 has a probability too.": (
            ((1 - x) * F.logsigmoid(-logits)).sum(dim=-1)
        ),
        "Ones and zeros are exchanged: a large logit makes a 1 probable.": exact_likelihood(
            -logits, x
        ),
        "This is the probability: its logarithm is wanted, a sum over pixels.": right.exp(),
        "This is in bits: use natural logarithms.": right / NATS_IN_A_BIT,
        "Squared errors belong to a Gaussian: the pixels are Bernoulli.": (
            -(p - x).square().sum(dim=-1)
        ),
        "Probabilities are summed: sum their logarithms.": (x * p + (1 - x) * (1 - p)).sum(dim=-1),
        "The softmax makes the pixels compete: each has a probability of its own.": (
            (x * F.log_softmax(logits, dim=-1)).sum(dim=-1)
        ),
        "x and the logits are exchanged: binary_cross_entropy_with_logits, for example, takes "
        "the logits first.": (x * logits - F.softplus(x)).sum(dim=-1),
        "The normaliser is missing: this is the logit of the pixels that are 1, not the "
        "logarithm of their probability.": ((x * logits).sum(dim=-1)),
    }


def _where_likelihood_is_wrong(logits, r):
    """Return the hint for a value that no single mistake explains: which pixels are wrong."""
    fair = torch.full((3,), -4 * NATS_IN_A_BIT)
    if not near(r.get("fair", 0), fair):
        return (
            "With all logits 0 both values of a pixel are equally probable, so four pixels give"
            f" {numbers(fair[0])}. Yours gives {numbers(r.get('fair', math.nan))}."
        )
    ones, zeros = (
        near(r.get(name, 0), exact_likelihood(logits, torch.full_like(logits, value)))
        for name, value in (("ones", 1.0), ("zeros", 0.0))
    )
    if ones != zeros:
        right, wrong = (1, 0) if ones else (0, 1)
        return f"Right where all pixels are {right}, wrong where all are {wrong}."
    return "Wrong for pixels that are 1 and for those that are 0: how does a logit become log p?"


def _judge_likelihood(given, r):
    probabilities = "You hand the logits to a function that expects probabilities in [0, 1]."
    sizes = "logits may have leading dimensions that x has not: [L, B, D] against [B, D]."
    hints = {
        "between 0 and 1": probabilities,
        "probs": probabilities,
        "the same dtype": FLOATS,
        "must be the same": sizes,
        "must have the same": sizes,
    }
    unless_returned(r, "value", hints)
    logits, x = given["logits"].double(), given["x"].double()
    value = tensor(
        r,
        "value",
        (3,),
        "one value per example",
        {
            (): "sum over the pixels alone, dim=-1; the examples stay",
            (4,): "you summed over the examples, not over the pixels",
            (3, 4): "the pixels are not summed",
            (3, 1): "the summed dimension is still there",
        },
    )
    expect(
        not value.isnan().any(),
        "The value is NaN: you take the logarithm of a logit. Logits may be negative; they are not"
        " probabilities.",
    )
    compare(
        value,
        exact_likelihood(logits, x),
        _likelihood_mistakes(logits, x),
        _where_likelihood_is_wrong(logits, r),
    )
    no_error(r, hints | {"": sizes})
    tensor(r, "one image", (1,), "for one image", {(): AXIS_LOST})
    large = tensor(r, "large", (2,))
    expect(
        near(large, torch.tensor([0.0, -200.0]), rtol=1e-4),
        f"For logits of ±200, expected 0 and -200 nats, got {numbers(large)}: an exponential"
        " overflowed, or a probability was rounded to 0 or 1 before its logarithm was taken, or"
        " the logits were clamped. Go from the logits to the logarithm in one step.",
    )
    stacked = tensor(
        r,
        "stacked",
        (2, 3),
        "for logits [2, 3, 4] and x [3, 4]",
        {
            (3,): "sum over the pixels alone: the samples stay",
            (2, 4): "sum over the last axis, wherever it stands",
        },
    )
    compare(
        stacked,
        exact_likelihood(torch.stack([logits, 2 * logits]), x.expand(2, 3, 4)),
        {},
        "Right for logits [3, 4], wrong for [2, 3, 4]: each sample is compared with the same x.",
    )
    many = tensor(r, "many", (2, 5), "for logits [2, 5, 784] and x [5, 784]")
    compare(
        many,
        exact_likelihood(given["many logits"].double(), given["many x"].double().expand(2, 5, 784)),
        {},
        "Right for 4 pixels, wrong for 784: does your code depend on B, on D or on the numbers?",
        atol=1e-2,
    )
    expect(
        isinstance(r.get("gradient"), torch.Tensor),
        "No gradient flows to the logits: no_grad, detach or numpy cuts it off.",
    )
    expect(
        near(r["gradient"], x - torch.sigmoid(torch.stack([logits, -logits]))),
        "The value is right, but its gradient with respect to the logits is not.",
    )


# --- 4 The ELBO

B, D, J, L = 4, 12, 2, 5
MANY = 600
PARAMETERS = ("A", "a", "C", "c", "W", "b")  # of the encoder's mu, its logvar, and the decoder


def _draw_elbo(g):
    given = toy_numbers(g, D, J)
    x = pixels(g, B, D)
    x[1], x[2, 0], x[3, 0] = x[0], 1 - x[0, 0], x[0, 0]
    return given | {"x": x}


def _sure(given):
    """The same model with sigma = exp(-20): z is mu in all digits, and the ELBO does not depend on
    chance."""
    return given | {"C": torch.zeros_like(given["C"]), "c": torch.full_like(given["c"], -40.0)}


def _probe_elbo(functions, given, seed, record):
    (elbo,) = functions
    sure = Toy(_sure(given))
    value = elbo(sure, given["x"], L, seeded(seed))
    record.put("sure", value)
    _put_codes(record, "sure", sure)
    for name, gradient in zip("ACWb", gradients(value, (sure.A, sure.C, sure.W, sure.b))):
        record.put(f"sure gradient {name}", gradient)
    for n in (1, 3, MANY):
        model = Toy(_sure(given))
        record.put(f"sure {n}", elbo(model, given["x"], n, seeded(seed)))
        _put_codes(record, f"sure {n}", model)
    record.put("sure plain", elbo(Toy(_sure(given)), given["x"]))
    record.put("one image", elbo(Toy(_sure(given)), given["x"][:1], L, seeded(seed)))
    probe_draws(lambda g: elbo(Toy(given), given["x"], 1, g), "estimate", seed, record)
    vague, other = Toy(given), Toy(given)
    value = elbo(vague, given["x"], MANY, seeded(seed))
    record.put("vague", value)
    record.put("vague other", elbo(other, given["x"], MANY, seeded(seed + 1)))
    _put_codes(record, "vague", vague)
    _put_codes(record, "vague other", other)
    for name, gradient in zip(PARAMETERS, gradients(value, vague.leaves())):
        record.put(f"gradient {name}", gradient)


def _put_codes(record, name, model):
    """Keep all codes that the decoder was given, in one call or many, as rows."""
    if model.codes:
        record.put(f"{name} codes", torch.cat([code.reshape(-1, J) for code in model.codes]))


def reference_elbo(model, x, n_samples, generator):
    """Return the ELBO [B] of a Toy from n_samples draws, and the log-likelihoods [L, B]."""
    mu, logvar = model.encode(x)
    shape = (n_samples, *mu.shape)
    z = mu + (logvar / 2).exp() * torch.randn(shape, generator=generator, dtype=mu.dtype)
    likelihood = exact_likelihood(model.decode(z), x.expand(n_samples, *x.shape))
    return likelihood.mean(dim=0) - exact_kl(mu, logvar), likelihood


def _elbo_by_quadrature(model, x, drawn=lambda logvar: logvar):
    """Return the exact ELBO [B] of a linear Toy: each logit is normal, its expectation an integral
    over one variable. z is drawn with drawn(logvar) for logvar."""
    t, weight = (torch.from_numpy(n) for n in np.polynomial.hermite_e.hermegauss(60))
    mu, logvar = model.encode(x)
    mean = mu @ model.W + model.b
    deviation = (drawn(logvar).exp() @ model.W.square()).sqrt()
    softplus = (F.softplus(mean.unsqueeze(-1) + deviation.unsqueeze(-1) * t) * weight).sum(
        dim=-1
    ) / math.sqrt(2 * math.pi)
    return (x * mean - softplus).sum(dim=-1) - exact_kl(mu, logvar)


def _elbo_mistakes(given, x):
    model = Toy(_sure(given), torch.float64)
    mu, logvar = model.encode(x)
    logits = model.decode(mu)
    rec, kl = exact_likelihood(logits, x).detach(), exact_kl(mu, logvar).detach()
    return rec - kl, {
        "The KL is added. It is what the ELBO pays: think of its sign.": rec + kl,
        "The samples of z are summed: the estimate of an expectation is their mean.": L * rec - kl,
        "Samples and KLs are summed: the estimate of an expectation is their mean.": L * (rec - kl),
        "The KL is missing.": rec,
        "The reconstruction is missing.": -kl,
        "The KL is counted L times. It does not depend on the samples: it is counted once.": (
            rec - L * kl
        ),
        "The KL is divided by L. It does not depend on the samples: it is counted once.": (
            rec - kl / L
        ),
        "The KL is divided by the number of examples: it is per example, like the rest.": (
            rec - kl / B
        ),
        "The KL is divided by the number of pixels.": rec - kl / D,
        "The KL is averaged over the examples: it is per example, like the rest.": rec - kl.mean(),
        "The KL is summed over the examples: it is per example, like the rest.": rec - kl.sum(),
        "The reconstruction is averaged over the examples: it is per example, like the KL.": (
            rec.mean() - kl
        ),
        "The reconstruction is summed over the examples: it is per example, like the KL.": (
            rec.sum() - kl,
            L * rec.sum() - kl,
        ),
        "The samples of different examples are mixed: repeat lays out [L, B], repeat_interleave "
        "[B, L]. Which axis holds the samples?": (
            rec.repeat(L).reshape(B, L).mean(dim=1) - kl,
            rec.repeat_interleave(L).reshape(L, B).mean(dim=0) - kl,
        ),
        "gaussian_kl was given logvar and mu, in this order: mu comes first.": (
            rec - exact_kl(logvar, mu).detach()
        ),
        "The KL is that of a logvar near 0: was gaussian_kl given sigma or sigma² instead?": (
            rec - exact_kl(mu, torch.zeros_like(mu)).detach()
        ),
        "The KL is halved, or averaged over the two latent dimensions: it is a sum over them, and "
        "holds its ½ already.": rec - kl / 2,
        # log q - log p at the draws. Without noise z - mu is 0 in float32, which leaves J / 2 out.
        "The KL is too large by ½ per latent dimension: its -1 is missing, or it is estimated from "
        "the draws of z. Take the exact one, of a gaussian_kl that passes its check.": (
            rec - kl - J / 2
        ),
        "The sign is wrong: this is the loss, minus the ELBO.": kl - rec,
        "The sigmoid is applied twice: decode returns logits, and your likelihood expects "
        "logits.": (exact_likelihood(torch.sigmoid(logits), x).detach() - kl),
    }


def _how_terms_combine(given, x, value, r):
    """Return the hint for a value that no single mistake explains."""
    model = Toy(_sure(given), torch.float64)
    mu, logvar = model.encode(x)
    codes = r.get("sure codes")
    if not isinstance(codes, torch.Tensor):
        return "The decoder of the model was not asked: the reconstruction needs it."
    away = torch.cdist(codes.double(), mu.detach())  # of each code from each mu, in any layout
    far = torch.cat([away.min(dim=1).values, away.min(dim=0).values])
    if far.max() > 1e-2:
        return (
            "With hardly any noise every z must lie at its mu; yours lie up to"
            f" {numbers(far.max())} away. Did reparameterize get mu and logvar, in this order, and"
            " logvar itself, not sigma or sigma²?"
        )
    terms = torch.stack([exact_likelihood(model.decode(mu), x), exact_kl(mu, logvar)], dim=1)
    weights = torch.linalg.lstsq(terms.detach(), value.unsqueeze(1)).solution
    if near(terms.detach() @ weights, value.unsqueeze(1), atol=1e-2):
        a, b = weights.flatten().tolist()
        return f"Your value is {a:.3g} × log p(x|z) {'-' if b < 0 else '+'} {abs(b):.3g} × KL."
    return "z is right. If tasks 2 and 3 pass their checks, look at how the terms are put together."


def _judge_elbo(given, r):
    x = given["x"].double()
    samples = "The samples come first: logits of shape [L, B, D] against x of shape [B, D]."
    unless_returned(r, "sure", {"do not fit pixels": samples, "must match": samples})
    _judge_sure(given, x, r)
    tensor(r, "one image", (1,), "for one image", {(): AXIS_LOST})
    _sure_gradients(given, x, r)
    tensor(r, "estimate", (B,), "with L = 1")
    expect(
        not same(r["estimate"], r["estimate other"]),
        "Two seeds give the same estimate: the decoder sees the mean code, or a seed is set inside"
        " the function.",
    )
    draws_are_fresh(r, "estimate", "estimate")
    one = r["estimate"]
    expect(
        not near(one[0], one[1], atol=1e-6, rtol=1e-7),
        "Two equal images get the same estimate: they share one epsilon.",
    )
    _judge_vague(given, x, r)


def _judge_sure(given, x, r):
    """Judge the values that do not depend on chance, for hardly any noise."""
    value = tensor(
        r,
        "sure",
        (B,),
        "one ELBO per example",
        {
            (): "keep the examples apart; their mean comes once, later",
            (L, B): "the samples of z are not averaged",
            (L,): "you averaged over the examples, not over the samples of z",
            (1, B): "the sample dimension is still there",
        },
    )
    right, mistakes = _elbo_mistakes(given, x)
    compare(
        value,
        right,
        mistakes,
        _how_terms_combine(given, x, value, r),
        f"with L = {L} and hardly any noise, ",
        atol=5e-3,
    )
    for name, words in (
        ("sure 1", "L = 1"),
        ("sure 3", "L = 3"),
        ("sure plain", "no L and no generator given"),
    ):
        compare(
            tensor(r, name, (B,), f"with {words}"),
            right,
            {},
            f"Right for L = {L}, wrong with {words}.",
            atol=5e-3,
        )


def _sure_gradients(given, x, r):
    model = Toy(_sure(given), torch.float64)
    mu, logvar = model.encode(x)
    rec, kl = exact_likelihood(model.decode(mu), x), exact_kl(mu, logvar)
    both, alone = gradients(rec - kl, (model.A,))[0], gradients(-kl, (model.A,))[0]
    without = gradients(rec, (model.A,))[0]
    expect(
        isinstance(r.get("sure gradient W"), torch.Tensor),
        "No gradient reaches the decoder: the estimate, or the logits in it, were computed outside"
        " the graph (no_grad or detach).",
    )
    seen = r.get("sure gradient A")
    expect(
        isinstance(seen, torch.Tensor),
        "No gradient reaches the encoder: everything is cut off from the graph.",
    )
    expect(
        not near(seen, alone, atol=2e-3),
        "The encoder receives a gradient from the KL alone: z was drawn outside the graph (no_grad,"
        " detach or sample()).",
    )
    expect(
        not near(seen, without, atol=2e-3),
        "The encoder receives no gradient from the KL: it was computed outside the graph (no_grad"
        " or detach).",
    )
    expect(
        near(seen, both, rtol=1e-3, atol=5e-3),
        "The gradient that reaches the encoder is wrong, though the value is right.",
    )
    scale = gradients(-kl, (model.C,))[0]
    expect(
        isinstance(r.get("sure gradient C"), torch.Tensor)
        and near(r["sure gradient C"], scale, rtol=1e-3, atol=5e-3),
        "The KL sends no gradient, or a wrong one, to logvar.",
    )


def _judge_vague(given, x, r):
    """Compare the estimate from many samples, and its gradient, with their exact values, in
    standard errors; and look at the noise itself, which both depend on."""
    limits, spread, likelihood = _references(given, x)
    seen = tensor(r, "vague", (B,), f"with L = {MANY}")
    close = _within(seen, limits["vague"], spread["vague"])
    hints = [] if close else _vague_mistakes(given, x, seen, limits, spread, likelihood)
    if len(hints) != 1:
        _judge_number_of_codes(r)
        hints = [_of_chance(r, seen, spread["vague"])]
        if close or hints[0] == STEADY:
            _judge_noise(given, x, r)
    expect(
        close,
        f"{hints[0]}\nWith {MANY} samples of z your estimate is {numbers(seen)}, expected"
        f" {numbers(limits['vague'])} with a standard error of {numbers(spread['vague'])}.",
    )
    for name in PARAMETERS:
        gradient = r.get(f"gradient {name}")
        reaches = {"C": "the encoder's logvar", "A": "the encoder's mu"}.get(
            name.upper(), "the decoder"
        )
        expect(isinstance(gradient, torch.Tensor), f"No gradient reaches {reaches}.")
        expect(
            _within(gradient.double(), limits[f"gradient {name}"], spread[f"gradient {name}"]),
            f"The gradient that reaches {reaches} is wrong: is part of z or of the KL cut off, or"
            " z not drawn from q(z|x)?",
        )


def _references(given, x):
    """The exact estimate and gradients, {name: tensor}; their standard errors, from forty runs of
    a right answer; and the log-likelihoods [L, B] of one run."""
    names = ["vague", *(f"gradient {name}" for name in PARAMETERS)]
    exact = Toy(given, torch.float64)
    value = _elbo_by_quadrature(exact, x)
    limits = dict(zip(names, [value.detach(), *gradients(value, exact.leaves())]))
    runs, generator = [], seeded(1)
    for _ in range(40):
        model = Toy(given, torch.float64)
        estimate, likelihood = reference_elbo(model, x, MANY, generator)
        runs.append([estimate.detach(), *gradients(estimate, model.leaves())])
    spread = {name: torch.stack(values).std(dim=0) for name, values in zip(names, zip(*runs))}
    return limits, spread, likelihood.detach()


def _vague_mistakes(given, x, seen, limits, spread, likelihood):
    """The hints of the mistakes that would give the estimate `seen`."""
    exact = Toy(given, torch.float64)
    mu, logvar = (t.detach() for t in exact.encode(x))
    kl = exact_kl(mu, logvar)
    mistakes = {
        "This is the logarithm of the mean of p(x|z). The ELBO has the mean of the logarithm.": (
            likelihood.logsumexp(dim=0) - math.log(MANY) - kl
        ),
        "z is spread by the variance sigma²: it needs sigma.": (
            _elbo_by_quadrature(exact, x, drawn=lambda logvar: 2 * logvar).detach()
        ),
        "The KL is that of the drawn z: it takes mu and logvar, which describe all draws.": (
            limits["vague"] - 0.5 * logvar.exp().sum(dim=-1)
        ),
        "This is the largest of the samples. An expectation is estimated by their mean.": (
            likelihood.max(dim=0).values - kl
        ),
        "The samples are averaged before the likelihood is taken: average the "
        "log-likelihoods, not z or its logits.": (
            exact_likelihood(exact.decode(mu), x).detach() - kl
        ),
        "The probabilities of pixels are averaged before the logarithm is taken: average the "
        "log-likelihoods.": _of_mean_probabilities(exact, x) - kl,
    }
    near_by = spread["vague"] / 2  # a hint must fit better than a right answer has to
    return [hint for hint, value in mistakes.items() if _within(seen, value, near_by)]


STEADY = "Is every z drawn from q(z|x)?"


def _of_chance(r, seen, spread):
    """The hint for an estimate that no single mistake explains: does it average its chance away?"""
    other = tensor(r, "vague other", (B,), f"with L = {MANY}")
    if _within(seen, other, 1.5 * spread):
        return STEADY
    return (
        f"{MANY} samples of z should average their chance away, and two seeds still differ by up to"
        f" {numbers((seen - other).abs().max())} nats. Are all L samples used, each with noise of"
        " its own?"
    )


def _judge_number_of_codes(r):
    """Raise NotYet unless the decoder was given a code for each image and sample."""
    for name, n in (
        ("sure", L),
        ("sure 1", 1),
        ("sure 3", 3),
        (f"sure {MANY}", MANY),
        ("vague", MANY),
        ("vague other", MANY),
    ):
        codes = len(r.get(f"{name} codes", ()))
        expect(
            codes == n * B,
            f"For {B} images and L = {n} the decoder was given {codes} codes, expected {n * B}:"
            " does n_samples say how many are drawn?",
        )


def _judge_noise(given, x, r):
    """Raise NotYet unless the codes are mu + sigma epsilon with independent epsilon ~ N(0, 1).

    Samples or images may come first: which image a code belongs to is seen where there is hardly
    any noise, for there each code is the mu of its image. Of 4,800 codes a right answer fails once
    in some ten million runs: see the bounds of gaussian_noise.
    """
    mu, logvar = (t.detach() for t in Toy(given, torch.float64).encode(x))
    image = torch.cdist(r[f"sure {MANY} codes"].double(), mu).argmin(dim=1)
    noise = [
        (r[f"{name} codes"].double() - mu[image]) / (logvar[image] / 2).exp()
        for name in ("vague", "vague other")
    ]
    gaussian_noise(torch.cat(noise), "(z - mu) / sigma")


def _of_mean_probabilities(model, x):
    """log p(x) [B] of pixels whose probabilities are means over 20,000 draws of z."""
    mu, logvar = (t.detach() for t in model.encode(x))
    noise = torch.randn(20_000, *mu.shape, generator=seeded(2), dtype=mu.dtype)
    p = torch.sigmoid(model.decode(mu + (logvar / 2).exp() * noise)).mean(dim=0).detach()
    return exact_likelihood(torch.logit(p), x)


def _within(seen, exact, spread):
    return ((seen - exact).abs() <= 8 * spread + 1e-3 * (1 + exact.abs())).all()


TASKS = [
    Task(
        "sample",
        "Task 1, the sample",
        ("reparameterize",),
        _draw_sample,
        _probe_sample,
        _judge_sample,
        ("mu", "logvar", "generator"),
    ),
    Task(
        "kl", "Task 2, the KL", ("gaussian_kl",), _draw_kl, _probe_kl, _judge_kl, ("mu", "logvar")
    ),
    Task(
        "likelihood",
        "Task 3, the likelihood",
        ("bernoulli_log_likelihood",),
        _draw_likelihood,
        _probe_likelihood,
        _judge_likelihood,
        ("logits", "x"),
    ),
    Task(
        "elbo",
        "Task 4, the ELBO",
        ("elbo",),
        _draw_elbo,
        _probe_elbo,
        _judge_elbo,
        ("model", "x", "n_samples", "generator"),
    ),
]
