"""What each part of `training.fit` that is there for speed is worth: the test loss with one of them left out.

usage: python benchmarks/recipe.py

The race of time_to_quality.py again, without the clock: as many epochs of `fit`, grey pixels, the same test loss. How fit
does with all its parts is taken from the record of that race, so run it first.
"""

import statistics
from unittest.mock import patch

from lecture_utils import data, evaluation, models, training

import recording
from time_to_quality import FIT_EPOCHS, SEEDS


def one_rate(model, learning_rate):
    return [{"params": list(model.parameters()), "lr": learning_rate}]


VARIANTS = {
    "pixels not centred": lambda: patch.object(models.VAE, "center_inputs"),
    "output bias not at the mean image": lambda: patch.object(models.VAE, "set_output_bias"),
    "one learning rate for all layers": lambda: patch.object(training, "layer_rates", one_rate),
    "learning rate constant after its rise": lambda: patch.object(training, "one_cycle", lambda step, n_steps: min(1.0, 10 * (step + 1) / n_steps)),
}


def test_loss(images, test_images, seed):
    model = models.VAE(seed=seed)
    training.fit(model, images, epochs=FIT_EPOCHS, pixels="grey", seed=seed, device="cpu", progress=False)
    return sum(evaluation.mean_loss_terms(model, test_images))


def main():
    mnist = data.load_mnist()
    test_images = data.to_grey(mnist.test_images)
    race = recording.load("time_to_quality")["curves"]["fit"]
    losses = {"as it is": [round(run["test loss (nats)"][-1], 2) for run in race]} | {name: [] for name in VARIANTS}
    for seed in SEEDS:
        for name, change in VARIANTS.items():
            with change():
                losses[name].append(round(test_loss(mnist.train_images, test_images, seed), 2))
            print(f"{name}, seed {seed}: {losses[name][-1]}", flush=True)
    recording.save("recipe", {"epochs": FIT_EPOCHS, "test loss (nats)": losses,
                              "median (nats)": {name: statistics.median(values) for name, values in losses.items()}})


if __name__ == "__main__":
    main()
