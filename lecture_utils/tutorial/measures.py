"""Task 9, the two numbers, and the target of task 6."""

import math

from lecture_utils.tutorial.task import (
    Task,
    a_float,
    compare,
    exact_kl,
    expect,
    forms,
    no_error,
    numbers,
    uniform,
)

import torch


def _number(r, name):
    """Return the float that was returned under `name`; NotYet if it is anything else."""
    no_error(r)
    return torch.tensor(a_float(r, name), dtype=torch.float64)


# --- 9 Distance to the prior

N, J = 400, 3


def _draw_distance(g):
    latent = torch.randn(N, J, generator=g)
    mix = torch.eye(J) + uniform(g, (J, J), -0.5, 0.5)
    codes = (latent @ mix / 2).exp() * uniform(g, (J,), 0.5, 1.5) + uniform(g, (J,), -2, 2)
    return {"codes": codes, "prior codes": torch.randn(4000, 7, generator=g)}


def _probe_distance(functions, given, seed, record):
    (distance,) = functions
    record.put("value", distance(given["codes"]))
    record.put("prior", distance(given["prior codes"]))


def _judge_distance(given, r):
    value = _number(r, "value")
    codes = given["codes"].double()
    m, v = codes.mean(dim=0), codes.var(dim=0)
    exact = [exact_kl(m, w.log()) for w in (v, codes.var(dim=0, unbiased=False))]
    expect(not value.isnan(), "The value is NaN: a logarithm of something negative was taken.")
    if min(abs(value - e) for e in exact) < 1e-3 * exact[0]:
        prior = _number(r, "prior")
        expect(
            abs(prior) < 0.1,
            "Codes drawn from N(0, I) must be at a distance of about 0, yours is"
            f" {numbers(prior)}.",
        )
        return
    zero = torch.zeros_like(m)
    covariance = torch.cov(codes.T)

    def kl(mean, variance):
        return exact_kl(mean, variance.log())

    compare(
        value,
        exact[0],
        {
            "You hand the variance itself to gaussian_kl, which expects its logarithm.": exact_kl(
                m, v
            ),
            "You hand the standard deviation itself to gaussian_kl, which expects the logarithm of"
            " the variance.": exact_kl(m, v.sqrt()),
            "You hand on the logarithm of the standard deviation, not of the variance.": exact_kl(
                m, v.log() / 2
            ),
            "This is the mean KL of many small Gaussians: describe the cloud of all codes by "
            "one.": (exact_kl(codes, v.log().expand_as(codes)).mean()),
            "Means and variances are taken over the coordinates of each code: take them over "
            "the codes.": kl(codes.mean(dim=1), codes.var(dim=1)),
            "The KL is divided by J: it is summed over the coordinates.": exact[0] / J,
            "The value is twice too large.": 2 * exact[0],
            "The sign is wrong: a KL is never negative.": -exact[0],
            "This is the KL of the prior to the codes: the KL is not symmetric.": (
                (0.5 * ((m**2 + 1) / v - 1 + v.log())).sum()
            ),
            "This is the mean square, not the variance: subtract the mean.": kl(
                m, codes.square().mean(dim=0)
            ),
            "The mean of the codes is left out.": kl(zero, v),
            "The variance of the codes is left out.": exact_kl(m, zero),
            "This is the KL of a Gaussian with all covariances: the variance of each coordinate "
            "alone was asked for.": (
                0.5 * (covariance.trace() + m @ m - J - torch.logdet(covariance))
            ),
            "All coordinates are thrown into one heap: each has a mean and a variance of its "
            "own.": exact_kl(codes.mean().view(1), codes.var().log().view(1)),
        },
        "The value is wrong: which mean, which variance, and is the KL summed over the"
        " coordinates?",
        rtol=1e-3,
    )


# --- 9 Class separation


def _draw_separation(g):
    """Draw until the numbers of all known mistakes differ from the right one, and from each
    other."""
    for _ in range(5000):
        given = _one_separation(g)
        right, mistakes = _separation_mistakes(given["codes"].double(), given["labels"])
        values = [value for values in mistakes.values() for value in forms(values)]
        found = torch.stack(values).sort().values
        apart = (found - right).abs().min() > 0.01
        if apart and (found.diff() > 0.003 * (1 + found[1:].abs())).all():
            return given
    raise RuntimeError("In 5,000 draws two mistakes of task 9 always gave the same number.")


def _one_separation(g):
    labels = torch.tensor([4] * 9 + [9] * 4 + [0] * 6)[torch.randperm(19, generator=g)]
    shift = uniform(g, (10, 2), -2, 2)
    codes = uniform(g, (19, 2), -3, 3) + shift[labels] + torch.tensor([1.5, -2.0])
    many = torch.randint(0, 10, (2000,), generator=g)
    return {
        "codes": codes,
        "labels": labels,
        "many labels": many,
        "corners": torch.eye(10)[many],
        "cloud": torch.randn(2000, 3, generator=g),
    }


def _probe_separation(functions, given, seed, record):
    (separation,) = functions
    record.put("value", separation(given["codes"], given["labels"]))
    record.put("points", separation(given["corners"], given["many labels"]))
    record.put("none", separation(given["cloud"], given["many labels"]))


def _judge_separation(given, r):
    value = _number(r, "value")
    expect(
        not value.isnan(),
        "The value is NaN: a mean over no codes was taken. Not every label from 0 to 9 need occur,"
        " and those that do need not be 0, 1, 2 and so on.",
    )
    right, mistakes = _separation_mistakes(given["codes"].double(), given["labels"])
    compare(
        value,
        right,
        mistakes,
        "The value is wrong: move every code to the mean of its class, and compare with the total.",
        rtol=1e-3,
    )
    expect(_number(r, "points") > 0.999, "Classes that are single points must give 1.")
    expect(_number(r, "none") < 0.02, "Codes that ignore the labels must give about 0.")


def _separation_mistakes(codes, labels):
    """Return the right value, and {hint: the value of someone who makes that mistake}."""
    centre, moved, heaps = codes.mean(dim=0), torch.zeros_like(codes), torch.zeros_like(codes)
    for label in labels.unique():
        moved[labels == label] = codes[labels == label].mean(dim=0)
        heaps[labels == label] = codes[labels == label].mean()
    counted = (labels < len(labels.unique())).unsqueeze(1)
    means = torch.stack([moved[labels == k][0] for k in labels.unique()])
    between, within = (moved - centre).square().sum(), (codes - moved).square().sum()
    total = (codes - centre).square().sum()
    n, k = len(codes), len(means)
    return between / total, {
        "This is the share within the classes: 1 minus what was asked for.": within / total,
        "This is the ratio of between to within: divide by the total.": between / within,
        "Large and small classes count alike: every code counts once.": (
            n * (means - centre).square().sum(dim=1).mean() / total,
            (means - centre).square().sum() / total,
            means.var(dim=0).sum() / codes.var(dim=0).sum(),
            n * (means - means.mean(dim=0)).square().sum(dim=1).mean() / total,
        ),
        "The labels are taken to be 0, 1, 2 and so on: they are those that occur, and no others.": (
            (torch.where(counted, moved, codes) - centre).square().sum() / total,
            (moved * counted - centre).square().sum() / total,
            ((moved - centre) * counted).square().sum() / total,
        ),
        "A mean is taken over all coordinates at once: each has a mean of its own.": (
            (moved - codes.mean()).square().sum() / (codes - codes.mean()).square().sum(),
            (heaps - centre).square().sum() / total,
            (heaps - codes.mean()).square().sum() / (codes - codes.mean()).square().sum(),
        ),
        "Distances are taken to the origin: take them to the common mean.": (
            moved.square().sum() / codes.square().sum()
        ),
        "Distances enter to the first power: variance is about their squares.": (
            (moved - centre).norm(dim=1).sum() / (codes - centre).norm(dim=1).sum()
        ),
        "The root was taken: a share of the variance is a ratio of squares.": (
            (between / total).sqrt()
        ),
        "The common mean is that of all codes, not that of the class means.": (
            (moved - means.mean(dim=0)).square().sum() / (codes - means.mean(dim=0)).square().sum()
        ),
        "The shares of the coordinates are averaged: sum over the coordinates first, then "
        "divide.": (
            ((moved - centre).square().sum(dim=0) / (codes - centre).square().sum(dim=0)).mean()
        ),
        "This is a percentage: a share lies between 0 and 1.": 100 * between / total,
        "The two sums are divided by degrees of freedom: a share of the sum itself is asked for.": (
            (between / (k - 1)) / (total / (n - 1))
        ),
    }


# --- 6 The target

TARGET = -110.0  # nats, mean test ELBO
SLACK = 0.5  # nats, for another processor, another order of layers, another number of threads


def settings(r) -> tuple[int, float]:
    """Return the number of epochs and the peak learning rate that were chosen; NotYet if they
    cannot be used."""
    no_error(r)
    commas = {
        "a tuple of 3": " A decimal comma makes two numbers of one.",
        "a tuple of 1": " Is the second number missing, or is there a comma too many?",
    }
    expect(
        "kind" not in r,
        f"Expected two numbers, the epochs and the peak learning rate, got {r.get('kind')}."
        + commas.get(r.get("kind"), ""),
    )
    epochs, rate = r.get("epochs", math.nan), r.get("rate", math.nan)
    expect(
        isinstance(epochs, float) and epochs in (1.0, 2.0, 3.0, 4.0, 5.0),
        "The first number, of epochs, is a whole number from 1 to 5, yours is"
        f" {_words(r, 'epochs', epochs)}.",
    )
    expect(
        isinstance(rate, float) and 0 < rate < 1,
        "The second number, the peak learning rate, lies between 0 and 1, yours is"
        f" {_words(r, 'rate', rate)}.",
    )
    return int(epochs), rate


def _words(r, name, value):
    """The number that was returned, or the kind of what was returned in its place."""
    return f"of type {r.get(f'{name} kind')}" if math.isnan(value) else f"{value:g}"


def _probe_settings(functions, given, seed, record):
    (choose_training,) = functions
    value = choose_training()
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        several = isinstance(value, (tuple, list))
        kind = type(value).__name__
        record["kind"] = f"a {kind} of {len(value)}" if several else kind
        return
    for name, number in zip(("epochs", "rate"), value):
        record[f"{name} kind"] = type(number).__name__
        if hasattr(number, "__float__") and not isinstance(number, bool):
            record[name] = float.__float__(float(number))


def judge_target(value: float, slack: float = 0.0) -> None:
    """Raise NotYet if a mean test ELBO, in nats, is not the target of task 6."""
    expect(
        math.isfinite(value),
        "The test ELBO is not finite: training diverged. If the checks of tasks 4 to 6 pass, lower"
        " the peak learning rate.",
    )
    expect(
        value < -80,
        "Too good to be true for a network of this size: does its decoder know more of x than z?",
    )
    expect(
        value > -170,
        f"The test ELBO is {value:.1f} nats: the model has hardly learned. Is the peak learning"
        " rate far too small or far too large? If not, run the checks of tasks 4 to 6 again.",
    )
    expect(
        value >= TARGET - slack,
        f"The test ELBO is {value:.2f} nats: learning, but {TARGET - value:.2g} nats short. "
        "Train longer, or with another peak learning rate.",
    )


TASKS = [
    Task(
        "distance",
        "Task 9, distance",
        ("distance_to_prior",),
        _draw_distance,
        _probe_distance,
        _judge_distance,
        ("codes",),
    ),
    Task(
        "separation",
        "Task 9, separation",
        ("class_separation",),
        _draw_separation,
        _probe_separation,
        _judge_separation,
        ("codes", "labels"),
    ),
    Task(
        "settings",
        "Task 6, training",
        ("choose_training",),
        lambda g: {},
        _probe_settings,
        lambda given, r: settings(r),
    ),
]
