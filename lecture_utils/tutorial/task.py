"""What a check of Tutorial 7 is made of: inputs drawn from a seed, what a function did with them,
and a verdict on that.

The three are apart because grading runs them apart. The student's function runs in a process of
its own (`observe`), which
returns nothing but numbers; a process that never ran a student's code compares them (`judge`).
"""

import inspect
import math
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

NUMPY = "numpy cuts off the graph, with detach or without: use torch's own functions."
STUB = "NotImplementedError:"  # what the stub raises, without a text; torch's own have one
GENERATOR = "generator may be None: then torch's own random numbers are used."
CALLED_IN_VAIN = re.compile(r"TypeError: (\S+)\(\) (takes|missing|got an unexpected keyword)")
TUPLE = (
    "encode, for example, returns a tuple, mu and logvar; and a comma at the end of a line makes"
    " one."
)
A_TUPLE_TIMES = f"Is a tuple or a list multiplied by a tensor? {TUPLE}"
FLOATS = (
    "Both must be float32: .float() makes them so. numpy makes float64; labels, randint and one_hot"
    " are int64."
)
A_GENERATOR = "A generator is handed over like this: torch.randn(shape, generator=generator)."
OF_NUMBERS = "torch's functions take tensors. math has those of numbers."
LIBRARIES = str(Path(__file__).parents[1]), str(Path(torch.__file__).parent)

# For an error in an answer, by a part of its text. The first match wins: specific before general.
HINTS = {
    "call numpy()": NUMPY,
    **{
        f"'NoneType' object has no attribute '{name}'": GENERATOR
        for name in ("device", "manual_seed", "initial_seed", "get_state")
    },
    "only one element tensors can be converted": (
        "Functions of math, and float(), take single numbers: use torch's own. A list of tensors is"
        " joined by torch.stack, not by torch.tensor."
    ),
    "cannot be converted to Scalar": (
        "item() takes a tensor of one number, and this one has several. If one value per example"
        " is asked for, leave item() out; if one number, sum or average first."
    ),
    "'tuple' object has no": TUPLE,
    "got a 'tuple'": TUPLE,
    **{
        f"'{left}' and '{right}'": TUPLE
        for left, right in (
            ("tuple", "Tensor"),
            ("Tensor", "tuple"),
            ("tuple", "float"),
            ("float", "tuple"),
        )
    },
    "got a 'ndarray'": (
        "encode and decode take tensors: torch.from_numpy(a).float() makes one of an array."
    ),
    "got a 'list'": "encode and decode take tensors: torch.stack joins a list of tensors.",
    "must be Tensor, not tuple": TUPLE,
    "converted to an index": A_TUPLE_TIMES,
    "multiply sequence by": A_TUPLE_TIMES,
    " torch._C.Generator": A_GENERATOR,  # and not "generator=torch._C.Generator", which is right
    "(torch._C.Generator": A_GENERATOR,
    "must be Tensor, not float": OF_NUMBERS,
    "must be Tensor, not int": OF_NUMBERS,
    "__init__() takes 1 positional": (
        "nn.Sigmoid() makes a layer; torch.sigmoid(h) is the function."
    ),
    "Boolean value of Tensor": (
        "nn.BCEWithLogitsLoss makes a layer; F.binary_cross_entropy_with_logits is the function."
        " Or is there an if on a whole tensor?"
    ),
    "Toy.": "Toy is the model of the check: encode(x) and decode(z) take one tensor.",
    "must be Tensor, not ReLU": "nn.ReLU(h) makes a layer; F.relu(h) is the function.",
    'missing the required "forward"': (
        "The model has encode and decode, and no forward: model(x) calls nothing."
    ),
    "is invalid for input of size": (
        "The check's tensors are smaller than MNIST's: take sizes from x.shape or the arguments,"
        " or leave the shape as it is."
    ),
    "GreaterThan(lower_bound=0.0)": (
        "Normal takes the standard deviation, which is positive. logvar is the logarithm of its"
        " square, and may be negative."
    ),
    "the same dtype": FLOATS,
    "takes torch.float32": FLOATS,
    "backward through the graph a second time": (
        "backward is called twice on one loss: call it once."
    ),
}


class NotYet(AssertionError):
    """An answer is not right yet; the text says what was seen and where to look."""


class Record(dict):
    """What a function was seen to do: {name: tensor, number or text}."""

    def put(self, name: str, value) -> None:
        """Keep a tensor, without its graph; of anything else keep the type, and a number if it is
        one."""
        if isinstance(value, torch.Tensor):
            self[f"{name}.graph"] = value.requires_grad
            self[name] = value.detach().cpu().clone().contiguous()
        else:
            self[f"{name}.type"] = _kind(value)
            if isinstance(value, (int, float)):
                self[name] = float(value)


def _kind(value) -> str:
    """What something is that is no tensor, in a word or two; a float of numpy's is a float too."""
    if isinstance(value, float):
        return "float"
    if isinstance(value, np.ndarray) and value.size != 1:
        return f"ndarray of shape {list(value.shape)}"
    return "tuple of one" if isinstance(value, tuple) and len(value) == 1 else type(value).__name__


@dataclass(frozen=True)
class Task:
    """One task: `draw(generator)` makes inputs, `probe(functions, inputs, seed, record)` calls the
    student's functions on
    copies of them, `verdict(inputs, record)` raises NotYet. `functions` are the names of the
    answer, `label` its title, `arguments` those of the function in the text.
    """

    name: str
    label: str
    functions: tuple[str, ...]
    draw: Callable
    probe: Callable
    verdict: Callable
    arguments: tuple[str, ...] = ()

    def inputs(self, seed: int) -> dict:
        """Return the inputs that belong to `seed`."""
        return self.draw(seeded(seed))

    def observe(self, functions: dict, seed: int) -> Record:
        """Call the functions {name: function} of the answer on the inputs of `seed` and return
        what was seen."""
        record, given = Record(), self.inputs(seed)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed + 10**6)  # not what a generator of the probe starts at
            try:
                record["moved"] = _moved(functions[self.functions[0]], self.arguments)
                self.probe([functions[name] for name in self.functions], given, seed, record)
            except (Exception, SystemExit) as error:
                text = str(error).strip().split("\n")[0]  # torch lists all it would have taken
                record["error"] = f"{type(error).__name__}: {text}"[:500]
                record["raised by"] = "answer" if _in_answer(error) else "check"
                record["unanswered"] = self._unanswered(error)
        for name, value in given.items():
            if isinstance(value, torch.Tensor):
                record.put(f"{name} afterwards", value)
        return record

    def judge(self, seed: int, record: dict) -> None:
        """Raise NotYet if what was seen for `seed` is not what a right answer does."""
        given = self.inputs(seed)
        if str(record.get("error", "")).strip() == STUB:
            if other := record.get("unanswered"):
                raise NotYet(f"{other} is not answered yet, and this answer uses it.")
            raise NotYet("Not answered yet.")
        for name, value in given.items():
            if isinstance(value, torch.Tensor) and f"{name} afterwards" in record:
                expect(same(record[f"{name} afterwards"], value), self._changed(name))
        try:
            self.verdict(given, record)
            no_error(record)
        except NotYet:
            if moved := record.get("moved"):
                raise NotYet(
                    f"The arguments of {self.functions[0]} are ({moved}), and in the text"
                    f" ({', '.join(self.arguments)}): leave them as they were."
                ) from None
            raise

    def _changed(self, name) -> str:
        """The message for an answer that changed the input `name`, by the name it has there."""
        words = name.split()
        argument = next((word for word in words if word in self.arguments), None)
        if argument in ("codes", "labels", "logits"):
            return f"{argument} were changed: work on a copy. They are still needed as they were."
        if argument is None:
            argument = "An image that was given" if "x" in words else "What was given"
            return f"{argument} was changed: work on a copy. It is still needed as it was."
        return f"{argument} itself was changed: work on a copy. It is still needed as it was."

    def _unanswered(self, error) -> str:
        """The function that an error came from, if a function of this answer called it."""
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        own = set(self.functions) & set(names)
        return names[-1] if own and names[-1] not in own else ""


def _moved(function, wanted) -> str:
    """The arguments of a function, with commas, if one of those `wanted` stands at another place;
    else "", also where one is missing or added at the end."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ""
    moved = [n for n in wanted if n in names and names.index(n) != wanted.index(n)]
    return ", ".join(names) if moved else ""


def seeded(seed: int) -> torch.Generator:
    """Return a generator that starts at `seed`."""
    return torch.Generator().manual_seed(seed)


def expect(condition, message: str) -> None:
    """Raise NotYet(message) unless the condition holds."""
    if not condition:
        raise NotYet(message)


def no_error(record, otherwise: dict[str, str] | None = None) -> None:
    """Raise NotYet if the function raised; `otherwise` gives hints for an error by a part of its
    text. They come before HINTS, and the one for "", any error, comes last."""
    if error := record.get("error"):
        hints = [*(otherwise or {}).items(), *HINTS.items()]
        hints.sort(key=lambda pair: pair[0] == "")
        hint = next((hint for part, hint in hints if part in error), "")
        if record.get("raised by") != "check":
            raise NotYet(f"Your code raised {error}" + (f"\n{hint}" if hint else ""))
        if called := CALLED_IN_VAIN.match(error):
            hint = (
                f"{called[1]} cannot be called as the text says: leave its name and its arguments"
                " as they were."
            )
        raise NotYet(f"{hint or 'What your code returned cannot be used.'}\n{error}")


def _in_answer(error) -> bool:
    """Whether an error came from the code of an answer, not from what a check did with its
    result: one frame of it lies outside of the checks and of the libraries."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(not frame.filename.startswith(LIBRARIES) for frame in frames)


def unless_returned(record, name: str, hints: dict[str, str] | None = None) -> None:
    """Raise NotYet for an error, if nothing was returned under `name` before it."""
    if name not in record and f"{name}.type" not in record:
        no_error(record, hints)


AXIS_LOST = "the axis of the batch stays, also for one image; squeeze() takes it away"
COMMA = ". A comma at the end of the line makes a tuple."
NUMBERS = ("float32", "float16", "int", "int64", "int32", "ndarray")  # that float(...) takes


def returned_kind(record, name: str) -> str:
    """The kind of what was returned under `name`; NotYet if it is None."""
    kind = record.get(f"{name}.type", "tensor" if name in record else "nothing")
    expect(kind != "NoneType", "Nothing was returned: is there a `return`?")
    return kind


def a_float(record, name: str, of_a_tensor: str = ": item() makes it one.") -> float:
    """Return the float that was returned under `name`; NotYet if it is anything else."""
    kind = returned_kind(record, name)
    if kind == "tensor" and record[name].numel() != 1:
        kind = f"tensor of shape {list(record[name].shape)}"
    expect(
        "of shape" not in kind,
        f"Expected a Python float, got {'an' if kind[0] == 'n' else 'a'} {kind}: one number is"
        " asked for, summed or averaged over all axes.",
    )
    hints = {"tensor": of_a_tensor, "tuple of one": COMMA}
    hints |= dict.fromkeys(NUMBERS, ": float(...) makes it one.")
    expect(kind == "float", f"Expected a Python float, got {kind}{hints.get(kind, '.')}")
    return record[name]


def same(a, b) -> bool:
    """Whether two tensors agree in shape and in every number."""
    return isinstance(a, torch.Tensor) and a.shape == b.shape and torch.equal(a, b)


def near(a, b, rtol=1e-4, atol=1e-4) -> bool:
    """Whether two tensors or numbers agree up to rounding."""
    a, b = torch.as_tensor(a).double(), torch.as_tensor(b).double()
    return a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)


def tensor(
    record, name: str, shape, what: str = "", wrong_shapes: dict | None = None
) -> torch.Tensor:
    """Return the float32 tensor that was returned under `name`; NotYet if it is anything else."""
    if name not in record or not isinstance(record[name], torch.Tensor):
        unless_returned(record, name)
        kind = returned_kind(record, name)
        raise NotYet(f"Expected a tensor, got {kind}{COMMA if kind == 'tuple of one' else '.'}")
    value, shape = record[name], tuple(shape)
    got = "a single number" if value.dim() == 0 else list(value.shape)
    wanted = f"Expected shape {list(shape)}{what and f', {what}'}, got {got}"
    if value.shape != shape:
        hint = (wrong_shapes or {}).get(tuple(value.shape), "")
        raise NotYet(f"{wanted}: {hint}." if hint else f"{wanted}.")
    expect(
        value.dtype == torch.float32,
        f"Expected numbers of type torch.float32, like the inputs, got {value.dtype}.",
    )
    return value.double()


def compare(
    value, right, mistakes: dict, otherwise: str, about: str = "", rtol=1e-4, atol=1e-4
) -> None:
    """Raise NotYet unless value is right. `mistakes` are {hint: what that mistake would return, or
    a tuple of what its forms would}.

    A hint is given only if it alone explains the numbers: two mistakes that agree here get the
    general hint.
    """
    if near(value, right, rtol, atol):
        return
    right = torch.as_tensor(right)
    close = {"rtol": max(rtol, 2e-4), "atol": max(atol, 2e-4)}
    hints = [
        hint
        for hint, others in mistakes.items()
        if any(
            near(value, other, **close) and not near(other, right, rtol=5e-3, atol=5e-3)
            for other in forms(others)
        )
    ]
    seen = f"{about}your code gives {numbers(value)}, expected {numbers(right)}."
    expect(
        not torch.as_tensor(value).isnan().any(),
        mistakes_of_nan(mistakes) + f"{seen[0].upper()}{seen[1:]}",
    )
    hint = hints[0] if len(hints) == 1 else otherwise
    raise NotYet(f"{hint}\n{seen[0].upper()}{seen[1:]}")


def forms(values) -> tuple:
    """What a mistake would return: one value, or a tuple of them."""
    return values if isinstance(values, tuple) else (values,)


def mistakes_of_nan(mistakes: dict) -> str:
    """The hint for NaN: the one mistake that would give it, or a general one."""
    hints = [
        hint
        for hint, others in mistakes.items()
        if any(torch.as_tensor(other).isnan().any() for other in forms(others))
    ]
    return (
        f"{hints[0]}\n"
        if len(hints) == 1
        else "There are NaN: a logarithm or a root of a negative number was taken, or 0 / 0.\n"
    )


def numbers(value, most: int = 6) -> str:
    """Write a number or the first numbers of a tensor."""
    value = torch.as_tensor(value).double()
    if value.dim() == 0:
        return f"{value.item():.4g}"
    listed = [f"{v:.4g}" for v in value.flatten()[:most].tolist()]
    return f"[{', '.join(listed)}{', ...' if value.numel() > most else ''}]"


def uniform(generator, shape, low, high) -> torch.Tensor:
    """Draw float32 numbers between low and high, none of them within a tenth of 0."""
    value = low + (high - low) * torch.rand(shape, generator=generator)
    return torch.where(value.abs() < 0.1, value + 0.25, value)


def pixels(generator, *shape) -> torch.Tensor:
    """Draw binary pixels, float32."""
    return (torch.rand(shape, generator=generator) < 0.4).float()


def gradients(value, leaves) -> list:
    """Return d(sum of value)/d(leaf) for each leaf, None where no gradient flows."""
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return [None] * len(leaves)
    return list(torch.autograd.grad(value.sum(), leaves, allow_unused=True, retain_graph=True))


def gaussian_noise(noise, what: str) -> None:
    """Raise NotYet unless the numbers [N, J] look like independent draws of N(0, 1); N in the
    thousands.

    Each bound lies at six standard errors or beyond, so that a right answer fails once in some
    hundred million runs.
    """
    n = len(noise)
    expect(noise.isfinite().all(), f"There are NaN or infinite numbers in {what}.")
    expect(noise.std() > 1e-4, f"{what} is the same everywhere: nothing is drawn.")
    expect(
        noise.std(dim=0).max() > 1e-3, f"All examples share one {what}. Each entry needs its own."
    )
    expect((noise.std(dim=0) > 0).all(), f"Some coordinates of {what} are constant.")
    across = torch.corrcoef(noise.T) - torch.eye(noise.shape[1], dtype=noise.dtype)
    expect(
        across.abs().max() < 0.5,
        f"The coordinates of {what} rise and fall together: they share one draw. Each entry needs"
        " its own.",
    )
    expect(noise.min() < 0, f"{what} is never negative. A standard normal is, half of the time.")
    expect(
        noise.mean(dim=0).abs().max() < 6 / n**0.5,
        f"The mean of {what} is {numbers(noise.mean(dim=0))}, expected 0.",
    )
    expect(
        (noise.std(dim=0) - 1).abs().max() < 6 / (2 * n) ** 0.5,
        f"The standard deviation of {what} is {numbers(noise.std(dim=0))}, expected 1.",
    )
    # One normal number in 370 lies beyond 3. Of 9,000 none at all: once in 10^10 runs.
    expect(
        noise.numel() < 9_000 or noise.abs().max() > 3,
        f"{what} never goes beyond ±3: is it cut off? A normal distribution has no ends.",
    )
    flat = noise.flatten().sort().values
    ranks = (torch.arange(len(flat), dtype=flat.dtype) + 0.5) / len(flat)
    distance = (torch.special.ndtr(flat) - ranks).abs().max() * len(flat) ** 0.5
    kurtosis = ((noise - noise.mean()) / noise.std()).pow(4).mean()
    expect(
        distance < 3.2 and abs(kurtosis - 3) < 7 * (24 / flat.numel()) ** 0.5,
        f"Mean and standard deviation of {what} fit, but it is not drawn from N(0, 1): of its"
        f" values {(flat.abs() > 2).double().mean():.1%} lie beyond ±2, expected 4.6%, and its"
        f" fourth moment is {kurtosis:.2f}, expected 3.",
    )
    half = n // 2
    for a, b in ((noise[:half], noise[half : 2 * half]), (noise[:-1], noise[1:])):
        r = torch.stack(
            [torch.corrcoef(torch.stack([a[:, j], b[:, j]]))[0, 1] for j in range(noise.shape[1])]
        )
        expect(
            r.abs().max() < 6 / half**0.5,
            f"Examples share their draws ({what}), or one is the mirror of another. Each entry"
            " needs its own.",
        )
    spread = (noise.square().sum(dim=1)).var() / (2 * noise.shape[1])
    expect(abs(spread - 1) < 0.5, f"The lengths of {what} are all alike: was it normalised?")


def draws_are_fresh(record, name: str, what: str) -> None:
    """Raise NotYet unless draws follow the generator they are given: same seed, same draw; next
    call, next draw."""
    r = record
    expect(
        same(r[f"{name} again"], r[name]),
        f"The same seed gives another {what}: the draw does not use `generator`.",
    )
    expect(
        not r["elsewhere"],
        "Random numbers were drawn, or seeded, outside the generator that was given.",
    )
    expect(
        not same(r[f"{name} next"], r[name]),
        f"Two calls in a row give the same {what}: a seed is set inside the function, so that every"
        " call reuses one draw.",
    )
    expect(
        not same(r[f"{name} other"], r[name]),
        f"All seeds give the same {what}: a seed is set inside the function.",
    )
    expect(
        not same(r[f"{name} free"], r[f"{name} free next"]),
        f"Without a generator, two calls give the same {what}: a seed is set inside the function,"
        " or a torch.Generator is made in it, which always starts alike.",
    )


def probe_draws(call, name: str, seed: int, record) -> None:
    """Call `call(generator)` in the ways that `draws_are_fresh` needs."""
    before, generator = torch.get_rng_state(), seeded(seed)
    record.put(name, call(generator))
    record["elsewhere"] = not torch.equal(before, torch.get_rng_state())
    record.put(f"{name} next", call(generator))
    record.put(f"{name} again", call(seeded(seed)))
    record.put(f"{name} other", call(seeded(seed + 1)))
    record.put(f"{name} free", call(None))
    record.put(f"{name} free next", call(None))


class Toy(nn.Module):
    """A model of a few numbers in place of the networks, which remembers what it was given.

    mu = 2 tanh(x A + a), logvar = x C + c, logits = W2 tanh(W z + b), or W z + b if there is no
    W2. Built from the tensors of `given`.
    """

    def __init__(self, given, dtype=torch.float32):
        super().__init__()
        for name in ("A", "a", "C", "c", "W", "b", "W2"):
            value = given.get(name)
            self.register_parameter(
                name, None if value is None else nn.Parameter(value.to(dtype).clone())
            )
        self.latent_dim = self.W.shape[0]
        self.seen, self.codes = [], []

    def encode(self, x):
        self._expect("encode", x, self.A)
        self.seen.append(x.detach().clone())
        return 2 * torch.tanh(x @ self.A + self.a), x @ self.C + self.c

    def decode(self, z):
        self._expect("decode", z, self.W)
        self.codes.append(z.detach().clone())
        hidden = z @ self.W + self.b
        return hidden if self.W2 is None else torch.tanh(hidden) @ self.W2

    def _expect(self, name, value, weight):
        """Raise an error that is easier to read than torch's if `weight` cannot take `value`."""
        if weight is None:
            raise TypeError(f"{name} has nothing to do here: there is no image")
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} takes a tensor, and got a '{type(value).__name__}'.")
        if value.shape[-1:] != weight.shape[:1]:
            raise ValueError(
                f"{name} takes a tensor of shape [..., {len(weight)}], and got {list(value.shape)}."
            )
        if value.dtype != weight.dtype:
            raise TypeError(f"{name} takes {weight.dtype}, and got {value.dtype}.")

    def leaves(self):
        return [
            p for p in (self.A, self.a, self.C, self.c, self.W, self.b, self.W2) if p is not None
        ]


def toy_numbers(generator, n_pixels, latent_dim, hidden=None) -> dict:
    """Draw the numbers of a Toy; with `hidden`, its decoder is not linear."""
    d, j = n_pixels, latent_dim
    given = {
        "A": uniform(generator, (d, j), -1, 1),
        "a": uniform(generator, (j,), -1, 1),
        "C": uniform(generator, (d, j), -0.4, 0.4),
        "c": uniform(generator, (j,), -0.8, 0.8),
        "W": uniform(generator, (j, hidden or d), -1.5, 1.5),
        "b": uniform(generator, (hidden or d,), -1, 1),
    }
    if hidden:
        given["W2"] = uniform(generator, (hidden, d), -3, 3)
    return given


def exact_kl(mu, logvar) -> torch.Tensor:
    """Return KL( N(mu, exp(logvar)) || N(0, I) ) in nats as torch.distributions has it: [..., J]
    -> [...]."""
    from torch.distributions import Normal, kl_divergence

    q = Normal(mu, (logvar / 2).exp(), validate_args=False)
    return kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(dim=-1)


def exact_likelihood(logits, x) -> torch.Tensor:
    """Return log p(x|z) in nats as torch.distributions has it: [..., D], [..., D] -> [...]."""
    from torch.distributions import Bernoulli

    return Bernoulli(logits=logits, validate_args=False).log_prob(x).sum(dim=-1)


NATS_IN_A_BIT = math.log(2)
