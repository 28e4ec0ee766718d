"""Two patients of notebook 10 over many seeds: the one that collapses, and the scanner's.

usage: python benchmarks/patients.py

The notebook trains one seed of some rows live and takes its verdicts from this record. Measured on
its thousand test images: the ELBO in nats, the KL in nats, the number of active units of ten, the
images for which the gradient of the error with respect to z is exactly 0, and the units of the
encoder's last hidden layer that are above 0 for any image.

"collapse": a VAE with three hidden layers on each side, untreated, with KL annealing (Bowman et al.
2016), with free bits (Kingma et al. 2016), with free bits and then an epoch at a tenth of the rate
without them, or, for a fair comparison, with them; untreated at a third of the learning rate, and
at a tenth for three times as many epochs; untreated, but with an output bias that takes account of
what the untrained decoder adds to it; and the twin with one hidden layer. The twin, the
untreated and the annealed once more with SiLU in place of ReLU, the untreated with leaky ReLU, too:
a unit that is off has a slope with both, with SiLU a tiny one far below 0.
"scanner": raw pixels of MNIST and of a scanner that stores paper as 255, at two learning rates, and
at the small one for three times as many epochs; and the scans once more with SiLU and
with leaky ReLU.
"race": the untreated patients on their way, with and without that bias, at the steps LOOKS and at
the end: the KL in nats, and the units of the decoder's last hidden layer that are above 0 for any
image.
What is recorded is not computed again. One thread a seed, so that the numbers do not depend on the
number of cores. About ten minutes on two.
"""

import math
from concurrent.futures import ProcessPoolExecutor

from lecture_utils import clinic, data, evaluation, objectives, training

import records
import torch
from torch import nn

SEEDS = {"collapse": range(20), "scanner": range(10), "race": range(20)}
LOOKS = (0, 4, 8, 12, 16, 24, 32, 48, 64, 100, 150, 200)  # steps
EPOCHS, BATCH, RATE = 4, 128, 1.2e-2  # as in the notebook
FREE = 0.5  # nats a unit, averaged over the batch
N_TRAIN, N_TEST = 10_000, 1000
DEEP = (100, 100, 100)
ROWS = {  # hidden layers, then the trainings in turn: loss, epochs, learning rate
    "one hidden layer": ((100,), [("plain", EPOCHS, RATE)]),
    "one hidden layer, SiLU": ((100,), [("plain", EPOCHS, RATE)], nn.SiLU),
    "no treatment": (DEEP, [("plain", EPOCHS, RATE)]),
    "no treatment, bias corrected": (DEEP, [("plain", EPOCHS, RATE)], nn.ReLU, True),
    "no treatment, SiLU": (DEEP, [("plain", EPOCHS, RATE)], nn.SiLU),
    "no treatment, leaky ReLU": (DEEP, [("plain", EPOCHS, RATE)], nn.LeakyReLU),
    "a third of the learning rate": (DEEP, [("plain", EPOCHS, RATE / 3)]),
    "a tenth of the rate, three times as long": (DEEP, [("plain", 3 * EPOCHS, RATE / 10)]),
    "KL annealing": (DEEP, [("annealed", EPOCHS, RATE)]),
    "KL annealing, SiLU": (DEEP, [("annealed", EPOCHS, RATE)], nn.SiLU),
    "free bits": (DEEP, [("free bits", EPOCHS, RATE)]),
    "free bits, an epoch without": (DEEP, [("free bits", EPOCHS, RATE), ("plain", 1, RATE / 10)]),
    "free bits, an epoch with": (DEEP, [("free bits", EPOCHS, RATE), ("free bits", 1, RATE / 10)]),
}

SCANNER = {  # whether ink and paper are exchanged, epochs, learning rate
    "MNIST, raw": (False, EPOCHS, RATE),
    "scans, raw": (True, EPOCHS, RATE),
    "scans, raw, SiLU": (True, EPOCHS, RATE, nn.SiLU),
    "scans, raw, leaky ReLU": (True, EPOCHS, RATE, nn.LeakyReLU),
    "MNIST, raw, a tenth of the rate": (False, EPOCHS, RATE / 10),
    "scans, raw, a tenth of the rate": (True, EPOCHS, RATE / 10),
    "MNIST, raw, a tenth of the rate, three times as long": (False, 3 * EPOCHS, RATE / 10),
    "scans, raw, a tenth of the rate, three times as long": (True, 3 * EPOCHS, RATE / 10),
}


def loss_of(kind, epochs):
    """The loss of one training, (model, x, generator) -> nats [B]."""
    steps, half = iter(range(10**6)), epochs * math.ceil(N_TRAIN / BATCH) / 2

    def loss(model, x, generator):
        mu, logvar = model.encode(x)
        error = model.error(model.decode(model.draw(mu, logvar, generator)), x)
        units = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)  # [B, J]
        if kind == "free bits":
            return error + units.mean(dim=0).clamp(min=FREE).sum()
        weight = min(1, next(steps) / half) if kind == "annealed" else 1
        return error + weight * units.sum(dim=1)

    return loss


def initialise(patient, images, bias_corrected):
    """Let the output bias start at the mean image, or, corrected, the decoder's mean logits."""
    training.initialise(patient, images)
    if bias_corrected:
        z = torch.randn(10_000, 10, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            bias = patient.to_logits.bias
            bias -= patient.decode(z).mean(dim=0) - bias


def collapse(images, test, seed, hidden, trainings, activation=nn.ReLU, bias_corrected=False):
    """Train a patient by one training after another, and measure it."""
    patient = clinic.Patient(latent_dim=10, hidden=hidden, activation=activation, seed=seed)
    initialise(patient, images, bias_corrected)
    for turn, (kind, epochs, rate) in enumerate(trainings):
        fit(patient, images, loss_of(kind, epochs), epochs, rate, seed + 1000 * turn)
    return measured(patient, test)


def scanner(images, test, seed, exchanged, epochs, rate, activation=nn.ReLU):
    """Train a healthy patient whose encoder gets the pixels as they are, and measure it."""
    patient = clinic.Patient(latent_dim=10, hidden=(100,), activation=activation, seed=seed)
    images, test = (255 - images, 1 - test) if exchanged else (images, test)
    training.initialise(patient, images)
    patient.mean_image.zero_()
    fit(patient, images, loss_of("plain", epochs), epochs, rate, seed)
    return measured(patient, test)


def race(images, test, seed, bias_corrected=False):
    """Train the untreated patient of this seed, and look at it on its way."""
    patient = clinic.Patient(latent_dim=10, hidden=DEEP, seed=seed)
    initialise(patient, images, bias_corrected)
    looks, plain, steps = [], loss_of("plain", EPOCHS), iter(range(10**6))

    def look():
        with torch.no_grad():
            mu, logvar = patient.encode(test)
            z = patient.draw(mu, logvar, torch.Generator().manual_seed(0))
            on = (patient.decoder(z) > 0).any(dim=0).sum()
        return {
            "kl": round(objectives.gaussian_kl(mu, logvar).mean().item(), 4),
            "decoder units on": int(on),
        }

    def loss(model, x, generator):
        if next(steps) in LOOKS:
            looks.append(look())
        return plain(model, x, generator)

    fit(patient, images, loss, EPOCHS, RATE, seed)
    return {"steps": LOOKS, "looks": looks, "end": look()}


def fit(patient, images, loss, epochs, rate, seed):
    options = {"batch_size": BATCH, "device": "cpu", "progress": False}
    training.fit(
        patient, images, loss=loss, epochs=epochs, learning_rate=rate, seed=seed, **options
    )


def measured(patient, test):
    with torch.no_grad():
        mu, logvar = patient.encode(test)
        kl = objectives.gaussian_kl(mu, logvar).mean().item()
        hidden = patient.encoder(test - patient.mean_image)
    z = patient.draw(mu, logvar, torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(patient.error(patient.decode(z), test).sum(), z)
    return {
        "elbo": round(evaluation.mean_elbo(patient, test).mean, 2),
        "kl": round(kl, 3),
        "active units": int(evaluation.active_units(patient, test).sum()),
        "images without a gradient": int((gradient == 0).all(dim=1).sum()),
        "encoder units on": int((hidden > 0).any(dim=0).sum()),
    }


def recorded():
    """The parts that were measured before."""
    try:
        before = records.load("patients")
    except FileNotFoundError:
        return {}
    return {part: before[part] for part in SEEDS if part in before}


def main():
    mnist = data.load_mnist()
    images = mnist.train_images[:N_TRAIN]
    test = data.binary_test_set(mnist)[data.test_subset(N_TEST)]
    parts = recorded()
    pool = ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,))
    for part, rows, run in (
        ("collapse", ROWS, collapse),
        ("scanner", SCANNER, scanner),
        ("race", {"no treatment": (), "no treatment, bias corrected": (True,)}, race),
    ):
        before, parts[part] = parts.get(part, {}), {}
        for name, row in rows.items():
            arguments = [(images, test, seed, *row) for seed in SEEDS[part]]
            runs = before.get(name) or list(pool.map(run, *zip(*arguments)))
            parts[part][name] = runs
            records.save("patients", {**recorded(), part: {**before, **parts[part]}})
    records.save("patients", parts)


if __name__ == "__main__":
    main()
