"""Reach into somebody else's VAE: replace the calls of its encoder and decoder, and leave all as it
was.

A *place* says where a call stands: the name of a method or of a layer of the model ("encode",
"net.decoder"), or a pair (owner, name) for a function that lives elsewhere, in a module for
example.
"""

import contextlib
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.distributions import Bernoulli, Distribution, Independent, Normal


class CannotExamine(ValueError):
    """The adapter does not fit the code; the message names the fix."""


class Place(NamedTuple):
    """The attribute `name` of `owner`, which is called."""

    owner: Any
    name: str


def find_place(model, where) -> Place:
    """Return the place of a call: a layer (its `forward`), a method, or (owner, name). Raises
    CannotExamine."""
    if isinstance(where, nn.Module):
        return Place(where, "forward")
    if isinstance(where, tuple):
        return _checked(Place(*where), where)
    owner, target, name = None, model, ""
    for name in where.split("."):
        owner, target = target, _step(target, name)
    if isinstance(target, nn.Module):
        return Place(target, "forward")
    return _checked(Place(owner, name), where)


def _step(owner, name):
    """Return the attribute of this name, or the layer of this number; None if there is none."""
    if isinstance(owner, (list, tuple)) and name.isdigit():
        return owner[int(name)] if int(name) < len(owner) else None
    return getattr(owner, name, None)  # layers of a Sequential go by their numbers, too


def _checked(place, where):
    if not callable(getattr(place.owner, place.name, None)):
        raise CannotExamine(
            f"{where!r} is not a method, a layer or a function of the model. Name the call that "
            'the loss makes, for example encode="encode" and decode="decode", or '
            'encode=("fc_mu", "fc_logvar") for two layers.'
        )
    return place


@contextlib.contextmanager
def replaced(place: Place, wrapper: Callable):
    """Within the context, a call of `place` calls `wrapper(original, *args, **kwargs)`."""
    original = getattr(place.owner, place.name)
    own = vars(place.owner).get(place.name)

    def call(*args, **kwargs):
        return wrapper(original, *args, **kwargs)

    # Beside nn.Module's own __setattr__: a function may stand under the name of nothing else.
    vars(place.owner)[place.name] = call
    try:
        yield
    finally:
        if own is None:
            del vars(place.owner)[place.name]
        else:
            vars(place.owner)[place.name] = own


@contextlib.contextmanager
def planted_values_allowed():
    """Let torch.distributions take any parameters: planted numbers can make a sigma 0 or inf."""
    validated = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        torch.distributions.Distribution.set_default_validate_args(validated)


@contextlib.contextmanager
def left_as_it_was(model, *functions):
    """Restore weights, buffers, modes, plain attributes, random states, and generators that the
    functions hold."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    tensors = [
        (t, t.detach().clone())
        for m in modules
        for t in (*m._parameters.values(), *m._buffers.values())
        if t is not None
    ]
    attributes = [(m, dict(vars(m)), dict(m._buffers)) for m in modules]
    gradients = [
        (p, p.grad, None if p.grad is None else p.grad.clone())
        for m in modules
        for p in m.parameters(False)
    ]
    generators = [(g, g.get_state()) for g in _generators(modules, functions)]
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            for generator, state in generators:
                generator.set_state(state)
            for module, values, buffers in attributes:
                module._buffers.update(buffers)
                vars(module).clear()
                vars(module).update(values)
            with torch.no_grad():
                for tensor, value in tensors:
                    if not _same(tensor, value):
                        tensor.copy_(value)
            for parameter, gradient, value in gradients:
                parameter.grad = gradient
                if gradient is not None:
                    gradient.copy_(value)


def _same(a, b):
    return torch.equal(a.detach().nan_to_num(), b.nan_to_num()) and torch.equal(
        a.isnan(), b.isnan()
    )


def _generators(modules, functions):
    """Generators that are attributes of the model, cells of a closure, or globals that a function
    names."""
    found = [value for module in modules for value in vars(module).values()]
    for function in functions:
        code = getattr(function, "__code__", None)
        found += [
            cell.cell_contents
            for cell in (getattr(function, "__closure__", None) or ())
            if _filled(cell)
        ]
        found += [function.__globals__.get(name) for name in (code.co_names if code else ())]
        found += list(getattr(function, "__defaults__", None) or ())
    return {id(g): g for g in found if isinstance(g, torch.Generator)}.values()


def _filled(cell):
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def seed_all(seed: int) -> None:
    """Seed the global generators of torch, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


class Pair(NamedTuple):
    """What an encoder returned: mu, the second number, and how to return others in their stead."""

    mu: torch.Tensor
    second: torch.Tensor
    rebuild: Callable


def kind_of(value) -> str:
    """Return in words what a value is that should have been a number."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return f"a {type(value).__name__}"


def one_tensor(value, what: str) -> torch.Tensor:
    """Return a value that must be a tensor. Raises CannotExamine, which says `what` it is."""
    if isinstance(value, torch.Tensor):
        return value
    raise CannotExamine(f"{what} returned the type {type(value).__name__}: one tensor is needed.")


def take_pair(output, fields) -> Pair:
    """Find mu and the second number in what an encoder returned. Raises CannotExamine if it is not
    clear."""
    if isinstance(output, Distribution):
        return _pair_of_distribution(output)
    if isinstance(output, torch.Tensor):
        if output.dim() < 2 or output.shape[1] % 2:
            raise CannotExamine(
                f"encode returned one tensor of shape {list(output.shape)}: mu and the second "
                f"number cannot be its two halves: {NAME_THE_LAYERS}"
            )
        return Pair(*output.chunk(2, 1), lambda mu, second: torch.cat([mu, second], 1))
    if fields is not None and len(fields) != 2:
        raise CannotExamine(f"fields={fields!r} must name two: mu and the second number.")
    first, second = fields or (0, 1)
    _require_fields(output, fields)

    def rebuild(mu, other):
        values = {first: mu, second: other}
        if isinstance(output, dict):
            copy = type(output)(output)
            for key, value in values.items():
                copy[key] = value
            return copy
        n = len(output)
        parts = [values.get(i, values.get(i - n, part)) for i, part in enumerate(output)]
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)

    return Pair(output[first], output[second], rebuild)


def others(output, pair: Pair) -> list[torch.Tensor]:
    """Return the tensors that an encoder returned beside the pair."""
    values = output.values() if isinstance(output, dict) else output
    if not isinstance(output, (dict, tuple, list)):
        return []
    return [
        value
        for value in values
        if isinstance(value, torch.Tensor) and value is not pair.mu and value is not pair.second
    ]


NAME_THE_LAYERS = 'name the two layers, encode=("fc_mu", "fc_logvar").'


def _require_fields(output, fields):
    """Raise CannotExamine where mu and the second number cannot be taken out of the output."""
    if isinstance(output, dict):
        keys = ", ".join(map(repr, output))
        said = f"encode returned a dict with the keys {keys}"
        if fields is None:
            raise CannotExamine(f'{said}: name those of the pair, fields=("mu", "logvar").')
        missing = [field for field in fields if field not in output]
    elif isinstance(output, (tuple, list)):
        said = f"encode returned {len(output)} values"
        if fields is None and len(output) != 2:
            raise CannotExamine(
                f"{said}. Say which are mu and the second number, fields=(0, 1); if z is among "
                f"them, {NAME_THE_LAYERS}"
            )
        numbers = range(-len(output), len(output))
        missing = [field for field in fields or () if field not in numbers]
    else:
        kind = type(output).__name__
        raise CannotExamine(f"encode returned no pair, but the type {kind}: {NAME_THE_LAYERS}")
    if missing:
        raise CannotExamine(f"{said}; fields names {missing[0]!r}, which is not among them.")
    taken = [output[field] for field in fields or (0, 1)]
    if not all(isinstance(value, torch.Tensor) for value in taken):
        kinds = " and ".join(type(value).__name__ for value in taken)
        raise CannotExamine(f"{said}; mu and the second number must be tensors, not {kinds}.")


def _pair_of_distribution(output):
    inner, wrap = (
        (output.base_dist, output.reinterpreted_batch_ndims)
        if isinstance(output, Independent)
        else (output, None)
    )
    if not isinstance(inner, Normal):
        raise CannotExamine(
            f"encode returned a {type(inner).__name__}: only a Normal can be examined."
        )

    def rebuild(mu, sigma):
        normal = Normal(mu, sigma, validate_args=False)
        return normal if wrap is None else Independent(normal, wrap, validate_args=False)

    return Pair(inner.loc, inner.scale, rebuild)


class Output(NamedTuple):
    """What a decoder returned: the tensor with one value a pixel, and how to return another in its
    stead."""

    value: torch.Tensor
    rebuild: Callable


def take_output(output, n_pixels: int) -> Output:
    """Find the tensor that has a value for each of the n pixels of an image. Raises CannotExamine
    if there is none."""
    if isinstance(output, Independent):
        inner = take_output(output.base_dist, n_pixels)
        depth = output.reinterpreted_batch_ndims
        return Output(
            inner.value, lambda new: Independent(inner.rebuild(new), depth, validate_args=False)
        )
    if isinstance(output, Bernoulli):
        return Output(output.logits, lambda new: Bernoulli(logits=new, validate_args=False))
    if isinstance(output, Normal):
        return Output(output.loc, lambda new: Normal(new, output.scale, validate_args=False))
    if isinstance(output, torch.Tensor):
        if (
            output.dim() > 1
            and output.shape[1:].numel() % n_pixels
            and n_pixels != output.shape[-1]
        ):
            raise CannotExamine(
                f"decode returned {list(output.shape)}, but an image has {n_pixels} values."
            )
        return Output(output, lambda new: new)
    numbered = range(len(output)) if isinstance(output, (tuple, list)) else ()
    for key in output if isinstance(output, dict) else numbered:
        if (
            isinstance(output[key], torch.Tensor)
            and output[key].dim() > 1
            and output[key].shape[1:].numel() == n_pixels
        ):

            def rebuild(new, key=key):
                if isinstance(output, dict):
                    copy = type(output)(output)
                    copy[key] = new
                    return copy
                parts = [new if index == key else part for index, part in enumerate(output)]
                return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)

            return Output(output[key], rebuild)
    raise CannotExamine(
        f"decode returned no tensor with {n_pixels} values an image, but the type "
        f"{type(output).__name__}. Name the call whose result the loss compares with x."
    )
