"""Training: `fit` for every model of the series, and `trained`, which fits once and keeps the result in a cache."""

import hashlib
import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from lecture_utils import data, models, objectives

MODELS = {"ae": models.Autoencoder, "dae": models.DenoisingAutoencoder, "vae": models.VAE}
CACHE_DIR = Path(__file__).resolve().parents[1] / ".cache"
CHECK_EVERY = 50  # steps between two looks at the loss: each look makes a GPU wait


@dataclass
class History:
    """What training recorded: the mean training loss of each epoch in nats, what `on_epoch` returned after each epoch,
    the seconds since the start after each epoch, and whether training was interrupted."""

    loss: list[float] = field(default_factory=list)
    evaluations: list = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False


def best_device() -> torch.device:
    """Return CUDA or MPS when there, the CPU otherwise."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def fit(model: torch.nn.Module, images: torch.Tensor, *, epochs: int = 5, batch_size: int = 256,
        learning_rate: float = 1.2e-2, pixels: str = "binary",
        loss: Callable[..., torch.Tensor] = objectives.negative_elbo, seed: int = 0,
        device: torch.device | str | None = None, on_epoch: Callable | None = None, progress: bool = True) -> History:
    """Train `model` on `images` in place and return the history. The model ends on `device`, in evaluation mode.

    `images` is uint8 [N, D], or float [N, D] in [0, 1]. `pixels` is "binary" (a fresh Bernoulli draw each time an image
    is seen) or "grey" (the intensities themselves). `loss(model, x, generator)` returns nats per example, [B]: this is
    where a beta, another likelihood or the importance-weighted bound enter. `on_epoch(model)` is called after each epoch.
    The optimiser is Adam; the learning rate rises and falls in one cycle (`one_cycle`) with a peak of `learning_rate`,
    adapted to each layer (`layer_rates`). The model starts from the mean image (`set_output_bias`, `center_inputs`).
    Matrix products take bfloat16 factors where that is fast (`mixed_precision`).

    The stop button (KeyboardInterrupt) ends training early: the model stays usable and `history.interrupted` is True.
    Raises ValueError for bad arguments or images, FloatingPointError if the loss stops being finite.
    """
    _check_arguments(images, epochs, batch_size, pixels)
    device = torch.device(device) if device is not None else best_device()
    model.to(device)
    images = images.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    mean_image = _mean_image(images)
    model.set_output_bias(mean_image, len(images))
    model.center_inputs(mean_image)

    steps = -(-len(images) // batch_size)  # per epoch, the last short batch included
    # eps: a pixel that is nearly always off has tiny gradients. With the usual 1e-8 Adam turns them into full steps, its
    # weights run away, and noise at such a pixel throws the code far off (section "Robustness to noise" of notebook 07).
    optimizer = torch.optim.Adam(layer_rates(model, learning_rate), betas=(0.9, 0.99), eps=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, epochs * steps))
    history, start = History(), time.perf_counter()
    bar = tqdm(total=epochs * steps, disable=not progress, leave=False, unit="step")
    try:
        for epoch in range(epochs):
            model.train()
            total = torch.zeros((), device=device)  # summed on the device and detached: nothing waits for it
            for step, rows in enumerate(torch.randperm(len(images), generator=generator, device=device).split(batch_size)):
                x = _prepare(images.index_select(0, rows), pixels, generator)
                with mixed_precision(device):
                    losses = loss(model, x, generator)
                optimizer.zero_grad()
                losses.mean().backward()
                optimizer.step()
                schedule.step()
                total += losses.detach().sum()
                if step % CHECK_EVERY == 0:
                    _report(bar, losses, epoch, step, CHECK_EVERY if step else 1)
            _report(bar, total / len(images), epoch, steps, (steps - 1) % CHECK_EVERY)
            model.eval()
            history.loss.append(total.item() / len(images))
            history.seconds.append(time.perf_counter() - start)
            if on_epoch is not None:
                history.evaluations.append(on_epoch(model))
    except KeyboardInterrupt:
        history.interrupted = True
        print(f"Interrupted after {len(history.loss)} of {epochs} epochs. The model is usable as it is; "
              "run the cell again to train in full.")
    finally:
        bar.close()
        model.eval()
    return history


def mixed_precision(device: torch.device | str) -> torch.autocast:
    """Return a context in which matrix products take bfloat16 factors, if `device` is a processor that multiplies them fast.

    That saves a quarter of a training step; a processor without the instructions would need far longer, and a GPU is not
    kept busy by networks this small: on both, the context changes nothing. Weights, their updates, the loss and the sums
    within a product stay float32 (Micikevicius et al. 2018, "Mixed Precision Training").
    """
    fast = torch.device(device).type == "cpu" and torch.cpu._is_avx512_bf16_supported()  # torch 2.6 has no public name
    return torch.autocast("cpu", torch.bfloat16, enabled=fast)


def layer_rates(model: torch.nn.Module, learning_rate: float) -> list[dict]:
    """Return the parameters by layer for an optimiser, each with its learning rate: that of 400 inputs is `learning_rate`.

    A layer with n inputs starts with weights of size 1/sqrt(n), and Adam moves every weight by about its learning rate.
    Rates in proportion to 1/sqrt(n) therefore change all layers by the same share of themselves.
    """
    layers = [layer for layer in model.modules() if list(layer.parameters(recurse=False))]
    return [{"params": list(layer.parameters(recurse=False)),
             "lr": learning_rate * (400 / getattr(layer, "in_features", 400)) ** 0.5} for layer in layers]


def one_cycle(step: int, n_steps: int) -> float:
    """Return the share of the peak learning rate at `step` of `n_steps`, after Smith and Topin (2018).

    A straight rise in the first tenth of the steps, then a straight fall to 0.
    """
    return min(1.0, 10 * (step + 1) / n_steps, (1 - step / n_steps) / 0.9)


def _check_arguments(images, epochs, batch_size, pixels):
    if pixels not in ("binary", "grey"):
        raise ValueError(f'pixels must be "binary" or "grey", got {pixels!r}.')
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs and batch_size must be at least 1, got {epochs} and {batch_size}.")
    if images.dim() != 2 or len(images) == 0:
        raise ValueError(f"images have shape {list(images.shape)}, expected [N, D] with N > 0. Use images.flatten(1).")
    if images.is_floating_point():
        bad = int((~torch.isfinite(images)).sum())
        if bad:
            raise ValueError(f"The images contain {bad} values that are NaN or infinite. Remove or repair those images.")
        if images.min() < 0 or images.max() > 1:
            raise ValueError("Float images must lie in [0, 1]. Divide intensities 0..255 by 255, or pass them as uint8.")
    elif images.dtype != torch.uint8:
        raise ValueError(f"images are {images.dtype}, expected uint8 (0..255) or float in [0, 1].")


def _mean_image(images, chunk=1000):
    """Mean intensity of each pixel in [0, 1], shape [D]; in chunks that fit the cache, ten times as fast as in one piece."""
    return sum(data.to_grey(part).sum(dim=0) for part in images.split(chunk)) / len(images)


def _prepare(batch, pixels, generator):
    return data.binarize(batch, generator) if pixels == "binary" else data.to_grey(batch)


def _report(bar, losses, epoch, step, advance):
    """Show the mean loss in the progress bar; stop if it is no longer finite."""
    value = losses.mean().item()
    if value != value or value in (float("inf"), float("-inf")):
        raise FloatingPointError(f"The loss became {value} in epoch {epoch + 1}, step {step}. Lower the learning rate, "
                                 "and look for NaN in the images and for a log of 0 in the loss.")
    bar.update(advance)
    bar.set_postfix_str(f"epoch {epoch + 1}, loss {value:.1f} nats")


def trained(model_name: str, images: torch.Tensor, *, epochs: int = 5, batch_size: int = 256,
            learning_rate: float = 1.2e-2, pixels: str = "binary", seed: int = 0,
            **architecture) -> tuple[torch.nn.Module, History]:
    """Return a model fitted to `images` and its history; from the cache if the same was fitted before.

    `images` is uint8 or float [N, D], as in `fit`; `model_name` is "ae", "dae" or "vae"; `architecture` goes to its
    constructor (latent_dim, hidden, noise, ...).
    `seed` fixes both the initial weights and the training. For the cache see `cached`. Interrupted runs are not kept.
    """
    if model_name not in MODELS:
        raise ValueError(f"Unknown model {model_name!r}: choose one of {', '.join(MODELS)}.")
    options = dict(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, pixels=pixels, seed=seed)
    model = MODELS[model_name](**architecture, seed=seed).to(best_device())
    return model, fit_once(model_name, [model], [images, options, architecture], lambda: fit(model, images, **options), History)


def fit_once(name: str, networks: list[torch.nn.Module], depends_on: list, train: Callable[[], Any], record_type: type) -> Any:
    """Call `train`, which trains the networks in place, and return its record; or restore both from the cache.

    Kept is a run that was not interrupted, for the networks' initial weights and what else it depends on: tensors and
    plain values, as in `cached`; of functions from outside the package the source (`inspect.getsource`).
    `record_type` is the dataclass of the record, with a field `interrupted`.
    """
    def compute():
        record = train()
        return {"weights": [network.state_dict() for network in networks], "record": asdict(record)}

    initial = [weights for network in networks for weights in network.state_dict().values()]
    entry = cached(name, initial + depends_on, compute, keep=lambda entry: not entry["record"]["interrupted"])
    for network, weights in zip(networks, entry["weights"]):
        network.load_state_dict(weights)
        network.eval()
    return record_type(**entry["record"])


def cached(name: str, depends_on: list, compute: Callable[[], dict], keep: Callable[[dict], bool] = lambda entry: True) -> dict:
    """Return `compute()`, or what it returned before for the same `depends_on`, code, device and torch version.

    `depends_on` holds tensors and plain values; `compute` returns a dict of tensors, numbers, strings, lists and dicts,
    which is kept if `keep(result)` is true. The cache is the folder in the environment variable ``LECTURE_CACHE``, else
    ``.cache/`` in the repository. A damaged or deleted entry costs only the time to compute it again.
    """
    path = cache_dir() / f"{name}-{_fingerprint(depends_on)}.pt"
    try:
        entry = torch.load(path, map_location="cpu", weights_only=True)
        if keep(entry):  # raises, if the file holds something else
            return entry
    except (FileNotFoundError, NotADirectoryError):
        pass
    except Exception:  # a damaged file can raise nearly anything; computing again overwrites it
        warnings.warn(f"The cache entry {path} is damaged and is made again.")
    entry = compute()
    if keep(entry):
        _save(path, entry)
    return entry


def cache_dir() -> Path:
    """Return the folder of the trained models: ``LECTURE_CACHE``, else ``.cache/`` in the repository."""
    return Path(os.environ.get("LECTURE_CACHE") or CACHE_DIR)


def _fingerprint(depends_on):
    """Hash the code and everything the result depends on."""
    digest = hashlib.sha256(f"{torch.__version__} {best_device()}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        if not re.search("plotting|widgets|cell_order|__init__", source.name):  # none of these changes what was trained
            digest.update(source.read_bytes())
    for part in depends_on:
        digest.update(part.cpu().contiguous().numpy().tobytes() if isinstance(part, torch.Tensor)
                      else json.dumps(part, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def _save(path, entry):
    """Write a cache entry in one atomic step; a full or read-only disk costs a warning, not the result."""
    scratch = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            torch.save(entry, file)
        os.replace(scratch, path)
    except (OSError, RuntimeError) as error:
        warnings.warn(f"The result was not cached in {path.parent} ({error}). It is usable, but will be computed again "
                      "next time. Free some disk space, or set LECTURE_CACHE to a writable folder.")
    finally:
        if scratch is not None:
            Path(scratch).unlink(missing_ok=True)  # still there only if something went wrong
