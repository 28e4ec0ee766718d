"""What a check of Tutorial 7 is made of: inputs drawn from a seed, what a function did with them,
and a verdict on that.

The three are apart because grading runs them apart. The student's function runs in a process of
its own (`observe`), which
returns nothing but numbers; a process that never ran a student's code compares them (`judge`).
"""

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

NUMPY = "numpy cuts off the graph, with detach or without: use torch's own functions."
STUB = "NotImplementedError:"  # what the stub raises, without a text; torch's own have one
GENERATOR = "generator may be None: then torch's own random numbers are used."
LIBRARIES = str(Path(__file__).parents[1]), str(Path(torch.__file__).parent)

HINTS = {  # for an error in an answer, by a part of its text
    "call numpy()": NUMPY,
    **{
        f"'NoneType' object has no attribute '{name}'": GENERATOR
        for name in ("device", "manual_seed", "initial_seed", "get_state")
    },
    "only one element tensors can be converted": (
        "Functions of math, and float(), take single numbers: use torch's own. A list of tensors is"
        " joined by torch.stack, not by torch.tensor."
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
            self[f"{name}.type"] = type(value).__name__
            if isinstance(value, (int, float)):
                self[name] = float(value)


@dataclass(frozen=True)
class Task:
    """One task: `draw(generator)` makes inputs, `probe(functions, inputs, seed, record)` calls the
    student's functions on
    copies of them, `verdict(inputs, record)` raises NotYet. `functions` are the names of the
    answer, `label` its title.
    """

    name: str
    label: str
    functions: tuple[str, ...]
    draw: Callable
    probe: Callable
    verdict: Callable

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
                self.probe([functions[name] for name in self.functions], given, seed, record)
            except (Exception, SystemExit) as error:
                record["error"] = f"{type(error).__name__}: {error}"[:500]
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
                after = record[f"{name} afterwards"]
                expect(
                    same(after, value),
                    f"{name} itself was changed: work on a copy. It is still needed as it was.",
                )
        self.verdict(given, record)
        no_error(record)

    def _unanswered(self, error) -> str:
        """The function that an error came from, if a function of this answer called it."""
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        own = set(self.functions) & set(names)
        return names[-1] if own and names[-1] not in own else ""


def seeded(seed: int) -> torch.Generator:
    """Return a generator that starts at `seed`."""
    return torch.Generator().manual_seed(seed)


def expect(condition, message: str) -> None:
    """Raise NotYet(message) unless the condition holds."""
    if not condition:
        raise NotYet(message)


def no_error(record, otherwise: dict[str, str] | None = None) -> None:
    """Raise NotYet if the function raised; `otherwise` gives a hint for an error by a part of its
    text."""
    if error := record.get("error"):
        hints = HINTS | (otherwise or {})
        hint = next((hint for part, hint in hints.items() if part in error), "")
        what = "Your code raised"
        if record.get("raised by") == "check":
            what = "What your code returned cannot be used:"
        raise NotYet(f"{what} {error}" + (f"\n{hint}" if hint else ""))


def _in_answer(error) -> bool:
    """Whether an error came from the code of an answer, not from what a check did with its
    result: one frame of it lies outside of the checks and of the libraries."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(not frame.filename.startswith(LIBRARIES) for frame in frames)


def unless_returned(record, name: str, hints: dict[str, str] | None = None) -> None:
    """Raise NotYet for an error, if nothing was returned under `name` before it."""
    if name not in record and f"{name}.type" not in record:
        no_error(record, hints)


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
        no_error(record)
        kind = record.get(f"{name}.type", "nothing")
        raise NotYet(
            "Nothing was returned: is there a `return`?"
            if kind == "NoneType"
            else f"Expected a tensor, got {kind}."
        )
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
    """Raise NotYet unless value is right. `mistakes` are {hint: what that mistake would return}.

    A hint is given only if it alone explains the numbers: two mistakes that agree here get the
    general hint.
    """
    if near(value, right, rtol, atol):
        return
    right = torch.as_tensor(right)
    close = {"rtol": max(rtol, 2e-4), "atol": max(atol, 2e-4)}
    hints = [
        hint
        for hint, other in mistakes.items()
        if near(value, other, **close) and not near(other, right, rtol=5e-3, atol=5e-3)
    ]
    seen = f"{about}your code gives {numbers(value)}, expected {numbers(right)}."
    expect(
        not torch.as_tensor(value).isnan().any(),
        mistakes_of_nan(mistakes) + f"{seen[0].upper()}{seen[1:]}",
    )
    hint = hints[0] if len(hints) == 1 else otherwise
    raise NotYet(f"{hint}\n{seen[0].upper()}{seen[1:]}")


def mistakes_of_nan(mistakes: dict) -> str:
    """The hint for NaN: the one mistake that would give it, or a general one."""
    hints = [hint for hint, other in mistakes.items() if torch.as_tensor(other).isnan().any()]
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
    # One normal number in 370 lies beyond 3. Of 10,000 none at all: once in 10^11 runs.
    expect(
        noise.numel() < 10_000 or noise.abs().max() > 3,
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
        self.seen.append(x.detach().clone())
        return 2 * torch.tanh(x @ self.A + self.a), x @ self.C + self.c

    def decode(self, z):
        if not isinstance(z, torch.Tensor):
            raise TypeError(
                f"decode takes a tensor z, and got a {type(z).__name__}. (encode returns two: mu"
                " and logvar.)"
            )
        self.codes.append(z.detach().clone())
        hidden = z @ self.W + self.b
        return hidden if self.W2 is None else torch.tanh(hidden) @ self.W2

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
