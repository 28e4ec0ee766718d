"""Training: one loop and one record for all models; `fit` for AE, DAE and VAE; `trained`,
cached."""

import inspect
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from lecture_utils import bounds, data
from lecture_utils.cache import cached

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

# torch's own optimisers import its compiler (`_Adam` does not), and with it Triton, which compiles
# for GPUs alone: 85 MB in every kernel that builds one. Without a GPU torch is told that
# Triton is not installed.
if not torch.accelerator.is_available():
    sys.modules.setdefault("triton", None)

LOOK_EVERY = 50  # steps between two looks at the loss: each look makes a GPU wait


@dataclass
class History:
    """What training recorded.

    `losses` holds by name the mean of each loss over each epoch (GAN and diffusion: over 50 steps),
    `evaluations` what `on_epoch` returned, `seconds` the time since the start at each of these
    records, and `interrupted` whether the stop button ended the training.
    """

    losses: dict[str, list[float]]
    evaluations: list = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def loss(self) -> list[float]:
        """The one loss, where there is only one; nothing yet, if no epoch has ended."""
        (only,) = self.losses.values() or [[]]
        return only


def best_device() -> torch.device:
    """Return CUDA or MPS when there, the CPU otherwise."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def generators(seed: int, device: torch.device) -> list[torch.Generator]:
    """Return three independent generators, of order, pixels and noise, on `device`."""
    seeds = np.random.SeedSequence(seed).generate_state(3)
    return [torch.Generator(device).manual_seed(int(each)) for each in seeds]


def endless_rows(n: int, batch_size: int, order: torch.Generator) -> Iterator[torch.Tensor]:
    """Yield batches of row numbers below n for ever, in a new order in every epoch, int64 [B]."""
    while True:
        yield from torch.randperm(n, generator=order, device=order.device).split(batch_size)


def _batches(images, batch_size, pixels, order, draws):
    """Yield batches of pixels, float32 [B, D], for ever."""
    for rows in endless_rows(len(images), batch_size, order):
        batch = images.index_select(0, rows)
        yield data.binarize(batch, draws) if pixels == "binary" else data.to_grey(batch)


class _Adam(torch.optim.Adam):
    """torch's Adam, three methods without the wrappers that serve torch's compiler.

    The first optimiser that is built would import it: two seconds and 80 MB in a kernel. The
    wrapper of `step` also switches gradients off; here `no_grad` does.
    """

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)


def adam_by_layer(model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """Return `fit`'s optimiser: Adam, with a learning rate for each layer (`layer_rates`)."""
    # eps: a pixel that is nearly always off has tiny gradients. With the usual 1e-8 Adam turns them
    # into full steps, its weights run away, and noise at such a pixel throws the code far off.
    # beta_2 = 0.99: the average of the squared gradients must follow a learning rate that rises and
    # falls within a few hundred steps.
    groups = layer_rates(model, learning_rate)
    return _Adam(groups, betas=(0.9, 0.99), eps=1e-4, fused=True)


def layer_rates(model: nn.Module, learning_rate: float) -> list[dict]:
    """Return the parameters by layer, each with its learning rate: that of 400 inputs is the given.

    A layer with n inputs starts with weights of size 1/sqrt(n), and Adam moves every weight by
    about its learning rate. Rates in proportion to 1/sqrt(n) therefore change all layers by the
    same share of themselves.
    """
    layers = [layer for layer in model.modules() if list(layer.parameters(recurse=False))]
    return [
        {
            "params": list(layer.parameters(recurse=False)),
            "lr": learning_rate * (400 / getattr(layer, "in_features", 400)) ** 0.5,
        }
        for layer in layers
    ]


def one_cycle(step: int, n_steps: int) -> float:
    """Return the share of the peak learning rate at `step` of `n_steps` (Smith and Topin 2018).

    A straight rise in the first tenth of the steps, then a straight fall to 0.
    """
    return min(1.0, 10 * (step + 1) / n_steps, (1 - step / n_steps) / 0.9)


def updater(
    optimizer: torch.optim.Optimizer, n_steps: int, schedule: Callable[[int, int], float]
) -> Callable[[torch.Tensor], None]:
    """Return a function that does one step on a loss: gradient, weights, learning rate."""
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, n_steps))

    def update(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()

    return update


def mixed_precision(device: torch.device | str) -> torch.autocast:
    """Return a context in which linear layers compute in bfloat16, if `device` is fast at that.

    That saves about a fifth of a training step on a processor with AVX512-BF16 or AMX instructions;
    one without them would need far longer, and a GPU is not kept busy by networks this small: on
    both the context changes nothing. Factors and results of a layer have bfloat16's 8 significant
    bits, the gradients of its weights too; the sums inside, the weights, their updates and the loss
    stay float32 (Micikevicius et al. 2018, "Mixed Precision Training"). The environment variable
    ``LECTURE_PRECISION=float32`` switches it off, for the same numbers on more machines;
    ``LECTURE_PRECISION=bfloat16`` switches it on wherever training runs on the CPU, to see what the
    rounding changes: about eight times slower where the processor has no such instructions. Raises
    ValueError for another word there than these and "auto".
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=_is_mixed(torch.device(device)))


def _is_mixed(device):
    chosen = os.environ.get("LECTURE_PRECISION", "auto")
    if chosen not in ("auto", "float32", "bfloat16"):
        raise ValueError(
            f'LECTURE_PRECISION is {chosen!r}: set it to "float32", "bfloat16" or "auto".'
        )
    if chosen == "float32" or device.type != "cpu":
        return False
    # torch 2.6 has no public name for this question
    return chosen == "bfloat16" or torch.cpu._is_avx512_bf16_supported()


def fit(
    model: nn.Module,
    images: torch.Tensor,
    *,
    epochs: int = 5,
    batch_size: int = 256,
    learning_rate: float = 1.2e-2,
    pixels: str = "binary",
    loss: Callable[..., torch.Tensor] = bounds.negative_elbo,
    optimizer: Callable = adam_by_layer,
    schedule: Callable[[int, int], float] = one_cycle,
    seed: int = 0,
    device: torch.device | str | None = None,
    on_epoch: Callable | None = None,
    progress: bool = True,
) -> History:
    """Train `model` on `images` in place and return the history; it ends in evaluation mode.

    `images` is uint8 [N, D], or float [N, D] in [0, 1]. `pixels` is "binary" (a fresh Bernoulli
    draw each time an image is seen) or "grey" (the intensities). `loss(model, x, generator)`
    returns nats per example, [B]: this is where a beta or the importance-weighted bound enter.
    `optimizer(model, learning_rate)` returns a torch optimiser, `schedule(step, n_steps)` the share
    of the peak learning rate. `on_epoch(model)` is called after each epoch.

    Training starts from the model as it is: call `initialise` once before the first `fit`. A second
    call goes on where the first ended, with a new optimiser and a new cycle of the learning rate;
    give it another `seed`, or it sees the same batches again. Order, pixels and the loss's noise
    have generators of their own: two models trained with one seed see the same batches to the last
    pixel, whatever noise their losses draw.

    The stop button (KeyboardInterrupt) ends training early: the model stays usable, and
    `history.interrupted` is True. Raises ValueError for bad arguments or images,
    FloatingPointError if the loss stops being finite.
    """
    _check_arguments(images, epochs, batch_size, learning_rate, pixels)
    device = torch.device(device) if device is not None else best_device()
    model.to(device).train()
    order, draws, noise = generators(seed, device)
    batches = _batches(images.to(device), batch_size, pixels, order, draws)
    steps = math.ceil(len(images) / batch_size)  # an epoch; the last short batch included
    update = updater(optimizer(model, learning_rate), epochs * steps, schedule)

    def step():
        x = next(batches)
        with mixed_precision(device):
            losses = loss(model, x, noise)
        update(losses.mean())
        return {"loss": losses}

    def after_epoch():
        model.eval()
        result = on_epoch(model)
        model.train()
        return result

    history = training_loop(
        step, epochs * steps, steps, on_record=on_epoch and after_epoch, progress=progress
    )
    model.eval()
    return history


def training_loop(
    step: Callable[[], dict[str, torch.Tensor]],
    n_steps: int,
    record_every: int,
    *,
    on_record: Callable | None = None,
    progress: bool = True,
) -> History:
    """Call `step()` n_steps times and record the mean of its losses after every `record_every`.

    `step()` trains on one batch and returns its losses per example, {name: [B]}. They are summed on
    the device and read only at records and every 50 steps, for the progress bar. The mean is over
    examples, so a short last batch counts for as many as it has. `on_record()` may return a value
    for the record. The stop button ends the loop, and the history so far is returned.
    Raises FloatingPointError if a loss is not finite.
    """
    history, start = History({}), time.perf_counter()
    bar = tqdm(total=n_steps, disable=not progress, leave=False, unit="step")
    total, count, done = None, 0, 0
    try:
        while done < n_steps:
            with torch.enable_grad():  # also under a caller's no_grad
                losses = step()
            done += 1
            sums = torch.stack([values.detach().sum() for values in losses.values()])
            batch = len(next(iter(losses.values())))
            total, count = (sums if total is None else total + sums), count + batch
            at_record = done % record_every == 0 or done == n_steps
            if at_record:
                means = _look(bar, losses, total / count, done)
                for name, mean in means.items():
                    history.losses.setdefault(name, []).append(mean)
                history.seconds.append(time.perf_counter() - start)
                total, count = None, 0
                if on_record is not None:
                    history.evaluations.append(on_record())
            elif done % LOOK_EVERY == 0 or done == 1:
                _look(bar, losses, sums / batch, done)
    except KeyboardInterrupt:
        history.interrupted = True
        print(
            f"Interrupted after {done} of {n_steps} steps. The model is usable as it is. To train "
            "in full, build it anew and train again; another call with this model goes on from "
            "here, with a new cycle of the learning rate."
        )
    finally:
        bar.close()
    return history


def _look(bar, losses, means, done):
    """Read the mean losses, show them in the bar, and stop if one is not finite."""
    means = dict(zip(losses, means.tolist()))
    for name, mean in means.items():
        if not math.isfinite(mean):
            raise FloatingPointError(
                f"The {name} became {mean} by step {done}. Lower the learning rate, and look for "
                "NaN in the data and for a log of 0 in the loss."
            )
    bar.update(done - bar.n)
    bar.set_postfix_str(", ".join(f"{name} {mean:.2f}" for name, mean in means.items()))
    return means


def initialise(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """Let an untrained model start from the mean image, and return it.

    The output bias becomes the mean image's log-odds (`set_output_bias`), and the encoder subtracts
    the mean image (`center_inputs`). `images` is uint8 [N, D], or float [N, D] in [0, 1].
    Raises ValueError for bad images, RuntimeError for a model that was initialised before: a second
    time would undo what training has made of it.
    """
    _check_images(images)
    if model.mean_image.any():
        raise RuntimeError(
            "This model was initialised before, and training has gone on from there. To go on, "
            "call fit alone; to begin again, build a new model."
        )
    # In parts that fit the processor's cache: ten times as fast as in one piece.
    mean = sum(data.to_grey(part).sum(dim=0) for part in images.split(1000)) / len(images)
    mean = mean.to(model.mean_image.device)
    model.set_output_bias(mean, len(images))
    model.center_inputs(mean)
    return model


def trained(
    model: nn.Module, *tensors: torch.Tensor, fit: Callable[..., History] = fit, **options
) -> tuple[nn.Module, History]:
    """Return the model after `fit(model, *tensors, **options)`, and the history; fitted only once.

    `tensors` are what `fit` takes after the model, such as images [N, D] and labels [N].
    The same training is restored from the cache (`cache.cached`): the same initial weights, data,
    options and code, on the same kind of device, with the same precision. `fit` is any function
    that trains a model in place and returns a History. An interrupted run is not kept. Weights and
    buffers come back, other attributes that training changes do not.
    Raises what `fit` raises, and TypeError if the code depends on what cannot be compared.
    """

    def compute():
        history = fit(model, *tensors, **options)
        return {"weights": model.state_dict(), "history": asdict(history)}

    device = torch.device(options.get("device") or best_device())
    compared = {name: value for name, value in options.items() if name != "progress"}
    depends_on = [model, fit, list(tensors), compared, str(device), _is_mixed(torch.device("cpu"))]
    name = type(model).__name__.lower()
    entry = cached(name, depends_on, compute, lambda entry: not entry["history"]["interrupted"])
    model.load_state_dict(entry["weights"])
    return model.to(device).eval(), History(**entry["history"])


def fit_classifier(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int = 2,
    batch_size: int = 256,
    learning_rate: float = 5e-3,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> History:
    """Train a classifier, grey pixels [B, D] -> logits [B, C], in place on images and labels [N].

    Adam on the cross-entropy in nats, the learning rate in one cycle. `images` is uint8 [N, D] or
    float in [0, 1], `labels` int64 [N]. Raises ValueError for bad arguments, FloatingPointError if
    the loss stops being finite.
    """
    _check_arguments(images, epochs, batch_size, learning_rate, "grey")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{len(images)} images have labels of shape {list(labels.shape)}.")
    device = torch.device(device) if device is not None else best_device()
    model.to(device).train()
    images, labels = images.to(device), labels.to(device)
    order = generators(seed, device)[0]
    rows = endless_rows(len(images), batch_size, order)
    steps = epochs * math.ceil(len(images) / batch_size)
    adam = _Adam(model.parameters(), lr=learning_rate, fused=True)
    update = updater(adam, steps, one_cycle)

    def step():
        batch = next(rows)
        logits = model(data.to_grey(images[batch]))
        losses = nn.functional.cross_entropy(logits, labels[batch], reduction="none")
        update(losses.mean())
        return {"cross-entropy": losses}

    history = training_loop(step, steps, steps // epochs, progress=progress)
    model.eval()
    return history


def _check_arguments(images, epochs, batch_size, learning_rate, pixels):
    if pixels not in ("binary", "grey"):
        raise ValueError(f'pixels must be "binary" or "grey", got {pixels!r}.')
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            f"epochs and batch_size must be at least 1, got {epochs} and {batch_size}."
        )
    if not 0 <= learning_rate < math.inf:
        raise ValueError(f"learning_rate must be at least 0 and finite, got {learning_rate}.")
    _check_images(images)


def _check_images(images):
    if not isinstance(images, torch.Tensor):
        raise ValueError(
            f"images are a {type(images).__name__}, expected a tensor: use "
            "torch.from_numpy(images)."
        )
    if images.dim() != 2 or len(images) == 0:
        raise ValueError(
            f"images have shape {list(images.shape)}, expected [N, D] with N > 0. "
            "Use images.flatten(1)."
        )
    if images.is_floating_point():
        bad = int((~torch.isfinite(images)).sum())
        if bad:
            raise ValueError(
                f"The images contain {bad} values that are NaN or infinite. "
                "Remove or repair those images."
            )
        if images.min() < 0 or images.max() > 1:
            raise ValueError(
                "Float images must lie in [0, 1]. Divide intensities 0..255 by 255, or pass them "
                "as uint8."
            )
    elif images.dtype != torch.uint8:
        raise ValueError(f"images are {images.dtype}, expected uint8 (0..255) or float in [0, 1].")
