"""Trained weights that come with the package (`restored`), and two models that have them.

The two have the architecture of Burda et al. (2015), table 1, one stochastic layer, and
`make bench-published` trained them. Their training is not that of the paper: another schedule,
another estimator of the gradient, other initial weights, products in bfloat16, and schedules chosen
after test curves had been seen (benchmarks/train_published.py). Notebook 08 says so where the
numbers stand.
"""

import contextlib
import json
from pathlib import Path

from lecture_utils import models

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

NAMES = ("vae", "iwae")
FOLDER = Path(__file__).resolve().parent / "weights"


def build() -> models.VAE:
    """Return the architecture of Burda et al. (2015), section 5, untrained: 784-200-200-50 with
    tanh units."""
    return models.VAE(latent_dim=50, hidden=(200, 200), activation=nn.Tanh)


def load(name: str) -> tuple[models.VAE, dict]:
    """Return a trained model, on the CPU and in evaluation mode, and the record of its training.

    `name` is "vae" (trained on the ELBO) or "iwae" (on the importance-weighted bound with k = 5).
    The record, a JSON file beside the weights, holds epochs, time, curves in nats, and the estimate
    with 5000 samples. Raises ValueError for another name, OSError for a missing or damaged file.
    """
    if name not in NAMES:
        raise ValueError(f"Unknown model {name!r}: choose one of {', '.join(NAMES)}.")
    command = "make bench-published"
    model = restored(build(), name, command)
    with _undamaged(FOLDER / f"{name}.json", command) as file:
        return model, json.loads(file.read_text(encoding="utf-8"))


def restored(model: nn.Module, name: str, command: str) -> nn.Module:
    """Give `model` the trained weights of that name, and return it in evaluation mode.

    Raises OSError for a missing or damaged file; it says that `command` trains anew.
    """
    with _undamaged(FOLDER / f"{name}.safetensors", command) as file:
        model.load_state_dict(load_file(file))
    return model.eval()


@contextlib.contextmanager
def _undamaged(file, command):
    try:
        yield file
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise OSError(
            f"{file} is missing or damaged ({error}). Fetch it again: "
            "git checkout -- lecture_utils/weights, or install the package again. "
            f"Or train anew: {command}."
        ) from error
