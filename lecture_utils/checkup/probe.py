"""Run the loss with the encoder's and the decoder's calls intercepted, and record what passes
through them."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from lecture_utils.checkup.ports import (
    CannotExamine,
    find_place,
    kind_of,
    others,
    replaced,
    seed_all,
    take_output,
    take_pair,
)
from lecture_utils.checkup.rows import image_of_rows, in_doubt, lie_together

import torch
from torch import nn


@dataclass
class Trace:
    """What one run of the loss showed: the loss, the encoder's pair, the decoder's code and its
    output."""

    loss: torch.Tensor | None = None
    mu: torch.Tensor | None = None
    second: torch.Tensor | None = None
    z: torch.Tensor | None = None
    output: torch.Tensor | None = None
    others: list = field(default_factory=list)  # tensors that the encoder returned beside the pair
    encoder_calls: int = 0
    decoder_calls: int = 0
    batches: list = field(default_factory=list)  # what the encoder was given, call by call
    noise: list = field(default_factory=list)  # (mu, second, z) of each call of the decoder
    given: list = field(default_factory=list)  # the tensors that the decoder was given, by call
    encoder_arguments: list = field(default_factory=list)
    decoder_arguments: tuple = ()
    precision: torch.autocast | None = None  # in which encoder and decoder were called


class Probe:
    """The adapter: where the loss calls encoder and decoder, and what it is. Raises CannotExamine
    if the places are wrong."""

    def __init__(self, model, loss: Callable, x: torch.Tensor, encode, decode, fields):
        self.model, self.loss, self.x, self.fields = model, loss, x, fields
        two = (
            isinstance(encode, (tuple, list))
            and len(encode) == 2
            and all(isinstance(one, (str, nn.Module)) for one in encode)
            and not isinstance(encode[0], type(nn))
        )
        self.encode = [find_place(model, one) for one in (encode if two else [encode])]
        self.decode = find_place(model, decode)
        self.original_encode = [getattr(place.owner, place.name) for place in self.encode]
        self.original_decode = getattr(self.decode.owner, self.decode.name)
        self.n_pixels = x.shape[1:].numel()
        self.call, self.argument = 1, 0  # which call of decode gets z, as which tensor: `find_code`
        self.together = None  # whether the codes of an image lie together: `learn_order`
        self._pairs, self._outputs = {}, {}  # what they returned for a batch of this size

    def train(self, mode: bool) -> None:
        """Switch the model to training or evaluation mode."""
        if isinstance(self.model, nn.Module):
            self.model.train(mode)

    def run(self, x, *, plant=None, output=None, shift=None, seed=None, function=None) -> Trace:
        """Run the loss (or another `function`) on x and record.

        `plant` = (mu, second) replaces what the encoder returned, `output` what the decoder
        returned (it is then not run); `shift` makes another pair of the natural one and of the
        encoder's input. Gradients can be taken with respect to all that is planted.
        """
        trace = Trace()
        if seed is not None:
            seed_all(seed)
        with contextlib.ExitStack() as stack:
            for index, place in enumerate(self.encode):
                stack.enter_context(replaced(place, self._encoder(trace, index, plant, shift)))
            stack.enter_context(replaced(self.decode, self._decoder(trace, output)))
            result = (function or self.loss)(x)
        if trace.decoder_calls and trace.z is None and function is None:
            raise CannotExamine(
                "The loss decodes another number of times in evaluation than in training mode. "
                "Hand in a loss that decodes as often in both."
            )
        trace.loss = result if function else _scalar(result)
        return trace

    def find_code(self, x: torch.Tensor, natural: Trace) -> bool:
        """Find the call of the decoder that gets the code, and the argument that is the code: the
        first that moves with mu. Return whether it is another than the first of the first call.

        Prior samples may be decoded first, and a label may stand before the code.
        """
        if natural.decoder_calls == 1 and len(natural.given[0]) == 1:
            return False
        mu, second = natural.mu.detach(), natural.second.detach()
        with torch.random.fork_rng(devices=[]):
            runs = [self.run(x, plant=(mu + by, second), seed=0).given for by in (0, 0, 1)]
        for call, given in enumerate(zip(*runs), 1):
            for argument, (one, again, other) in enumerate(zip(*given)):
                still = torch.equal(one, again)  # else it moves by itself: a generator of its own
                if one.shape == other.shape and still and not torch.equal(one, other):
                    self.call, self.argument = call, argument
                    return (call, argument) != (1, 0)
        return False

    def learn_order(self, x: torch.Tensor, natural: Trace) -> None:
        """Find out how the codes of an image lie in z, for `image_of_rows`.

        The means of a model that has learned nothing are so alike that the noise may hide whose
        code is whose. Where it matters, every other mean is therefore moved away, farther than any
        noise reaches.
        """
        z, mu = natural.z, natural.mu.detach()
        if in_doubt(z, mu):
            far = torch.zeros_like(mu)
            far[1::2] = 100 * (1 + z.detach().abs().max())
            plant = mu + far, natural.second.detach()
            z, mu = self.run(x, plant=plant, output=natural.output.detach()).z, plant[0]
        self.together = lie_together(z, mu)

    def image_of_rows(self, trace: Trace) -> torch.Tensor | None:
        """Return the image of each code that the decoder was given in a run of the loss, [L B]."""
        return image_of_rows(trace.z, trace.mu, self.together)

    def _encoder(self, trace, index, plant, shift):
        def call(original, *args, **kwargs):
            trace.encoder_calls += index == 0
            if index == 0:
                trace.batches.append(first_tensor(args, kwargs))
            trace.encoder_arguments.append((index, args, kwargs))
            trace.precision = precision_here()
            result = self._remembered(self._pairs, index, plant is not None, original, args, kwargs)
            if len(self.encode) == 2:
                name = ("mu", "second")[index]
                value = result if plant is None else plant[index]
                if shift is not None:
                    value = shift(result, result, trace.batches[-1])[index]
                setattr(trace, name, value)
                return value
            pair = take_pair(result, self.fields)
            trace.others = others(result, pair)
            trace.mu, trace.second = (pair.mu, pair.second) if plant is None else plant
            if shift is not None:
                trace.mu, trace.second = shift(pair.mu, pair.second, trace.batches[-1])
            changed = plant is not None or shift is not None
            return pair.rebuild(trace.mu, trace.second) if changed else result

        return call

    def _decoder(self, trace, output):
        def call(original, *args, **kwargs):
            given = tensors(args, kwargs)
            z = given[min(self.argument, len(given) - 1)]
            trace.given.append(given)
            trace.noise.append((trace.mu, trace.second, z))
            trace.decoder_calls += 1
            examined = trace.decoder_calls == self.call
            if examined:
                trace.z, trace.decoder_arguments = z, (args, kwargs)
            result = self._remembered(self._outputs, 0, output is not None, original, args, kwargs)
            found = take_output(result, self.n_pixels)
            if examined:
                trace.output = found.value if output is None else output
            planted = output is not None and (examined or found.value.shape == output.shape)
            return found.rebuild(output) if planted else result

        return call

    @staticmethod
    def _remembered(memory, index, planted, original, args, kwargs):
        """What is replaced need not be computed each time: its shape is that of the last batch of
        this size."""
        key = index, tuple(first_tensor(args, kwargs).shape)
        if not planted or key not in memory:
            # What is kept must hold no graph: the first gradient that is taken would use it up.
            with torch.set_grad_enabled(torch.is_grad_enabled() and not planted):
                result = original(*args, **kwargs)
            if planted:
                memory[key] = result
            return result
        return memory[key]

    def call_encoder(self, trace: Trace, factor: float, leaves: list | None = None):
        """Return mu and the second number for the inputs of a trace, multiplied by a factor. To a
        list of `leaves` the floating inputs are added, and the gradient leads back to them."""
        values = []
        for index, args, kwargs in trace.encoder_arguments[: len(self.encode)]:
            args, kwargs = (
                _scaled(args, factor, leaves),
                {key: _scaled((v,), factor, leaves)[0] for key, v in kwargs.items()},
            )
            with trace.precision:
                values.append(self.original_encode[index](*args, **kwargs))
        if len(values) == 2:
            return values
        pair = take_pair(values[0], self.fields)
        return pair.mu, pair.second

    def call_decoder(self, trace: Trace, change: Callable):
        """Return the decoder's output when its code is changed."""
        args, kwargs = trace.decoder_arguments
        given = dict(enumerate(args)) | kwargs
        keys = [key for key, value in given.items() if isinstance(value, torch.Tensor)]
        key = keys[self.argument]
        given[key] = change(given[key])
        args = [given[index] for index in range(len(args))]
        kwargs = {name: given[name] for name in kwargs}
        with trace.precision:
            return take_output(self.original_decode(*args, **kwargs), self.n_pixels).value


def precision_here() -> torch.autocast:
    """Return a context in which calls run in the precision (autocast or none) of this moment."""
    return torch.autocast(
        "cpu", torch.get_autocast_dtype("cpu"), enabled=torch.is_autocast_enabled("cpu")
    )


def tensors(args, kwargs):
    """Return the tensors among the arguments of a call. Raises CannotExamine if there is none."""
    found = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
    if not found:
        raise CannotExamine("A call that was to be intercepted got no tensor.")
    return found


def first_tensor(args, kwargs):
    """Return the first tensor among the arguments of a call."""
    return tensors(args, kwargs)[0]


def sharp(x: torch.Tensor) -> torch.Tensor:
    """Round grey pixels in [0, 1], so that a loss that draws binary ones has nothing to draw."""
    return x.round() if x.min() >= 0 and x.max() <= 1 else x


def _scaled(values, factor, leaves):
    """Multiply the floating tensors among the values; they are added to a list of `leaves`."""

    def scaled(v):
        v = v * factor
        if leaves is None:
            return v
        leaves.append(v.detach().requires_grad_())
        return leaves[-1].clone()  # a clone may be changed in place, as some layers do

    return [
        scaled(v) if isinstance(v, torch.Tensor) and v.is_floating_point() else v for v in values
    ]


def _scalar(result):
    if isinstance(result, torch.Tensor) and result.dim() <= 1 and result.is_floating_point():
        return result if result.dim() == 0 else result.mean()
    raise CannotExamine(
        f"loss(x) returned {kind_of(result)}: it must return the number that is minimised, as a "
        'tensor. For example loss=lambda x: model.loss(x)["loss"].'
    )
