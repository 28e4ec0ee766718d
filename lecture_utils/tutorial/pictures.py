"""Tasks 7 and 8: reconstruct, generate, interpolate; the corruption and the two losses. Compared
on models of a few numbers."""

import math

from lecture_utils.tutorial.task import (
    AXIS_LOST,
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
    pixels,
    probe_draws,
    same,
    seeded,
    tensor,
    toy_numbers,
    uniform,
    unless_returned,
)

import torch

B, D, J, H = 4, 9, 3, 7
LOGITS = (
    "There are values outside [0, 1]: these are logits, or something other than the sigmoid was"
    " applied to them."
)


def _draw_toy(g):
    return toy_numbers(g, D, J, hidden=H) | {"x": pixels(g, B, D)}


def _rows(calls):
    """What a method was given in all its calls, as rows of one matrix."""
    return torch.cat([value.reshape(-1, value.shape[-1]) for value in calls])


def _exact(given):
    return Toy(given, torch.float64)


def _pictures(r, name, shape, what="", wrong_shapes=None):
    value = tensor(r, name, shape, what, wrong_shapes)
    expect(not value.isnan().any(), "There are NaN in the picture.")
    expect(value.min() >= 0 and value.max() <= 1, LOGITS)
    return value


# --- 7 Reconstruct


def _probe_reconstruct(functions, given, seed, record):
    (reconstruct,) = functions
    model = Toy(given)
    record.put("images", reconstruct(model, given["x"]))
    if model.codes:
        record.put("code", _rows(model.codes)[-B:])
    record.put("again", reconstruct(Toy(given), given["x"]))
    record.put("alone", reconstruct(Toy(given), given["x"][:1]))


def _judge_reconstruct(given, r):
    no_error(r)
    images = _pictures(r, "images", (B, D), "that of x")
    expect(
        not same(r["images"], given["x"]),
        "This is x itself, not what the decoder makes of its code.",
    )
    expect(
        not same(images, images.round()),
        "All values are 0 or 1: return the probabilities, not pixels drawn or rounded from them.",
    )
    expect(same(r["images"], r["again"]), "Two calls differ: you sample. Use the mean of q(z|x).")
    model, x = _exact(given), given["x"].double()
    with torch.no_grad():
        mu, logvar = model.encode(x)
        saw_mu = near(r.get("code", math.nan), mu, atol=1e-3)
        right = torch.sigmoid(model.decode(mu))
        compare(
            images,
            right,
            {
                "The code is logvar: which of the two stands for x?": torch.sigmoid(
                    model.decode(logvar)
                ),
                "The sigmoid is applied twice.": torch.sigmoid(right),
                "These are not probabilities of single pixels: the softmax makes them compete.": (
                    torch.softmax(model.decode(mu), dim=-1)
                ),
                "The code is one sigma off: use the mean alone.": torch.sigmoid(
                    model.decode(mu + (logvar / 2).exp())
                ),
                "These are logits, cut off at 0 and 1: put them through the sigmoid.": (
                    model.decode(mu).clamp(0, 1)
                ),
            },
            "The decoder was given the right code. What makes its logits probabilities, and is"
            " anything else added?"
            if saw_mu
            else "The decoder was not given the mean of q(z|x): which one code stands for x?",
        )
        compare(
            tensor(r, "alone", (1, D), "for a single image", {(D,): AXIS_LOST}),
            right[:1],
            {},
            "Wrong for a single image: do the images of a batch mix?",
        )


# --- 7 Generate

MANY, WIDE = 6000, 5


def _draw_generate(g):
    plain = torch.cat([torch.eye(J), uniform(g, (J, 2), -1, 1)], dim=1)
    return {
        "W": plain,
        "b": torch.zeros(J + 2),
        "other W": uniform(g, (WIDE, D), -1, 1),
        "other b": torch.zeros(D),
    }


def _probe_generate(functions, given, seed, record):
    (generate,) = functions
    plain = {"W": given["W"], "b": given["b"]}
    probe_draws(lambda g: generate(Toy(plain), MANY, g), "images", seed, record)
    other = Toy({"W": given["other W"], "b": given["other b"]})
    record.put("other", generate(other, 7, seeded(seed)))
    record.put("one", generate(other, 1))


def _judge_generate(given, r):
    no_error(
        r, {"decode takes a tensor of shape": "The number of coordinates of z is model.latent_dim."}
    )
    images = _pictures(r, "images", (MANY, J + 2), "[n, D]")
    _pictures(r, "other", (7, D), "for n = 7 and a model with model.latent_dim = 5")
    _pictures(r, "one", (1, D), "for n = 1", {(D,): AXIS_LOST})
    expect(
        not same(images, images.round()),
        "All values are 0 or 1: return the probabilities, not pixels drawn or rounded from them.",
    )
    expect(
        images.min() < 0.5 or images.max() > 0.7311 or images.std() < 1e-3,
        "All values lie between 0.5 and 0.731, as from a sigmoid of a sigmoid: one is enough.",
    )
    expect(
        not near(images.sum(dim=1), torch.ones(MANY)),
        "The values of each image add up to 1, as from a softmax: each pixel has a probability of"
        " its own, from the sigmoid.",
    )
    logits = torch.logit(images)
    z = logits[:, :J]
    inside = z.abs().max(dim=1).values < 6
    sure = z[inside] @ given["W"].double()
    expect(
        near(logits[inside], sure, rtol=1e-2, atol=1e-1),
        "The images are not what the decoder makes of a code and the sigmoid of that: is anything"
        " added, averaged or drawn behind it?",
    )
    expect(z.abs().max() > 1e-3, "All codes are 0, the mean of the prior: draw them from it.")
    expect(
        z.std(dim=0).max() > 0.02,
        "All codes are the same: each image is decoded from a draw of its own.",
    )
    draws_are_fresh(r, "images", "set of images")
    expect(
        not (z.min() >= 0), "No code has a negative coordinate: is that the prior of the lecture?"
    )
    expect(
        (z.std(dim=0) > 0.02).all() and abs(z.mean()) < 0.08 and abs(z.std() - 1) < 0.08,
        f"The codes have mean {z.mean():.2f} and standard deviations"
        f" {', '.join(f'{s:.2f}' for s in z.std(dim=0))}: that is not the prior of the lecture.",
    )
    gaussian_noise(z, "z")


# --- 7 Interpolate


def _draw_interpolate(g):
    given = _draw_toy(g)
    given["x"] = torch.cat([given["x"][:1], 1 - given["x"][:1]])
    return given


def _probe_interpolate(functions, given, seed, record):
    (interpolate,) = functions
    for steps in (5, 2, 8):
        record.put(f"steps {steps}", interpolate(Toy(given), given["x"][0], given["x"][1], steps))
    record.put("again", interpolate(Toy(given), given["x"][0], given["x"][1], 5))


TWO_IMAGES = (
    "encode takes images of D pixels each: torch.stack makes [2, D] of [D] and [D], torch.cat makes"
    " [2 D]."
)
ERRORS_OF_WALK = {  # hints for errors, by a part of their text
    "encode takes a tensor of shape": TWO_IMAGES,
    "encode takes a tensor, and got a 'tuple'": TWO_IMAGES,
    "encode takes a tensor, and got a 'list'": TWO_IMAGES,
    "stack": "Stack [D] and [D] to [2, D] before encode.",
    "must match the size": (
        "A weight for each step and a code of J numbers: give the weights an axis of their own,"
        " [steps, 1], so that they multiply to [steps, J]."
    ),
}


def _judge_interpolate(given, r):
    unless_returned(r, "steps 5", ERRORS_OF_WALK)
    wrong_shapes = {
        (5, 1, D): "the codes have an axis too many, that of a batch of one",
        (4, D): "one step is missing",
        (6, D): "one step too many",
        (5 * D,): "the images lie end to end; torch.stack keeps them apart",
    }
    images = _pictures(r, "steps 5", (5, D), "[steps, D]", wrong_shapes)
    no_error(r, ERRORS_OF_WALK)
    expect(same(r["steps 5"], r["again"]), "Two calls differ: you sample. Use the means of q(z|x).")
    model, x = _exact(given), given["x"].double()
    with torch.no_grad():
        mu, logvar = model.encode(x)

        def walk(t, ends=mu):
            return torch.sigmoid(model.decode((1 - t) * ends[0] + t * ends[1]))

        t = torch.linspace(0, 1, 5, dtype=torch.float64).unsqueeze(1)
        between, logits = torch.sigmoid(model.decode(mu)), model.decode(mu)
        worst = (images - walk(t)).abs().max(dim=1).values.argmax().item()
        order = [worst, *(i for i in range(5) if i != worst)]
        compare(
            images[order],
            *_in_order(
                order,
                walk(t),
                {
                    "You mix the two images and encode the mixture: walk between the codes.": (
                        torch.sigmoid(model.decode(model.encode((1 - t) * x[0] + t * x[1])[0]))
                    ),
                    "You mix the two reconstructions: walk between the codes, then decode.": (
                        (1 - t) * between[0] + t * between[1]
                    ),
                    "You mix the logits of the two ends: walk between the codes, then decode.": (
                        torch.sigmoid((1 - t) * logits[0] + t * logits[1])
                    ),
                    "The walk stops short of x_b: both ends belong to it.": walk(t * 4 / 5),
                    "The walk leaves out x_a: both ends belong to it.": walk((4 * t + 1) / 5),
                    "The walk leaves both ends out: they belong to it.": walk((4 * t + 1) / 6),
                    "The walk goes from x_b to x_a.": walk(1 - t),
                    "The walk goes beyond its ends.": walk(1.2 * t - 0.1),
                    "The ends are logvar, not the mean codes.": walk(t, logvar),
                    "The steps are not even: the walk is slow at its start.": walk(t.square()),
                    "The steps are not even: the walk is slow at both ends.": walk(
                        t.square() * (3 - 2 * t)
                    ),
                },
            ),
            "The probabilities are wrong: are the codes evenly spaced on the straight line between"
            " the two mean codes, ends included?",
            f"for image {worst + 1} of 5, ",
        )
        for steps in (2, 8):
            even = torch.linspace(0, 1, steps, dtype=torch.float64).unsqueeze(1)
            compare(
                _pictures(r, f"steps {steps}", (steps, D), "[steps, D]"),
                walk(even),
                {},
                f"Right for 5 steps, wrong for {steps}.",
            )


def _in_order(order, right, mistakes):
    return right[order], {hint: value[order] for hint, value in mistakes.items()}


# --- 8 The corruption

IMAGES, PIXELS = 64, 784


def _draw_corrupt(g):
    noise = 0.2 + 0.5 * torch.rand((), generator=g).item()
    return {
        "x": pixels(g, IMAGES, PIXELS),
        "ones": torch.ones(IMAGES, PIXELS),
        "narrow": torch.ones(3000, 24),
        "noise": noise,
    }


def _probe_corrupt(functions, given, seed, record):
    (corrupt,) = functions
    probe_draws(lambda g: corrupt(given["x"], given["noise"], g), "noisy", seed, record)
    record.put("ones noisy", corrupt(given["ones"], given["noise"], seeded(seed + 2)))
    record.put("narrow noisy", corrupt(given["narrow"], given["noise"], seeded(seed + 3)))
    record.put("one image", corrupt(given["x"][:1], given["noise"], seeded(seed)))
    record.put("untouched", corrupt(given["x"], 0.0, seeded(seed)))
    record.put("coins", corrupt(given["ones"], 1.0, seeded(seed)))


def _judge_corrupt(given, r):
    no_error(r)
    x, rate = given["x"].double(), given["noise"]
    noisy = tensor(r, "noisy", (IMAGES, PIXELS), "that of x")
    expect(((noisy == 0) | (noisy == 1)).all(), "Some pixels are neither 0 nor 1.")
    lost, won = (
        (noisy[x == 1] == 0).double().mean().item(),
        (noisy[x == 0] == 1).double().mean().item(),
    )
    seen = f"With noise {rate:.2f}, {lost:.2f} of the ones and {won:.2f} of the zeros changed"
    expect(lost + won > 0, f"{seen}. Nothing is corrupted.")
    expect(
        min(lost, won) > 0.01,
        f"{seen}. In this call every coin fell on the same side: is it fair, has each pixel its"
        " own, and is it another draw than the one that chooses the pixels?",
    )
    changed = 1 - tensor(r, "ones noisy", (IMAGES, PIXELS))
    if 0.01 < changed.mean() < 0.99:
        _independent(changed, changed.mean())
    close = 6 * (rate * (1 - rate / 2) / 2 / (0.4 * x.numel())) ** 0.5
    hint = next(
        (
            h
            for h, v in {
                "You invert the chosen pixels. A fair coin leaves half of them as they were.": (
                    rate,
                    rate,
                ),
                "Pixels are kept where they should be replaced.": ((1 - rate) / 2, (1 - rate) / 2),
                "Only half as many pixels as asked for are replaced.": (rate / 4, rate / 4),
            }.items()
            if abs(lost - v[0]) < close and abs(won - v[1]) < close
        ),
        "What share should a fair coin change? Does `noise` reach your draw?",
    )
    if abs(lost - won) > 1.5 * close and abs(lost + won - rate) < 2 * close:
        hint = (
            "Ones and zeros do not change equally often. Is the coin fair, and is it another"
            " draw than the one that chooses the pixels?"
        )
    expect(
        abs(lost - rate / 2) < close and abs(won - rate / 2) < close,
        f"{hint}\n{seen}, expected {rate / 2:.2f} of each.",
    )
    draws_are_fresh(r, "noisy", "noise")
    tensor(r, "one image", (1, PIXELS), "for one image", {(PIXELS,): AXIS_LOST})
    expect(same(r["untouched"], given["x"]), "With noise 0, pixels change.")
    coins = tensor(r, "coins", (IMAGES, PIXELS))
    expect(
        abs(coins.mean() - 0.5) < 6 * 0.5 / coins.numel() ** 0.5,
        f"With noise 1, {coins.mean():.2f} of the pixels of an image of ones are 1: they should be"
        " pure coin flips.",
    )
    _independent(coins, 0.5)
    _independent(1 - tensor(r, "narrow noisy", (3000, 24)), rate / 2)


def _independent(hits, rate):
    """Raise NotYet unless each pixel of each image was decided on its own: the counts along both
    axes are binomial."""
    expect(
        (hits != hits[0]).any(),
        "The same pixels change in every image: one draw is shared by the batch. Each pixel of"
        " each image is decided on its own.",
    )
    off = []
    for axis in (0, 1):
        counts, n = hits.sum(dim=axis), hits.shape[axis]
        chi = (counts - n * rate).square().sum() / (n * rate * (1 - rate))
        off.append(abs(chi - len(counts)) / (2 * len(counts)) ** 0.5)
    words = (
        "The same pixels change in every image, or one coin is shared by the batch"
        if off[0] > off[1]
        else "The pixels of an image change together, or in a fixed number"
    )
    expect(max(off) < 7, f"{words}: each pixel of each image is decided on its own.")


# --- 8 The two losses


def _draw_ae(g):
    return _draw_toy(g)


def _probe_ae(functions, given, seed, record):
    (loss,) = functions
    model = Toy(given)
    value = loss(model, given["x"], seeded(seed))
    record.put("loss", value)
    record.put("again", loss(Toy(given), given["x"]))
    record.put("one image", loss(Toy(given), given["x"][:1]))
    _put_what_was_asked(model, record)
    for name, gradient in zip("AaCcWbV", gradients(value, model.leaves())):
        record.put(f"gradient {name}", gradient)


def _put_what_was_asked(model, record):
    """Keep what the encoder saw first and the decoder last, a row for each image, if both were
    asked. They may be asked image by image."""
    record["asked"] = bool(model.seen and model.codes)
    if record["asked"]:
        record.put("seen", _rows(model.seen)[:B])
        record.put("code", _rows(model.codes)[-B:])


EXAMPLES_APART = "sum over the pixels alone; the mean over examples comes once, later"
NOT_ASKED = (
    "The model was not asked for both: model.encode makes a code of x, model.decode makes logits of"
    " the code."
)


def _judge_ae(given, r):
    no_error(r)
    expect(r["asked"], NOT_ASKED)
    x = given["x"].double()
    value = tensor(r, "loss", (B,), "one loss per example", {(): EXAMPLES_APART})
    expect(same(r["seen"], given["x"]), "The encoder did not see x: the AE corrupts nothing.")
    _judge_reconstruction(given, r, value, x, x, "AE")
    expect(same(r["loss"], r["again"]), "Two calls differ: the AE does not sample.")
    tensor(r, "one image", (1,), "for one image", {(): AXIS_LOST})


def _judge_reconstruction(given, r, value, seen, target, who):
    """Judge a loss whose encoder saw `seen` and whose target is `target`: value, code,
    gradients."""
    model = _exact(given)
    mu, logvar = model.encode(seen)
    logits = model.decode(mu)
    right, kl = -exact_likelihood(logits, target), exact_kl(mu, logvar)
    mistakes = {
        f"A KL is included: the {who} does not regularise its codes.": right + kl,
        "The sign is wrong: the loss is made small, so it must fall when the reconstruction "
        "improves.": (-right),
        "The loss is divided by the number of pixels: it is a sum over pixels.": (
            right / target.shape[-1]
        ),
        "The code is logvar: mu is the code.": -exact_likelihood(model.decode(logvar), target),
        "The sigmoid is applied twice: decode returns logits, and the likelihood expects logits.": (
            -exact_likelihood(torch.sigmoid(logits), target)
        ),
        "These are squared errors: the pixels are Bernoulli, as before.": (
            (torch.sigmoid(logits) - target).square().sum(dim=-1)
        ),
        "The loss is halved.": right / 2,
    }
    if who == "DAE":
        mistakes[
            "The target is corrupted too: the DAE is asked for the clean x."
        ] = -exact_likelihood(logits, seen)
    code = r["code"].reshape(-1, J)
    plain = near(code, mu.detach(), atol=1e-3)
    shifted = {k: v.detach() for k, v in mistakes.items()}
    if not plain and not any(near(value, v, rtol=2e-4) for v in shifted.values()):
        raise NotYet(
            f"The decoder did not see mu: mu itself is the code of the {who}, nothing is drawn or"
            " changed.",
        )
    compare(
        value,
        right.detach(),
        shifted,
        "The value is wrong: it is the reconstruction error of"
        f" {'the clean ' if who == 'DAE' else ''}x, per example, in nats, and nothing else.",
    )
    exact = dict(zip("AaCcWbV", gradients(right, model.leaves())))
    expect(
        isinstance(r.get("gradient W"), torch.Tensor),
        "No gradient reaches the decoder: the loss was computed outside the graph.",
    )
    for name in "AaWbV":
        g = r.get(f"gradient {name}")
        reaches = "the encoder" if name in "Aa" else "the decoder"
        expect(
            isinstance(g, torch.Tensor),
            f"No gradient reaches {reaches}: mu is cut off from the graph.",
        )
        expect(
            near(g, exact[name], rtol=1e-3, atol=1e-3),
            f"The value is right, but the gradient that reaches {reaches} is wrong.",
        )


WIDTH = 400


def _draw_dae(g):
    return toy_numbers(g, WIDTH, J, hidden=H) | {
        "x": pixels(g, B, WIDTH),
        "noise": 0.45 + 0.3 * torch.rand((), generator=g).item(),
    }


def _probe_dae(functions, given, seed, record):
    (loss,) = functions
    scaled = given | {"A": given["A"] / 10, "C": given["C"] / 10}
    model = Toy(scaled)
    value = loss(model, given["x"], seeded(seed), noise=given["noise"])
    record.put("loss", value)
    _put_what_was_asked(model, record)
    for name, gradient in zip("AaCcWbV", gradients(value, model.leaves())):
        record.put(f"gradient {name}", gradient)
    if not record["asked"]:
        return
    record.put("one image", loss(Toy(scaled), given["x"][:1], seeded(seed)))
    plain = Toy(scaled)
    loss(plain, given["x"], seeded(seed))
    record.put("seen by default", _rows(plain.seen)[:B])

    def what_the_encoder_sees(g):
        fresh = Toy(scaled)
        loss(fresh, given["x"], g, given["noise"])
        return _rows(fresh.seen)[:B]

    probe_draws(what_the_encoder_sees, "draw", seed, record)


def _judge_dae(given, r):
    no_error(r)
    expect(r["asked"], NOT_ASKED)
    x = given["x"].double()
    value = tensor(r, "loss", (B,), "one loss per example", {(): EXAMPLES_APART})
    seen = tensor(r, "seen", (B, WIDTH), "for what the encoder sees")
    for name, rate in (("seen by default", 0.3), ("seen", given["noise"])):
        got = tensor(r, name, (B, WIDTH)).to(x.dtype)
        changed = (got != x).double().mean().item()
        expect(changed > 0, "The encoder saw the clean x: the DAE encodes a corrupted copy.")
        expect(
            ((got == 0) | (got == 1)).all(),
            "The encoder saw pixels that are neither 0 nor 1: the noise is that of `corrupt`.",
        )
        expect(
            abs(changed - rate / 2) < 6 * (rate / 2 * (1 - rate / 2) / x.numel()) ** 0.5,
            f"With noise {rate:.2f}, {changed:.2f} of the pixels differ, expected {rate / 2:.2f}."
            " Does `noise` reach the corruption of task 8, and is it done once?",
        )
    scaled = given | {"A": given["A"] / 10, "C": given["C"] / 10}
    _judge_reconstruction(scaled, r, value, seen, x, "DAE")
    draws_are_fresh(r, "draw", "corruption")
    tensor(r, "one image", (1,), "for one image", {(): AXIS_LOST})


TASKS = [
    Task(
        "reconstruct",
        "Task 7, reconstruct",
        ("reconstruct",),
        _draw_toy,
        _probe_reconstruct,
        _judge_reconstruct,
        ("model", "x"),
    ),
    Task(
        "generate",
        "Task 7, generate",
        ("generate",),
        _draw_generate,
        _probe_generate,
        _judge_generate,
        ("model", "n", "generator"),
    ),
    Task(
        "interpolate",
        "Task 7, interpolate",
        ("interpolate",),
        _draw_interpolate,
        _probe_interpolate,
        _judge_interpolate,
        ("model", "x_a", "x_b", "steps"),
    ),
    Task(
        "corrupt",
        "Task 8, corruption",
        ("corrupt",),
        _draw_corrupt,
        _probe_corrupt,
        _judge_corrupt,
        ("x", "noise", "generator"),
    ),
    Task(
        "ae",
        "Task 8, AE",
        ("autoencoder_loss",),
        _draw_ae,
        _probe_ae,
        _judge_ae,
        ("model", "x", "generator"),
    ),
    Task(
        "dae",
        "Task 8, DAE",
        ("denoising_loss",),
        _draw_dae,
        _probe_dae,
        _judge_dae,
        ("model", "x", "generator", "noise"),
    ),
]
