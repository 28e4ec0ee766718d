"""What else was tried to make the training step faster, each against the step as it is, in turn in
one run.

usage: python benchmarks/speed_tricks.py

A trick that costs clarity goes into the package only if it saves at least 10 % of a step. "No
optimiser" is not a trick but the most that a cheaper Adam could save.
"""

import contextlib
import time

from lecture_utils import bounds, data, models, objectives, training

import records
import torch
import torch.nn.functional as F
from torch import nn

BATCH, ROUNDS, STEPS = 256, 25, 6


class OneHead(models.VAE):
    """mu and logvar from one linear layer instead of two."""

    def _add_layers(self, width):
        self.to_mu = nn.Linear(width, 2 * self.latent_dim)

    def encode(self, x):
        return self.to_mu(self._hidden(x)).chunk(2, dim=-1)


class CrossEntropy(torch.autograd.Function):
    """-log p(x|z) and its gradient with as few passes over memory as possible."""

    @staticmethod
    def forward(ctx, logits, x):
        ctx.save_for_backward(logits, x)
        return F.softplus(logits).sum(dim=-1) - torch.linalg.vecdot(x, logits)

    @staticmethod
    def backward(ctx, gradient):
        logits, x = ctx.saved_tensors
        return (torch.sigmoid(logits) - x).mul_(gradient[:, None]), None


def eight_pixels_a_draw(images, generator):
    """Binary pixels from the bytes of 64-bit draws: fewer draws, but P(1) = v / 256 instead of v /
    255."""
    threshold = torch.empty(images.numel() // 8, dtype=torch.int64).random_(
        -(2**63), None, generator=generator
    )
    return (threshold.view(torch.uint8).view(images.shape) < images).float()


def unchecked_cross_entropy(logits, x):
    """objectives.bernoulli_log_likelihood without its look at the pixels, negative."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=-1)


def loss_with(cross_entropy):
    """Return bounds.negative_elbo with another cross-entropy (logits, x) -> [B]."""

    def loss(model, x, generator):
        mu, logvar = model.encode(x)
        logits = model.decode(objectives.reparameterize(mu, logvar, generator))
        return cross_entropy(logits, x) + objectives.gaussian_kl(mu, logvar)

    return loss


def stepper(
    images,
    model=models.VAE,
    loss=bounds.negative_elbo,
    draw=data.binarize,
    precision=training.mixed_precision,
    schedule=True,
    optimiser=True,
):
    """Return a function that does one training step on the given rows, as `fit` does it but for
    what is varied."""
    model, generator = model(), torch.Generator().manual_seed(0)
    adam = training.adam_by_layer(model, 1e-2)
    cycle = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: training.one_cycle(step, 10**6))

    def step(rows):
        x = draw(images.index_select(0, rows), generator)
        with precision("cpu"):
            losses = loss(model, x, generator)
        adam.zero_grad()
        losses.mean().backward()
        if optimiser:
            adam.step()
        if schedule:
            cycle.step()

    return step


VARIANTS = {
    "as it is": {},
    "one linear layer for mu and logvar": {"model": OneHead},
    "cross-entropy as one autograd function": {"loss": loss_with(CrossEntropy.apply)},
    "no check of the pixels": {"loss": loss_with(unchecked_cross_entropy)},
    "eight binary pixels from one 64-bit draw": {"draw": eight_pixels_a_draw},
    "products of float32 factors": {"precision": contextlib.nullcontext},
    "no learning-rate schedule": {"schedule": False},
    "no optimiser": {"optimiser": False, "schedule": False},
}


def main():
    images = data.load_mnist().train_images
    batches = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).split(BATCH)[
        :STEPS
    ]
    steps = {name: stepper(images, **options) for name, options in VARIANTS.items()}
    seconds = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            step(batches[0])
            start = time.perf_counter()
            for rows in batches:
                step(rows)
            seconds[name].append((time.perf_counter() - start) / STEPS)
    best = {
        name: min(values) for name, values in seconds.items()
    }  # of many short rounds: the least disturbed one
    records.save(
        "speed_tricks",
        {
            "batch": BATCH,
            "step (ms), best round": {name: round(1e3 * value, 2) for name, value in best.items()},
            "saved": {name: round(1 - value / best["as it is"], 3) for name, value in best.items()},
        },
    )


if __name__ == "__main__":
    main()
