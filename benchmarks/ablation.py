"""What each part of `training.fit` that is there for speed is worth: the loss without it.

usage: python benchmarks/ablation.py

The race of time_to_quality.py again, without the clock: as many epochs of `fit`, grey pixels, the
same test loss, with one of its parts left out. How fit does with all its parts is taken from the
record of that race, so run it first.
"""

import statistics

from lecture_utils import data, evaluation, models, training

import records
import torch
from time_to_quality import FIT_EPOCHS, SEEDS


def one_rate(model, learning_rate):
    """`adam_by_layer` with the same rate for all layers."""
    return torch.optim.Adam(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.99), eps=1e-4, fused=True
    )


def constant(step, n_steps):
    """`one_cycle` without its fall."""
    return min(1.0, 10 * (step + 1) / n_steps)


def not_centred(model, images):
    model.set_output_bias(data.to_grey(images).mean(dim=0), len(images))


def no_bias(model, images):
    model.center_inputs(data.to_grey(images).mean(dim=0))


VARIANTS = {  # name: how the model is initialised, and fit's options
    "pixels not centred": (not_centred, {}),
    "output bias not at the mean image": (no_bias, {}),
    "one learning rate for all layers": (training.initialise, {"optimizer": one_rate}),
    "learning rate constant after its rise": (training.initialise, {"schedule": constant}),
}


def test_loss(images, test_images, seed, initialise, options):
    """The mean loss of one trained model on the grey test images, in nats."""
    model = models.VAE(seed=seed)
    initialise(model, images)
    options = options | {"epochs": FIT_EPOCHS, "pixels": "grey", "seed": seed, "device": "cpu"}
    training.fit(model, images, **options, progress=False)
    return sum(evaluation.mean_loss_terms(model, test_images))


def main():
    mnist = data.load_mnist()
    test_images = data.to_grey(mnist.test_images)
    race = records.load("time_to_quality")["curves"]["fit"]
    as_it_is = [round(run["test loss (nats)"][-1], 2) for run in race]
    losses = {"as it is": as_it_is} | {name: [] for name in VARIANTS}
    for seed in SEEDS:
        for name, (initialise, options) in VARIANTS.items():
            loss = test_loss(mnist.train_images, test_images, seed, initialise, options)
            losses[name].append(round(loss, 2))
            print(f"{name}, seed {seed}: {losses[name][-1]}", flush=True)
    medians = {name: statistics.median(values) for name, values in losses.items()}
    records.save(
        "ablation",
        {"epochs": FIT_EPOCHS, "test loss (nats)": losses, "median (nats)": medians},
    )


if __name__ == "__main__":
    main()
