"""What several test files use: made-up data, small models, a Python process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from lecture_utils import models

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lecture_utils"
SMALL = {"latent_dim": 3, "hidden": (16,), "n_pixels": 20}
KINDS = [models.Autoencoder, models.DenoisingAutoencoder, models.VAE]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def seeded(seed=0):
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def double(values):
    """A float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


def normal(seed, *shape, dtype=torch.float64):
    """Standard normal draws."""
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def binary_pixels(n=50, d=20, seed=1):
    """Binary pixels, float [n, d]."""
    return torch.randint(0, 2, (n, d), generator=seeded(seed)).float()


def random_images(n=300, d=20, seed=2):
    """Made-up images, uint8 [n, d]."""
    return torch.randint(0, 256, (n, d), generator=seeded(seed), dtype=torch.uint8)


def named(cases, first):
    """All cases, values or tuples of them, as parameters; `make test` runs the `first` alone."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else [case]),
            marks=() if case in first else pytest.mark.matrix,
        )
        for case in cases
    ]


def notebook(**variables):
    """A namespace like a notebook's: its functions are those of `__main__`."""
    return {"__name__": "__main__", "torch": torch} | variables


def defined(source, namespace, name="loss"):
    """What `source` defines under `name`, in that namespace."""
    exec(source, namespace)
    return namespace[name]


def output_of(code, folder=None, stdin=None, **variables):
    """What Python code prints in a process of its own.

    Environment variables are set, or unset (None), for that process alone: in this one, threads of
    other tests would see the change.
    """
    inherited = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    }
    environment = {
        name: value for name, value in (inherited | variables).items() if value is not None
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
