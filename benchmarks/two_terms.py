"""What the weight beta of the KL does to a VAE with two latents, over seeds; and what limits it.

usage: python benchmarks/two_terms.py

Notebook 03 trains one seed of five of the betas live and takes its verdicts from this record. The
first part trains its network for each beta and seed and measures, on the binary test images, the
error, the KL, and log p(x) of a seeded sample by a sum over a grid of codes (no encoder in it). The
second part changes one thing at a time, the length of the training or the number of latents, and
measures what it gains. Every run is recorded as soon as it is done; a second call does what is
missing.
About fifteen minutes on one idle core.
"""

import math

from lecture_utils import data, evaluation, mixture, models, objectives, training

import records
import torch
import torch.nn.functional as F
from torch import nn

NAME = "two_terms"
BETAS = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, math.inf)
SEEDS = range(5)
FIT = {"epochs": 4, "batch_size": 500, "learning_rate": 2e-2}
GRID = {"half": 12.0, "step": 0.06}  # wide, for codes that the KL does not hold together
N_GRID = 500  # test images whose log p(x) is summed over the grid
N_SAMPLES = 100  # draws an image in the importance-weighted bound, where there is no plane
CHANGES = {  # what differs from notebook 03's VAE: options of the model, epochs
    "ten times as long": ({}, 10 * FIT["epochs"]),
    "five latents": ({"latent_dim": 5}, FIT["epochs"]),
    "twenty latents": ({"latent_dim": 20}, FIT["epochs"]),
}


def new_vae(images, seed, latent_dim=2, hidden=(128, 32)):
    model = models.VAE(latent_dim=latent_dim, hidden=hidden, activation=nn.SiLU, seed=seed)
    return training.initialise(model, images)


def fit(model, images, loss, seed, epochs=FIT["epochs"]):
    options = FIT | {"epochs": epochs}
    training.fit(model, images, loss=loss, seed=seed, device="cpu", progress=False, **options)


def weighted_loss(beta):
    def loss(model, x, generator):
        terms = model.loss_terms(x, generator)
        return terms.reconstruction + beta * terms.kl

    return loss


def kl_only(model, x, generator):
    return objectives.gaussian_kl(*model.encode(x))


def beta_vae(images, beta, seed):
    """Train the VAE of one beta; with the KL only, then the decoder for the frozen encoder."""
    model = new_vae(images, seed)
    fit(model, images, kl_only if beta == math.inf else weighted_loss(beta), seed)
    if beta == math.inf:
        for part in (model.encoder, model.to_mu, model.to_logvar):
            part.requires_grad_(False)
        fit(model, images, weighted_loss(0.0), seed + 1000)
    return model.requires_grad_(False)


@torch.no_grad()
def grid_log_likelihood(model, x, half, step):
    """Return log p(x) of x [B, D] in nats, [B]: the integral over z as a sum over a grid."""
    line = torch.arange(-half, half + step / 2, step)
    total = torch.full([len(x)], -math.inf, dtype=torch.float64)
    for z in torch.cartesian_prod(line, line).split(20_000):
        logits = model.decode(z)
        log_joint = x @ logits.T - F.softplus(logits).sum(dim=1)
        log_joint = log_joint.double() + objectives.standard_normal_log_density(z)
        total = torch.logaddexp(total, torch.logsumexp(log_joint, dim=1))
    return total + 2 * math.log(step)


def measure_beta(model, test, sample):
    """Error and KL over the test images, log p(x) over the sample, sigma and size of the codes."""
    terms = evaluation.mean_loss_terms(model, test)
    mu, logvar = model.encode(test)
    codes = objectives.reparameterize(mu, logvar, torch.Generator().manual_seed(0))
    log_p = grid_log_likelihood(model, sample, **GRID)
    return {
        "error": round(terms.reconstruction, 2),
        "kl": round(terms.kl, 3),
        "log p": round(log_p.mean().item(), 2),
        "median sigma": round(torch.exp(logvar / 2).median().item(), 5),
        "rms code": round(codes.square().mean().sqrt().item(), 3),
    }


def measure_change(images, test, sample, options, epochs, seed):
    """The ELBO over the test images, and log p(x) over the sample, in nats.

    With more than two latents the latter is a lower bound, importance-weighted.
    """
    model = new_vae(images, seed, **options)
    fit(model, images, weighted_loss(1.0), seed, epochs)
    if model.latent_dim == 2:
        log_p = grid_log_likelihood(model, sample, **GRID).mean().item()
    else:
        log_p = evaluation.mean_log_likelihood(model, sample, N_SAMPLES).mean
    return {"elbo": round(evaluation.mean_elbo(model, test).mean, 2), "log p": round(log_p, 2)}


def measure_mixture(images, test, sample):
    """log p(x) of notebook 02's mixture on the same images, for comparison."""
    clusters = mixture.trained_mixture(images)
    means = (clusters.log_likelihood(x).double().mean().item() for x in (test, sample))
    return dict(zip(("log p of all", "log p"), (round(mean, 2) for mean in means)))


def recorded():
    """What was measured before, if anything."""
    try:
        return records.load(NAME)
    except FileNotFoundError:
        return {"betas": {}, "changes": {}}


def main():
    mnist = data.load_mnist()
    test = data.binary_test_set(mnist)
    sample = test[data.test_subset(N_GRID)]
    before = recorded()
    betas, changes = before["betas"], before["changes"]
    settings = {"fit": FIT, "grid": GRID, "images on the grid": N_GRID, "draws": N_SAMPLES}

    clusters = measure_mixture(mnist.train_images, test, sample)
    parts = {"settings": settings, "betas": betas, "changes": changes, "mixture": clusters}

    def record(runs, run):
        runs.append(run)
        print(run, flush=True)
        records.save(NAME, parts)

    for beta in BETAS:
        runs = betas.setdefault(str(beta), [])
        for seed in SEEDS[len(runs) :]:
            record(runs, measure_beta(beta_vae(mnist.train_images, beta, seed), test, sample))
    for name, (options, epochs) in CHANGES.items():
        runs = changes.setdefault(name, [])
        for seed in SEEDS[len(runs) : 3]:
            change = measure_change(mnist.train_images, test, sample, options, epochs, seed)
            record(runs, change)
    records.save(NAME, parts)


if __name__ == "__main__":
    main()
