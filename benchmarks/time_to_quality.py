"""How long the usual training script and `training.fit` take to the same test loss, side by side in
one run.

usage: python benchmarks/time_to_quality.py

Both train the same network (784-400-20-400-784, ReLU) on the grey pixels of MNIST, for three seeds
in turn:
  the usual script   torchvision's MNIST with ToTensor, a shuffled DataLoader, batch 128, Adam 1e-3,
  sigmoid and summed
                     BCE + KL, 10 epochs;
  fit                its defaults, for as many epochs as it takes (`FIT_EPOCHS`);
  fit, float32       the same without bfloat16 products, as on a processor that is not fast at them.
The test loss is the same function for all: BCE + KL per image in nats, one z each, over the 10,000
test images. The clock stops while it is computed. Last, an epoch of `fit` is timed with another
process keeping one core busy.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time

from lecture_utils import data, evaluation, models, training

import records
import torch
import torch.nn.functional as F
from torchvision import datasets, transforms

SEEDS, USUAL_EPOCHS, FIT_EPOCHS = (0, 1, 2), 10, 2


@contextlib.contextmanager
def float32_products():
    """Let `fit` compute as on a processor that is not fast at bfloat16, while the block runs."""
    before = os.environ.get("LECTURE_PRECISION", "auto")
    os.environ["LECTURE_PRECISION"] = "float32"
    try:
        yield
    finally:
        os.environ["LECTURE_PRECISION"] = before


class Stopwatch:
    """Collects the test loss after each epoch, and the training seconds so far: its own evaluations
    do not count."""

    def __init__(self, test_images):
        self.test_images, self.losses, self.seconds = test_images, [], []
        self.lost, self.start = 0.0, time.perf_counter()

    def __call__(self, model):
        before = time.perf_counter()
        self.seconds.append(round(before - self.start - self.lost, 3))
        self.losses.append(round(sum(evaluation.mean_loss_terms(model, self.test_images)), 3))
        self.lost += time.perf_counter() - before

    def curve(self):
        return {"seconds": self.seconds, "test loss (nats)": self.losses}


def usual_script(seed, watch):
    """The script of many tutorials, written the way they write it; `watch` is called after each
    epoch."""
    images = datasets.MNIST(data.DATA_DIR, train=True, transform=transforms.ToTensor())
    loader = torch.utils.data.DataLoader(images, batch_size=128, shuffle=True)
    torch.manual_seed(seed)
    model = models.VAE(seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(USUAL_EPOCHS):
        model.train()
        for image, _ in loader:
            x = image.view(-1, 784)
            optimizer.zero_grad()
            mu, logvar = model.encode(x)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            p = torch.sigmoid(model.decode(z))
            loss = F.binary_cross_entropy(p, x, reduction="sum") - 0.5 * torch.sum(
                1 + logvar - mu.pow(2) - logvar.exp()
            )
            loss.backward()
            loss.item()
            optimizer.step()
        model.eval()
        watch(model)


def fit(seed, images, watch):
    """`fit` with its defaults on grey pixels; `watch` is called after each epoch."""
    model = training.initialise(models.VAE(seed=seed), images)
    options = {"epochs": FIT_EPOCHS, "pixels": "grey", "seed": seed, "device": "cpu"}
    training.fit(model, images, **options, on_epoch=watch, progress=False)


def fit_float32(seed, images, watch):
    """The same without bfloat16 products."""
    with float32_products():
        fit(seed, images, watch)


def busy_ratio(images, repeats=3):
    """Seconds of `fit` with another process computing, over those of `fit` alone; the best of
    `repeats` each."""

    def seconds():
        start = time.perf_counter()
        training.fit(models.VAE(), images, epochs=1, pixels="grey", device="cpu", progress=False)
        return time.perf_counter() - start

    alone = min(seconds() for _ in range(repeats))
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return min(seconds() for _ in range(repeats)) / alone
    finally:
        other.kill()
        other.wait()


def epoch_seconds(curves):
    """The times of all epochs of all seeds: their median, and the fastest, which the machine's
    other work disturbed least."""
    steps = [b - a for curve in curves for a, b in zip([0.0, *curve["seconds"]], curve["seconds"])]
    return {"median": round(statistics.median(steps), 3), "fastest": round(min(steps), 3)}


def main():
    mnist = data.load_mnist()
    test_images = data.to_grey(mnist.test_images)
    contestants = {
        "usual script": lambda seed, images, watch: usual_script(seed, watch),
        "fit": fit,
        "fit, float32": fit_float32,
    }
    curves = {name: [] for name in contestants}
    for seed in SEEDS:
        for name, train in contestants.items():
            watch = Stopwatch(test_images)
            train(seed, mnist.train_images, watch)
            curves[name].append(watch.curve())
            print(
                f"{name}, seed {seed}: {watch.losses[-1]:.2f} nats after {watch.seconds[-1]:.1f} s",
                flush=True,
            )
    total = {
        name: statistics.median(curve["seconds"][-1] for curve in runs)
        for name, runs in curves.items()
    }
    epoch = {name: epoch_seconds(runs) for name, runs in curves.items()}
    records.save(
        "time_to_quality",
        {
            "threads": torch.get_num_threads(),
            "seconds to the end, median over seeds": {
                name: round(value, 2) for name, value in total.items()
            },
            "test loss at the end (nats), median over seeds": {
                name: round(statistics.median(curve["test loss (nats)"][-1] for curve in runs), 2)
                for name, runs in curves.items()
            },
            "times faster to the same loss": {
                name: round(total["usual script"] / total[name], 1)
                for name in ("fit", "fit, float32")
            },
            "seconds an epoch": epoch,
            "epoch over epoch of the usual script": {
                name: {
                    kind: round(epoch[name][kind] / epoch["usual script"][kind], 3)
                    for kind in epoch[name]
                }
                for name in ("fit", "fit, float32")
            },
            "slower beside a busy process, times": round(busy_ratio(mnist.train_images[:15360]), 2),
            "curves": curves,
        },
    )


if __name__ == "__main__":
    main()
