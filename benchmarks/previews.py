"""Notebook 09's small models over seeds: which settings, and what they make.

usage: python benchmarks/previews.py

Everything is trained on 50,000 training images. The other 10,000 choose the settings, never the
test images: of the mixture (its number of components) and of the diffusion model (its training,
its width) by the gain in nats over N(0, I), of the GAN (its learning rates) by the Fréchet
distance, each the best mean over the seeds. The test images then judge what was chosen. Both rules
were written down before any of these runs. A few settings take longer than the notebook has
(`TOO_LONG`): they are here to say what its limit costs. The form of the networks, their batches and
the diffusion model's learning rate of 0.004 are older, from pilots that nobody wrote down.

Two parts are not for choosing. One counts at which clusters of a ring the draws of a GAN and of a
diffusion model lie, and whether they leave the gaps between them free. The other repeats the chosen
mixture and the chosen network on the codes of two other VAEs (`VAES`). In all else there is one
VAE; the rest is trained with each of three seeds, the GANs with ten, and compared with another half
of the images each time.
(The classifier whose features the Fréchet distance compares was trained on all training images,
the held-out ones too: for each setting it is the same one.)
Every run is recorded as soon as it is done; a second call does what is missing. It measures no
times. About an hour and a half on one core.
"""

import json

from lecture_utils import (
    data,
    diffusion,
    evaluation,
    frechet,
    gan,
    models,
    objectives,
    previews,
    toy_data,
    training,
)

import records
import torch
from sklearn.mixture import GaussianMixture

NAME = "previews"
SEEDS = {"ring": 3, "frame": 10, "mixture": 3, "diffusion": 3, "GAN": 10}
MIXTURES = {"1 component": {"n_components": 1}}
MIXTURES |= {f"{k} components": {"n_components": k} for k in (20, 50, 100)}
DIFFUSIONS = {
    "1000 steps": {"steps": 1000},
    "3000 steps": {"steps": 3000},
    "3000 steps, a quarter of the rate": {"steps": 3000, "learning_rate": 1e-3},
    "10000 steps": {"steps": 10_000},
    "10000 steps, twice as wide": {"steps": 10_000, "hidden": 512},
}
GANS = {
    "g twice as fast as D": {"learning_rates": (1e-3, 2e-3)},  # D's and g's
    "g as fast as D": {"learning_rates": (1e-3, 1e-3)},
    "g half as fast as D": {"learning_rates": (1e-3, 5e-4)},
}
FRAMES = ("real images", "real codes", "N(0, I)")
TOO_LONG = ["100 components", "10000 steps", "10000 steps, twice as wide"]
# On the ring, 4 epochs are 800 batches, and 20 are 4000.
RINGS = {
    f"GAN, D {rates[0]:g}, g {rates[1]:g}, {200 * epochs} steps": ("GAN", rates, epochs)
    for epochs in (4, 20)
    for rates in ((1e-3, 1e-3), (1e-3, 4e-3))
} | {f"diffusion, {steps} steps": ("diffusion", steps) for steps in (800, 4000)}
VAES = (1, 2)  # the seeds of two VAEs more; that of the one VAE is 0
N, N_CODES, N_CHAIN = 5000, 2000, 500  # images in a set, codes in a mean of nats, of those by chain
QUIET = {"device": "cpu", "progress": False}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def other_noise(seed):
    """The generator of what is measured on codes that were drawn with `seed` itself.

    With `seeded(seed)` the noise of a bound would be, number for number, the noise that is in the
    codes already: a denoiser sees the one and guesses the other. That was worth half a nat. (The
    training of a network used this generator, for other codes: measured, no difference.)
    """
    return training.generators(seed, torch.device("cpu"))[2]


class Real:
    """One set of real images in two halves: one is compared, the other is compared with."""

    def __init__(self, images, labels, seed):
        one, other = torch.randperm(len(images), generator=seeded(seed)).split(N)
        self.images, self.binary = images[one] / 255, data.binarize(images[one], seeded(seed))
        self.reference = frechet.digit_features(images[other])
        self.shares = torch.bincount(labels[other], minlength=10) / N


class Data:
    """The images to train on, and for each seed those that choose and those that judge."""

    def __init__(self, vae=0):
        self.mnist = data.load_mnist()
        self.vae, self.trained = vae, None
        rows = torch.randperm(60_000, generator=seeded(0))
        self.held_out, self.kept = rows[:10_000], self.mnist.train_images[rows[10_000:]]

    def real(self, seed):
        """The images that choose and those that judge, for this seed."""
        train, test = self.mnist.train_images, self.mnist.test_images
        labels = self.mnist.train_labels[self.held_out]
        return {
            "held out": Real(train[self.held_out], labels, seed),
            "test": Real(test, self.mnist.test_labels, seed),
        }

    def latent(self):
        """The VAE with its codes."""
        if self.trained is None:
            self.trained = LatentModels(self.kept, self.vae)
        return self.trained


class LatentModels:
    """A VAE trained on images [N, 784], its normalised codes, and what is fitted to them."""

    def __init__(self, images, seed):
        vae = training.initialise(models.VAE(latent_dim=20, seed=seed), images)
        self.vae, _ = training.trained(vae, images, seed=seed, **QUIET)
        with torch.no_grad():
            pixels = seeded(0)
            parts = [self.vae.encode(data.binarize(part, pixels)) for part in images.split(5000)]
        mu, logvar = (torch.cat(part) for part in zip(*parts))
        self.center, self.scale = mu.mean(dim=0), (mu.var(dim=0) + logvar.exp().mean(dim=0)).sqrt()
        self.mu, self.logvar = (mu - self.center) / self.scale, logvar - 2 * self.scale.log()

    def diffusion(self, seed, hidden=256, **options):
        model = diffusion.Denoiser(latent_dim=20, hidden=hidden, seed=seed)
        diffusion.fit_diffusion(model, self.mu, self.logvar, seed=seed, **options, **QUIET)
        return model

    def mixture(self, seed, n_components):
        codes = objectives.reparameterize(self.mu, self.logvar, seeded(seed)).double().numpy()
        options = {"random_state": seed, "tol": 1e-2, "max_iter": 50}
        return diffusion.MixtureDenoiser.of(GaussianMixture(n_components, **options).fit(codes))

    def codes(self, real, seed):
        """Normalised codes z ~ q(z|x) of the binary images that are compared, [N, J]."""
        return (
            evaluation.posterior_samples(self.vae, real.binary, seed) - self.center
        ) / self.scale

    def by_normal(self, codes):
        """The log-density of normalised codes [N, J] if the codes are N(0, I), [N], in nats."""
        log_p = objectives.standard_normal_log_density(self.center + self.scale * codes)
        return log_p + self.scale.log().sum()

    @torch.no_grad()
    def decoded(self, codes):
        return torch.sigmoid(self.vae.decode(self.center + self.scale * codes))


def judged(images, real):
    """The measures of images [N, 784] in [0, 1], some of them against real ones."""
    features = frechet.digit_features(images)
    with torch.no_grad():
        digits = frechet.digit_classifier()[-1](features).argmax(dim=1)
    shares = torch.bincount(digits, minlength=10) / len(digits)
    return {
        "frechet": round(frechet.frechet_distance(features, real.reference), 2),
        "grey": round(frechet.grey_share(images).nanmean().item(), 4),
        "in pieces": round((frechet.pieces(images) > 1).double().mean().item(), 4),
        "blank": round((frechet.pieces(images) == 0).double().mean().item(), 4),
        "total variation": round(0.5 * (shares - real.shares).abs().sum().item(), 4),
        "digits": [round(share, 4) for share in shares.tolist()],
    }


def estimate(values, name):
    mean, error = evaluation.mean_and_error(values)
    return {f"{name} (nats)": round(mean, 3), f"{name}, s.e.": round(error, 3)}


def on_both(real, measure):
    """{"held out": measure(its Real), "test": ...}."""
    return {name: measure(each) for name, each in real.items()}


def frame(every, seed, name):
    """What frames the others: real images, decoded codes of real images, the VAE's own samples."""
    latent = every.latent()
    if name == "N(0, I)":
        images = latent.vae.sample(N, seeded(seed))
        return on_both(every.real(seed), lambda real: judged(images, real))
    if name == "real images":
        return on_both(every.real(seed), lambda real: judged(real.images, real))
    return on_both(
        every.real(seed), lambda real: judged(latent.decoded(latent.codes(real, seed)), real)
    )


def mixture(every, seed, options):
    """The gain in nats over N(0, I), exact, what the perfect chain loses of it, and images."""
    latent = every.latent()
    model = latent.mixture(seed, **options)
    images = latent.decoded(model.draw(N, seeded(seed)))

    def measure(real):
        codes = latent.codes(real, seed)[:N_CODES]
        log_p = model.log_density(codes, torch.zeros(len(codes), dtype=torch.int64))
        lost = diffusion.lost_by_the_chain(model, codes[:N_CHAIN], other_noise(seed))
        gain = estimate(log_p - latent.by_normal(codes), "gain")
        return gain | estimate(lost, "lost by the chain") | judged(images, real)

    return on_both(every.real(seed), measure)


def learned(every, seed, options):
    """The gain in nats over N(0, I), by the bound, and images."""
    latent = every.latent()
    model = latent.diffusion(seed, **options)
    images = latent.decoded(model.sample(N, seeded(seed)))

    def measure(real):
        codes = latent.codes(real, seed)[:N_CODES]
        bound = -diffusion.diffusion_bound_terms(model, codes, other_noise(seed)).sum(dim=0)
        return estimate(bound - latent.by_normal(codes), "gain") | judged(images, real)

    return on_both(every.real(seed), measure)


def adversarial(every, seed, options):
    """Images of a GAN."""
    pair = gan.Gan(gan.GanGenerator(seed=seed), gan.Discriminator(seed=seed))
    gan.fit_gan(pair, every.kept, seed=seed, **options, **QUIET)
    noise = seeded(seed)
    images = torch.cat([pair.generator.sample(500, noise) for _ in range(N // 500)])
    return on_both(every.real(seed), lambda real: judged(images, real))


def ring(points, seed, options):
    """The share of a model's draws at each of the eight clusters, and their contrast."""
    kind, *rest = options
    drawn = {"GAN": ring_gan, "diffusion": ring_diffusion}[kind](points, seed, *rest)
    shares = [round(share, 4) for share in toy_data.ring_shares(drawn).tolist()]
    return {"shares": shares, "contrast": round(toy_data.ring_contrast(drawn), 4)}


def ring_gan(points, seed, rates, epochs):
    """Draws of a GAN that was trained on the ring, [N, 2]."""
    pair = gan.new_ring_gan(seed)
    fit = {"learning_rates": rates, "epochs": epochs, "batch_size": 128}
    gan.fit_gan(pair, points, seed=seed, **fit, **QUIET)
    return pair.generator.sample(N, seeded(0))


def ring_diffusion(points, seed, steps):
    """Draws of a diffusion model that was trained on the ring, [N, 2]."""
    model = diffusion.Denoiser(latent_dim=2, hidden=64, seed=seed)
    narrow = torch.full_like(points, -30.0)  # the points themselves are the codes
    diffusion.fit_diffusion(model, points, narrow, steps=steps, seed=seed, **QUIET)
    return model.sample(N, seeded(0))


class Record:
    """What was measured, {part: {setting: [a result for each seed]}}, saved after each run."""

    def __init__(self):
        try:
            self.runs = records.load(NAME)["runs"]
        except FileNotFoundError:
            self.runs = {}

    def add(self, part, setting, seed, measure, *arguments):
        """Record measure(*arguments), unless that was done before; seeds come in order."""
        results = self.runs.setdefault(part, {}).setdefault(setting, [])
        if len(results) > seed:
            return
        results.append(measure(*arguments))
        print(part, setting, seed, json.dumps(results[-1]), flush=True)
        settings = {"images in a set": N, "codes": N_CODES, "codes by the chain": N_CHAIN}
        settings |= {"mixture": MIXTURES, "diffusion": DIFFUSIONS, "GAN": GANS}
        settings |= {"too long for the notebook": TOO_LONG, "other VAEs": VAES}
        records.save(NAME, {"settings": settings, "runs": self.runs})


def main():
    record, every = Record(), Data()
    points = toy_data.draw_ring(25_600, seeded(0))
    for seed in range(SEEDS["ring"]):
        for setting, options in RINGS.items():
            record.add("ring", setting, seed, ring, points, seed, options)
    for seed in range(SEEDS["frame"]):
        for name in FRAMES:
            record.add("frame", name, seed, frame, every, seed, name)
    parts = {"mixture": (MIXTURES, mixture), "diffusion": (DIFFUSIONS, learned)}
    parts["GAN"] = GANS, adversarial
    for late in (False, True):
        for part, (settings, measure) in parts.items():
            for seed in range(SEEDS[part]):
                for name, options in settings.items():
                    if (name in TOO_LONG) == late:
                        record.add(part, name, seed, measure, every, seed, options)
    chosen = {part: previews.Record().chosen(part) for part in ("mixture", "diffusion")}
    for number in VAES:
        other = Data(vae=number)
        for part, row in chosen.items():
            settings, measure = parts[part]
            for seed in range(SEEDS[part]):
                options = settings[row.setting]
                record.add(f"VAE {number}", row.setting, seed, measure, other, seed, options)


if __name__ == "__main__":
    main()
