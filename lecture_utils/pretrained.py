"""Two models with the architecture of Burda et al. (2015), table 1, one stochastic layer, as
`make bench-published` trained them.

Their training is not that of the paper: another schedule, another estimator of the gradient, other
initial weights, products in bfloat16, and schedules chosen after test curves had been seen
(benchmarks/train_published.py). Notebook 08 says so where the numbers stand.
"""

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
    return restored(build(), name, "make bench-published")


def restored(model: nn.Module, name: str, command: str) -> tuple[nn.Module, dict]:
    """Give `model` the weights of that name; return it, in evaluation mode, with their record.

    Raises OSError for a missing or damaged file; it says that `command` trains anew.
    """
    file = FOLDER / name
    try:
        model.load_state_dict(load_file(file.with_suffix(".safetensors")))
        record = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise OSError(
            f"{file}.safetensors or its record, {file.name}.json, is missing or damaged ({error}). "
            "Fetch both again: git checkout -- lecture_utils/weights, or install the package "
            f"again. Or train anew: {command}."
        ) from error
    return model.eval(), record
