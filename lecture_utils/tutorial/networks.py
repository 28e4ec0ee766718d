"""Tasks 5 and 6: the networks, compared with F.relu on the student's own weights, and the training
step."""

from lecture_utils.tutorial.task import (
    AXIS_LOST,
    NotYet,
    Task,
    a_float,
    compare,
    expect,
    near,
    no_error,
    numbers,
    pixels,
    same,
    tensor,
    uniform,
)

import torch
import torch.nn.functional as F

N, D, H, J = 16, 30, 50, 6
ACTIVATIONS = {
    "no activation at all: the network is linear": lambda t: t,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky ReLU": F.leaky_relu,
    "GELU": F.gelu,
    "ELU": F.elu,
    "SiLU": F.silu,
    "softplus": F.softplus,
    "ReLU6": F.relu6,
}
ENDS = {
    "ReLU": F.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "exp of its half (that is sigma)": lambda t: (t / 2).exp(),
    "softplus": F.softplus,
    "leaky ReLU": F.leaky_relu,
    "softmax": lambda t: F.softmax(t, dim=-1),
}


# --- 5 Encoder and decoder


def _draw_model(g):
    return {
        "x": pixels(g, N, D),
        "z": uniform(g, (3, N, J), -2, 2),
        "one z": uniform(g, (J,), -2, 2),
        "noise": torch.randn(6 * (D * H + H * J + D + H + J), generator=g),
        "weights": uniform(g, (3, N, D), 0.5, 2),
    }


def _probe_model(functions, given, seed, record):
    (VAE,) = functions
    full = VAE()
    record["default parameters"] = float(sum(p.numel() for p in full.parameters()))
    record["default latent_dim"] = float(getattr(full, "latent_dim", -1))
    model = VAE(latent_dim=J, hidden=H, n_pixels=D)
    n_numbers = sum(p.numel() for p in model.parameters())
    record["widths fit"] = float(n_numbers <= len(given["noise"]))
    if not record["widths fit"]:
        return
    record["latent_dim"] = float(getattr(model, "latent_dim", -1))
    at = 0
    for (
        p
    ) in model.parameters():  # however they were initialised: numbers that tell all layers apart
        p.data = given["noise"][at : at + p.numel()].reshape(p.shape).clone()
        at += p.numel()
    for name, p in model.named_parameters():
        record.put(f"parameter {name}", p)
    code = model.encode(given["x"])
    record["code"] = "tuple" if isinstance(code, tuple) else type(code).__name__
    record["code length"] = float(len(code)) if isinstance(code, (tuple, list)) else -1.0
    mu, logvar = code
    record.put("mu", mu)
    record.put("logvar", logvar)
    record.put("mu again", model.encode(given["x"])[0])
    for name, alone in zip(("mu alone", "logvar alone"), model.encode(given["x"][:1])):
        record.put(name, alone)
    logits = model.decode(given["z"][0])
    record.put("logits", logits)
    record.put("logits alone", model.decode(given["z"][0, :1]))
    record.put("logits again", model.decode(given["z"][0]))
    w = given["weights"]
    loss = (mu * w[0, :, :J]).sum() + (logvar * w[1, :, :J]).sum() + (logits * w[2]).sum()
    if loss.requires_grad:
        loss.backward()
    for name, p in model.named_parameters():
        record.put(f"gradient {name}", p.grad)
    record["decoding"] = 1.0
    record.put("many logits", model.decode(given["z"]))
    record.put("one logits", model.decode(given["one z"]))


def _weights(record):
    """The weights and biases of the model, {name: tensor}."""
    return {
        key.removeprefix("parameter "): value
        for key, value in record.items()
        if key.startswith("parameter ") and isinstance(value, torch.Tensor)
    }


def _layers(record):
    """Find the layers by their shapes: {role: (weight, bias, name)}, or NotYet."""
    found = _weights(record)
    total = sum(p.numel() for p in found.values())
    wanted = sorted([(H, D), (H, J), (D, H)])
    shapes = sorted(tuple(p.shape) for n, p in found.items() if p.dim() == 2)
    heads = [s for s in shapes if s[1] == H and s[0] in (J, 2 * J)]
    others = sorted(s for s in shapes if s not in heads)
    fits = (
        others == wanted
        and heads in ([(J, H)] * 2, [(2 * J, H)])
        and total == D * H + H + 2 * (J * H + J) + J * H + H + H * D + D
    )
    expect(
        fits,
        f"Expected 4,042 weights and biases in all, in layers {D} -> {H}, {H} -> {J} (twice, or"
        f" once {H} -> {2 * J}), {J} -> {H} and {H} -> {D}; found {total:,}, in weights of shape"
        f" {[list(s) for s in shapes]}.\n{_count_hint(total, 4_042)}",
    )
    layers = {}
    for name, weight in found.items():
        if weight.dim() == 2:
            bias = found.get(name.removesuffix("weight") + "bias")
            expect(bias is not None, "Every layer is an nn.Linear with a bias.")
            role = {(H, D): "in", (H, J): "up", (D, H): "out"}.get(tuple(weight.shape), "head")
            layers.setdefault(role, []).append((weight.double(), bias.double(), name))
    return layers


def _exchanged(record):
    """Whether the weights have the right shapes, but for some that lie on their side."""
    shapes = [tuple(v.shape) for v in _weights(record).values() if v.dim() == 2]
    networks = [(H, D), (H, J), (D, H)]
    for wanted in ([*networks, (J, H), (J, H)], [*networks, (2 * J, H)]):
        alike = sorted(map(sorted, shapes)) == sorted(map(sorted, wanted))
        if alike and sorted(shapes) != sorted(wanted):
            return True
    return False


def _count_hint(found, expected):
    """Where to look if a model has more weights than expected, or fewer, or other shapes."""
    if found > expected:
        return (
            "Is a layer too wide, or one too many? Each network has one hidden layer, and both"
            " heads of the encoder use the same one."
        )
    return (
        "Are the widths those of the text, has every layer a bias, and is every layer an attribute"
        " of self?"
    )


def _heads(layers):
    """The possible readings of the heads as (mu, logvar): two layers in either order, or of one
    its halves or every other row."""
    heads = layers["head"]
    if len(heads) == 2:
        pairs = [[(w, c) for w, c, _ in heads]]
    else:
        ((w, c, _),) = heads
        halves, alternating = (slice(J), slice(J, None)), (slice(0, None, 2), slice(1, None, 2))
        pairs = [[(w[rows], c[rows]) for rows in parts] for parts in (halves, alternating)]
    return [pair for a, b in pairs for pair in ((a, b), (b, a))]


SPLIT = "half of the images became mu, the other half logvar; split along the last axis, dim=-1"
ERRORS_OF_MODEL = {  # hints for errors, by a part of their text
    "mat1 and mat2": (
        "Do the widths come from the arguments of __init__, inputs first, and does each layer get"
        " what the one before returns?"
    ),
    "recursion": (
        "A method calls itself without end: in decode, self.decode is decode itself. A layer needs"
        " a name of its own."
    ),
    "Module.__init__() call": "Leave super().__init__() where it was, at the start of __init__.",
    "has no attribute 'parameters'": "VAE is a network: leave class VAE(nn.Module) as it was.",
    "has no attribute 'encode'": "Leave the name of the method encode as it was.",
    "has no attribute 'decode'": "Leave the name of the method decode as it was.",
    "'VAE' object has no attribute": "Is every layer an attribute of self?",
}


def _judge_model(given, r):
    if "decoding" in r and "error" in r:
        raise NotYet(
            f"decode fails for z of shape [3, {N}, {J}] or [{J}]: leave leading dimensions as they"
            f" are.\n{r['error']}"
        )
    _judge_sizes(r)
    _judge_what_returned(r)
    _judge_repeated(r)
    layers, mu, logits = _layers(r), r["mu"].double(), r["logits"].double()
    x, z = given["x"].double(), given["z"].double()
    _judge_encoder(layers, x, mu, r["logvar"].double())
    _judge_decoder(layers, z[0], logits)
    _judge_leading_dimensions(given, r, layers)
    _judge_model_gradients(given, r, layers, mu)


def _judge_sizes(r):
    """Raise NotYet unless the widths are those of the text."""
    own = [n for n, v in _weights(r).items() if v.dim() == 2 and not n.endswith(".weight")]
    expect(not own, f"All layers are nn.Linear. {', '.join(own)}: a matrix outside of one.")
    expect(
        not _exchanged(r),
        "The two sizes of a layer are exchanged: nn.Linear takes the number of inputs first, then"
        " that of outputs.",
    )
    found = r.get("default parameters", 652_824)
    expect(
        found == 652_824,
        f"With the default widths, expected 652,824 weights and biases, found {found:,.0f}."
        f"\n{_count_hint(found, 652_824)}",
    )
    expect(
        r.get("widths fit", 1.0) == 1.0,
        f"VAE(latent_dim={J}, hidden={H}, n_pixels={D}) has layers of other widths: do they come"
        " from the arguments of __init__?",
    )


def _judge_what_returned(r):
    """Raise NotYet unless encode and decode return tensors of the right shapes."""
    length = r.get("code length", 2)
    expect(
        r.get("code", "tuple") == "tuple" and length == 2,
        "encode must return the tuple (mu, logvar), got"
        f" {r.get('code')}{f' of {length:.0f}' if length > 0 else ''}.",
    )
    expect(r.get("logits.type") != "NoneType", "decode returned nothing: is there a `return`?")
    for name, shape in (("mu", (N, J)), ("logvar", (N, J)), ("logits", (N, D))):
        if name in r or f"{name}.type" in r:
            tensor(r, name, shape, f"for {name}", {(N // 2, 2 * J): SPLIT})
    no_error(r, ERRORS_OF_MODEL)
    expect(
        r["latent_dim"] == J,
        "model.latent_dim is not what was asked for: leave that line of __init__ as it was.",
    )
    for name, shape in (("mu", (1, J)), ("logvar", (1, J)), ("logits", (1, D))):
        tensor(r, f"{name} alone", shape, f"for {name} of one image", {shape[1:]: AXIS_LOST})


def _judge_repeated(r):
    """Raise NotYet unless every call gives the same, for an image alone as in its batch."""
    expect(
        not same(r["mu"], r["logvar"]),
        "mu and logvar are the same numbers: each needs a layer of its own.",
    )
    expect(
        same(r["mu"], r["mu again"]),
        "Two calls of encode differ: the encoder is deterministic, the sample is drawn elsewhere.",
    )
    expect(
        same(r["logits"], r["logits again"]),
        "Two calls of decode differ: the decoder is deterministic.",
    )
    expect(
        near(r["mu alone"], r["mu"][:1], atol=1e-3),
        "The code of an image depends on the other images of its batch.",
    )


def _judge_leading_dimensions(given, r, layers):
    """Raise NotYet unless decode takes z of any number of leading dimensions."""
    for name, z, shape, words in (
        ("many logits", given["z"], (3, N, D), "with a leading dimension"),
        ("one logits", given["one z"], (D,), "without a leading dimension"),
    ):
        compare(
            tensor(r, name, shape, f"for z of shape {list(z.shape)}"),
            _decode(layers, z.double(), F.relu),
            {},
            f"Wrong for z {words}.",
            atol=1e-3,
        )


def _encode(layers, x, activation, pair):
    ((w, b, _),) = layers["in"]
    hidden = activation(x @ w.T + b)
    return [hidden @ v.T + c for v, c in pair]


def _decode(layers, z, activation):
    (w, b, _), (v, c, _) = layers["up"][0], layers["out"][0]
    return activation(z @ w.T + b) @ v.T + c


def _judge_encoder(layers, x, mu, logvar):
    readings = [(pair, _encode(layers, x, F.relu, pair)) for pair in _heads(layers)]
    if any(_both_near(mu, logvar, right) for _, right in readings):
        return
    for pair, right in readings:
        for words, activation in ACTIVATIONS.items():
            other = _encode(layers, x, activation, pair)
            expect(not _both_near(mu, logvar, other), _of_hidden("encoder", words))
        _judge_ends_of_encoder(mu, logvar, right)
    for _, right in readings:
        for name, other, fits, seen, value in (
            ("mu", "logvar", near(mu, right[0], atol=1e-3), logvar, right[1]),
            ("logvar", "mu", near(logvar, right[1], atol=1e-3), mu, right[0]),
        ):
            expect(
                not fits,
                f"{name} is right, {other} is not what its own layer makes of the hidden units:"
                f" for the first image it is {numbers(seen[0])}, expected {numbers(value[0])}.",
            )
    raise NotYet(
        "Neither mu nor logvar is a linear layer of ReLU(linear(x)): look at the hidden units, and"
        " at what goes into them."
    )


def _both_near(mu, logvar, right):
    return near(mu, right[0], atol=1e-3) and near(logvar, right[1], atol=1e-3)


def _judge_ends_of_encoder(mu, logvar, right):
    """Raise NotYet if something follows the last layer of mu or logvar that explains the numbers,
    and the other one is explained, too."""
    for name, seen, value, other, plain in (
        ("mu", mu, right[0], logvar, right[1]),
        ("logvar", logvar, right[1], mu, right[0]),
    ):
        explained = [plain, *(end(plain) for end in ENDS.values())]
        if not any(near(other, each, atol=1e-3) for each in explained):
            continue
        for words, end in ENDS.items():
            if near(seen, end(value), atol=1e-3):
                raise NotYet(
                    f"An activation follows the last layer of {name}: {words}. Nothing does in the"
                    " text."
                    if end(torch.tensor(-1.0)) < 0
                    else f"{name} is never negative: {words} follows its last layer. Any real"
                    " number must be possible."
                )


def _of_hidden(network, words):
    """The hint for a hidden layer that has the activation `words`."""
    if "linear" in words:
        return f"The {network} is linear: the ReLU is missing."
    return f"The hidden layer of the {network} has {words}, not the ReLU of the text."


def _judge_decoder(layers, z, logits):
    right = _decode(layers, z, F.relu)
    if near(logits, right, atol=1e-3):
        return
    for words, activation in ACTIVATIONS.items():
        expect(
            not near(logits, _decode(layers, z, activation), atol=1e-3),
            _of_hidden("decoder", words),
        )
    for words, end in ENDS.items():
        for gain in (1, 4):
            if near(logits, end(gain * right), atol=1e-3):
                raise NotYet(
                    "All outputs of decode lie between 0 and 1: these are probabilities. decode"
                    " returns logits."
                    if words == "sigmoid"
                    else f"An activation follows the last layer of the decoder: {words}. decode"
                    " returns logits, any real numbers."
                )
    for words, activation in ACTIVATIONS.items():
        for ending, end in ENDS.items():
            expect(
                not near(logits, end(_decode(layers, z, activation)), atol=1e-3),
                f"{_of_hidden('decoder', words)} And an activation follows its last layer,"
                f" {ending}: decode returns logits.",
            )
    raise NotYet(
        "decode does not compute linear(ReLU(linear(z))). For the first z the logits begin"
        f" {numbers(logits[0])}, expected {numbers(right[0])}."
    )


def _judge_model_gradients(given, r, layers, mu):
    names = list(_weights(r))
    missing = [n for n in names if not isinstance(r.get(f"gradient {n}"), torch.Tensor)]
    expect(
        not missing,
        f"No gradient reaches {', '.join(missing)}: that layer is not used, or is cut off from the"
        " graph.",
    )
    leaves = {n: r[f"parameter {n}"].double().requires_grad_() for n in names}
    live = {
        role: [(leaves[n], leaves[n.removesuffix("weight") + "bias"], n) for _, _, n in entries]
        for role, entries in layers.items()
    }
    w, x = given["weights"].double(), given["x"].double()
    for pair in _heads(live):
        m, v = _encode(live, x, F.relu, pair)
        if near(m, mu, atol=1e-3):
            break
    logits = _decode(live, given["z"][0].double(), F.relu)
    loss = (m * w[0, :, :J]).sum() + (v * w[1, :, :J]).sum() + (logits * w[2]).sum()
    for name, gradient in zip(leaves, torch.autograd.grad(loss, list(leaves.values()))):
        expect(
            near(r[f"gradient {name}"], gradient, rtol=1e-3, atol=1e-2),
            f"The gradient that reaches {name} is wrong, though the outputs are right: a part is"
            " detached.",
        )


# --- 6 The training step

STEPS = 3


def _draw_step(g):
    return {
        "x": uniform(g, (5, 1), 1, 3),
        "w": uniform(g, (1, 1), 1.5, 2.5),
        "stale": uniform(g, (1, 1), 20, 40),
        "wide x": uniform(g, (8, 3), -2, 2),
        "wide w": uniform(g, (2, 3), -1, 1),
        "wide b": uniform(g, (2,), -1, 1),
    }


def _loss(*given, **named):
    given = [*given, *(named.pop(name) for name in ("model", "x") if name in named)]
    kinds = [torch.nn.Module, torch.Tensor]
    if named or len(given) != 2 or not all(map(isinstance, given, kinds)):
        raise TypeError("loss takes two things, the model and the batch: loss(model, x)")
    model, x = given
    return model(x).square().sum(dim=1)


def _probe_step(functions, given, seed, record):
    (training_step,) = functions
    narrow = torch.nn.Linear(1, 1, bias=False)
    wide = torch.nn.Linear(3, 2)
    with torch.no_grad():
        narrow.weight.copy_(given["w"])
        wide.weight.copy_(given["wide w"])
        wide.bias.copy_(given["wide b"])
    narrow.weight.grad = given["stale"].clone()  # of a step before
    for name, model, optimizer, x in (
        ("sgd", narrow, torch.optim.SGD(narrow.parameters(), lr=0.02), given["x"]),
        ("adam", wide, torch.optim.Adam(wide.parameters(), lr=0.1), given["wide x"]),
    ):
        for step in range(STEPS):
            record.put(f"{name} returned {step}", training_step(model, optimizer, x, _loss))
            record.put(f"{name} weight {step}", model.weight)


ONE_LOSS = (
    ": item() makes it one, and lets go of the graph. A tensor would keep the graph of every step"
    " in memory."
)


def _follow(given, lr=0.02, steps=STEPS, scale=lambda g, n: g, keep=False, twice=False):
    """The weight after each step of plain gradient descent, for someone who scales, keeps or
    repeats the gradient."""
    x, w = given["x"].double(), given["w"].double().clone()
    weights, losses, held = [], [], given["stale"].double().clone()
    for _ in range(steps):
        losses.append((w * x).square().mean())
        gradient = 2 * w * x.square().mean()
        held = gradient + (held if keep else 0)
        for _ in range(2 if twice else 1):
            w = w - lr * scale(held, len(x))
        weights.append(w.clone())
    return torch.stack(weights).flatten(), torch.stack(losses).flatten()


def _judge_step(given, r):
    no_error(
        r,
        {
            "does not require grad": "Is the loss computed with its graph?",
            "grad can be implicitly": "backward needs one number: the mean.",
            "no attribute 'encode'": "Any model may be given: ask loss(model, x), not your elbo.",
            "'float' object has no": "item() ends the graph: first backward, then item().",
            "'function' object has no attribute": "loss is a function: use what it returns.",
        },
    )
    weights = torch.stack([tensor(r, f"sgd weight {i}", (1, 1)) for i in range(STEPS)]).flatten()
    start = given["w"].double().flatten()
    expect(
        not near(weights[0], start[0], atol=1e-6, rtol=1e-6),
        "The weight did not change: is the gradient computed, kept until the update, and the update"
        " made?",
    )
    right, losses = _follow(given)
    x = given["x"].double()
    after_stale = _follow(given, keep=True)[0]
    first_stale = torch.cat(
        [after_stale[:1], _follow(given | {"w": after_stale[:1].reshape(1, 1)})[0][: STEPS - 1]]
    )
    compare(
        weights,
        right,
        {
            "The loss grows: you go up the gradient. The loss is to be made small.": _follow(
                given, lr=-0.02
            )[0],
            "The step is as long as for the sum over the batch: take the mean over the examples.": (
                _follow(given, scale=lambda g, n: n * g)[0]
            ),
            "The step is too short: the mean is divided by the number of examples once more.": (
                _follow(given, scale=lambda g, n: g / n)[0]
            ),
            "The step still holds the gradient of the one before: gradients add up until they "
            "are cleared.": (after_stale),
            "The first step still holds a gradient of before the call: clear gradients before "
            "backward, not after the step.": (first_stale),
            (
                "The gradient is twice that of the mean loss: is backward called twice?"
                if _right_with_adam(given, r)
                else "The update is made twice a step."
            ): _follow(given, twice=True)[0],
            "The gradient is clipped to length 1: the text does not ask for it.": _follow(
                given, scale=lambda g, n: g.clamp(-1, 1)
            )[0],
        },
        "The weight is wrong after the steps: is it the gradient of the mean loss of all examples,"
        " as it is, and the update that of the optimiser that was given?",
        "the weight after each of three steps: ",
        rtol=1e-3,
    )
    a_float(r, "sgd returned 0", ONE_LOSS)
    returned = torch.tensor([r[f"sgd returned {i}"] for i in range(STEPS)]).double()
    after = torch.stack([(w * x).square().mean() for w in right])
    compare(
        returned,
        losses,
        {
            "The value returned is not the mean loss of the batch before the update: it was "
            "computed after it.": (after),
            "The value returned is the sum over the batch: return the mean.": len(x) * losses,
            "The value returned has the wrong sign.": -losses,
        },
        "The value returned is not the mean loss of the batch before the update.",
        rtol=1e-3,
    )
    for i, weight in enumerate(_adam(given)):
        compare(
            tensor(r, f"adam weight {i}", (2, 3)),
            weight,
            {},
            "Right for one weight and plain gradient descent, wrong for a layer with Adam: is the"
            " update the optimiser's own?",
            rtol=1e-3,
            atol=1e-3,
        )


def _right_with_adam(given, r):
    """Whether the layer is right: Adam does not mind a gradient that is twice too large."""
    steps = enumerate(_adam(given))
    return all(near(r.get(f"adam weight {i}", 0), w, rtol=1e-3, atol=1e-3) for i, w in steps)


def _adam(given):
    """The weight of the wide layer after each step of Adam."""
    reference, weights = torch.nn.Linear(3, 2), []
    with torch.no_grad():
        reference.weight.copy_(given["wide w"])
        reference.bias.copy_(given["wide b"])
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        _loss(reference, given["wide x"]).mean().backward()
        optimizer.step()
        weights.append(reference.weight.detach().clone())
    return weights


TASKS = [
    Task("model", "Task 5, encoder and decoder", ("VAE",), _draw_model, _probe_model, _judge_model),
    Task(
        "step",
        "Task 6, the step",
        ("training_step",),
        _draw_step,
        _probe_step,
        _judge_step,
        ("model", "optimizer", "x", "loss"),
    ),
]
