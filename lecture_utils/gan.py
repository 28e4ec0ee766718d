"""The small GAN of notebook 09, a preview of Lecture 12. Losses are per example, [B], in nats."""

from lecture_utils.data import to_grey
from lecture_utils.training import (
    LOOK_EVERY,
    History,
    best_device,
    endless_rows,
    generators,
    training_loop,
    updater,
)

import torch
import torch.nn.functional as F
from torch import nn


class GanGenerator(nn.Module):
    """x = g(z), [B, J] -> [B, 784] with values in [0, 1]: two transposed convolutions (after
    Radford et al. 2016).

    `latent_dim` is J, `channels` the number of feature maps at 7 x 7, `seed` fixes the initial
    weights.
    """

    def __init__(self, latent_dim: int = 32, channels: int = 32, seed: int = 0):
        super().__init__()
        self.latent_dim = latent_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Linear(latent_dim, channels * 49, bias=False),
                nn.BatchNorm1d(channels * 49),
                nn.ReLU(),
                nn.Unflatten(1, (channels, 7, 7)),
                nn.ConvTranspose2d(
                    channels, channels // 2, 4, stride=2, padding=1, bias=False
                ),  # [B, C/2, 14, 14]
                nn.BatchNorm2d(channels // 2),
                nn.ReLU(),
                nn.ConvTranspose2d(channels // 2, 1, 4, stride=2, padding=1),
                nn.Sigmoid(),  # [B, 1, 28, 28]
                nn.Flatten(),
            )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return the images g(z), [B, J] -> [B, 784]. Raises ValueError for another shape."""
        if z.dim() != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(
                f"z has shape {list(z.shape)}, but this generator takes [B, {self.latent_dim}]."
            )
        return self.layers(z)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return g(z) for n draws z ~ N(0, I), [n, 784]. Call it in evaluation mode, as `fit_gan`
        leaves the model."""
        return self(
            torch.randn(
                n, self.latent_dim, generator=generator, device=self.layers[0].weight.device
            )
        )


class Discriminator(nn.Module):
    """The logit of D(x), the probability that x is real: [B, 784] with values in [0, 1] -> [B]."""

    def __init__(self, channels: int = 32, hidden: int = 128, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Unflatten(1, (1, 28, 28)),
                nn.Conv2d(1, channels // 2, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2),  # [B, C/2, 14, 14]
                nn.Conv2d(channels // 2, channels, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2),  # [B, C, 7, 7]
                nn.Flatten(),
                # Real and fake images come in batches of their own: normalising each lets D compare
                # whole batches.
                nn.Linear(channels * 49, hidden),
                nn.BatchNorm1d(hidden),
                nn.LeakyReLU(0.2),
                nn.Linear(hidden, 1),
                nn.Flatten(0),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of D(x), [B, 784] -> [B]. Raises ValueError for another shape."""
        if x.dim() != 2 or x.shape[1] != 784:
            raise ValueError(
                f"x has shape {list(x.shape)}, but the discriminator takes [B, 784]. Use "
                "x.flatten(1)."
            )
        return self.layers(x)


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """Return -[log D(x) + log(1 - D(g(z)))] in nats from the logits of D, [B], [B] -> [B]
    (Goodfellow et al. 2014, eq. 1).

    Its mean estimates -V(D, g); at the best D it is log 4 - 2 JSD, at most log 4 = 1.386 nats.
    """
    return F.softplus(-real_logits) + F.softplus(fake_logits)  # -log sigmoid(a) = softplus(-a)


def generator_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """Return the non-saturating loss -log D(g(z)) in nats from the logits of D, [B] -> [B]
    (Goodfellow et al. 2014, sec. 3)."""
    return F.softplus(-fake_logits)


class Gan(nn.Module):
    """A generator g and the discriminator D that it is trained against, as one model."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module):
        super().__init__()
        self.generator, self.discriminator = generator, discriminator


def fit_gan(
    gan: Gan,
    images: torch.Tensor,
    *,
    epochs: int = 1,
    batch_size: int = 64,
    learning_rates: tuple[float, float] = (1e-3, 2e-3),
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> History:
    """Train both networks on grey images in place, one step each in turn.

    `images` is uint8 [N, D], or float [N, D] in [0, 1] (or points in a plane, for `new_ring_gan`).
    A last short batch is dropped, because batch normalisation dislikes it. Adam with betas
    (0.5, 0.999) as Radford et al. (2016) advise, and the learning rates (D's, g's), which fall
    linearly to 0 in the second half of training. The history holds the mean losses over 50 steps,
    "discriminator" and "generator", in nats. The GAN ends on `device` in evaluation mode, also
    after the stop button (`interrupted` is then True).
    Raises ValueError for bad images or sizes, FloatingPointError if a loss stops being finite.
    """
    if images.dim() != 2 or len(images) < batch_size or batch_size < 2 or epochs < 1:
        raise ValueError(
            f"images of shape {list(images.shape)} do not fill a batch: expected [N, D] with "
            f"N >= batch_size = {batch_size} >= 2, and epochs >= 1, got {epochs}."
        )
    device = torch.device(device) if device is not None else best_device()
    images, generator, discriminator = images.to(device), gan.generator, gan.discriminator
    gan.to(device).train()
    order, _, noise = generators(seed, device)
    rows = (r for r in endless_rows(len(images), batch_size, order) if len(r) == batch_size)
    steps = len(images) // batch_size * epochs
    update_d, update_g = (
        updater(
            torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999), fused=True),
            steps,
            lambda step, n_steps: min(1, 2 * (1 - step / n_steps)),
        )
        for network, rate in zip((discriminator, generator), learning_rates)
    )

    def step():
        x = to_grey(images.index_select(0, next(rows)))
        z = torch.randn(batch_size, generator.latent_dim, generator=noise, device=device)
        fake = generator(z)
        loss_d = discriminator_loss(discriminator(x), discriminator(fake.detach()))
        update_d(loss_d.mean())
        discriminator.requires_grad_(False)  # g needs the gradient through D, not D's own
        loss_g = generator_loss(discriminator(fake))
        update_g(loss_g.mean())
        discriminator.requires_grad_(True)
        return {"discriminator": loss_d, "generator": loss_g}

    history = training_loop(step, steps, LOOK_EVERY, progress=progress)
    discriminator.requires_grad_(True)  # also after the stop button
    gan.eval()
    return history


class PlaneNetwork(nn.Module):
    """A multilayer perceptron for points in the plane, [B, J] -> [B, n_outputs], or [B] for one
    output: both networks of the GAN on the ring."""

    def __init__(self, latent_dim: int, n_outputs: int, hidden: int = 64, seed: int = 0):
        super().__init__()
        self.latent_dim, self.n_outputs = latent_dim, n_outputs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Linear(latent_dim, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, n_outputs),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, [B, J] -> [B, n_outputs], without the last dimension if it is 1."""
        out = self.layers(x)
        return out.flatten() if self.n_outputs == 1 else out

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return g(z) for n draws z ~ N(0, I), [n, n_outputs]."""
        device = self.layers[0].weight.device
        return self(torch.randn(n, self.latent_dim, generator=generator, device=device))


def new_ring_gan(seed: int = 0) -> Gan:
    """Return an untrained GAN for points in the plane (`toy_data.draw_ring`): `fit_gan` trains
    it."""
    return Gan(PlaneNetwork(2, 2, seed=seed), PlaneNetwork(2, 1, seed=seed + 1000))
