"""The small GAN and the small diffusion model of notebook 09, a preview of Lectures 12 and 13.

Losses are per example, [B], in nats, and are averaged once, at the end; the diffusion model's `simple_loss` is the one
exception: it is a squared error, without a unit, because the weights that would make it nats are left out.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from lecture_utils.data import to_grey
from lecture_utils.objectives import gaussian_kl, reparameterize
from lecture_utils.training import best_device

CHECK_EVERY = 50  # steps over which the recorded losses are averaged, and between two looks at them


@dataclass
class Record:
    """What training recorded: for every 50 steps the mean of each loss (a tuple), the seconds it all took, and whether
    it was interrupted."""

    losses: list[tuple[float, ...]] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


# ---------------------------------------------------------------------------------------------------------------- GAN

class Generator(nn.Module):
    """x = g(z), [B, J] -> [B, 784] with values in [0, 1]: two transposed convolutions (after Radford et al. 2016).

    `latent_dim` is J, `channels` the number of feature maps at 7 x 7, `seed` fixes the initial weights.
    """

    def __init__(self, latent_dim: int = 32, channels: int = 32, seed: int = 0):
        super().__init__()
        self.latent_dim = latent_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Linear(latent_dim, channels * 49, bias=False), nn.BatchNorm1d(channels * 49), nn.ReLU(),
                nn.Unflatten(1, (channels, 7, 7)),
                nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1, bias=False),  # [B, C/2, 14, 14]
                nn.BatchNorm2d(channels // 2), nn.ReLU(),
                nn.ConvTranspose2d(channels // 2, 1, 4, stride=2, padding=1), nn.Sigmoid(),       # [B, 1, 28, 28]
                nn.Flatten())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return the images g(z), [B, J] -> [B, 784]."""
        if z.dim() != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z has shape {list(z.shape)}, but this generator takes [B, {self.latent_dim}].")
        return self.layers(z)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return g(z) for n draws z ~ N(0, I), [n, 784]. Call it in evaluation mode, as `fit_gan` leaves the model."""
        return self(torch.randn(n, self.latent_dim, generator=generator, device=_device_of(self)))


class Discriminator(nn.Module):
    """The logit of D(x), the probability that x is real: [B, 784] with values in [0, 1] -> [B]."""

    def __init__(self, channels: int = 32, hidden: int = 128, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Unflatten(1, (1, 28, 28)),
                nn.Conv2d(1, channels // 2, 4, stride=2, padding=1), nn.LeakyReLU(0.2),         # [B, C/2, 14, 14]
                nn.Conv2d(channels // 2, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2),  # [B, C, 7, 7]
                nn.Flatten(),
                # Real and fake images come in batches of their own: normalising each lets D compare whole batches.
                nn.Linear(channels * 49, hidden), nn.BatchNorm1d(hidden), nn.LeakyReLU(0.2),
                nn.Linear(hidden, 1), nn.Flatten(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of D(x), [B, 784] -> [B]."""
        if x.dim() != 2 or x.shape[1] != 784:
            raise ValueError(f"x has shape {list(x.shape)}, but the discriminator takes [B, 784]. Use x.flatten(1).")
        return self.layers(x)


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """Return -[log D(x) + log(1 - D(g(z)))] in nats from the logits of D, [B], [B] -> [B] (Goodfellow et al. 2014, eq. 1).

    Its mean estimates -V(D, g); at the best D it is log 4 - 2 JSD, at most log 4 = 1.386 nats.
    """
    return F.softplus(-real_logits) + F.softplus(fake_logits)  # -log sigmoid(a) = softplus(-a)


def generator_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """Return the non-saturating loss -log D(g(z)) in nats from the logits of D, [B] -> [B] (Goodfellow et al. 2014, sec. 3)."""
    return F.softplus(-fake_logits)


def fit_gan(generator: Generator, discriminator: nn.Module, images: torch.Tensor, *, epochs: int = 1, batch_size: int = 64,
            learning_rates: tuple[float, float] = (1e-3, 2e-3), seed: int = 0,
            device: torch.device | str | None = None, progress: bool = True) -> Record:
    """Train both networks on grey images in place, one step each in turn; the losses recorded are (D's, g's), in nats.

    `images` is uint8 [N, D], or float in [0, 1]; a last short batch is dropped, because batch normalisation dislikes it.
    Adam with betas (0.5, 0.999) as Radford et al. (2016) advise, and the learning rates (D's, g's), which fall linearly to 0
    in the second half of training.
    Both networks end on `device` in evaluation mode, also after the stop button (`interrupted` is then True).
    Raises ValueError for bad images or sizes, FloatingPointError if a loss stops being finite.
    """
    if images.dim() != 2 or len(images) < batch_size or batch_size < 2 or epochs < 1:
        raise ValueError(f"images of shape {list(images.shape)} do not fill a batch: expected [N, D] with "
                         f"N >= batch_size = {batch_size} >= 2, and epochs >= 1, got {epochs}.")
    device = torch.device(device) if device is not None else best_device()
    images = images.to(device)
    for network in (generator, discriminator):
        network.to(device).train()
    noise = torch.Generator(device).manual_seed(seed)
    steps = len(images) // batch_size * epochs
    optimizers = [torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999), fused=True)
                  for network, rate in zip((discriminator, generator), learning_rates)]
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: min(1, 2 * (1 - step / steps))) for o in optimizers]
    batches = _endless_batches(len(images), batch_size, noise)

    def step():
        x = to_grey(images.index_select(0, next(batches)))
        z = torch.randn(batch_size, generator.latent_dim, generator=noise, device=device)
        fake = generator(z)
        loss_d = discriminator_loss(discriminator(x), discriminator(fake.detach())).mean()
        _update(optimizers[0], loss_d)
        discriminator.requires_grad_(False)  # g's step needs the gradient through D, not that of D's weights
        loss_g = generator_loss(discriminator(fake)).mean()
        _update(optimizers[1], loss_g)
        discriminator.requires_grad_(True)
        for schedule in schedules:
            schedule.step()
        return loss_d.detach(), loss_g.detach()

    record = _run(step, steps, progress, "loss of D {:.2f}, of g {:.2f} nats")
    discriminator.requires_grad_(True)
    generator.eval(), discriminator.eval()
    return record


# ---------------------------------------------------------------------------------------------------------- diffusion

class NoiseSchedule:
    """The fixed noise of a diffusion, q(z_t | z_{t-1}) = N(sqrt(1 - beta_t) z_{t-1}, beta_t I), t = 1 ... T.

    `beta`, `alpha` = 1 - beta and `alpha_bar` (the product of the alphas) are float64 [T + 1], so that entry t belongs to
    time t; entry 0 stands for the clean z_0 (beta_0 = 0, alpha_bar_0 = 1). The betas grow linearly, by default as in Ho
    et al. (2020) but with T steps for their 1000, each as strong as 1000 / T of theirs.
    """

    def __init__(self, n_steps: int = 100, beta: torch.Tensor | None = None):
        if beta is None:
            beta = torch.linspace(1e-4, 0.02, n_steps, dtype=torch.float64) * (1000 / n_steps)
        if beta.dim() != 1 or len(beta) == 0 or not (0 < beta.min() and beta.max() < 1):
            raise ValueError("beta_1 ... beta_T must lie strictly between 0 and 1. The linear ones need n_steps > 20.")
        self.beta = torch.cat([torch.zeros(1, dtype=torch.float64), beta.double()])
        self.alpha = 1 - self.beta
        self.alpha_bar = self.alpha.cumprod(0)
        self.n_steps = len(beta)

    def noised(self, z0: torch.Tensor, t: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        """Return z_t = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) epsilon, all [B, J], for times t, int64 [B]."""
        alpha_bar = self.alpha_bar[t.cpu()].to(z0)[:, None]
        return alpha_bar.sqrt() * z0 + (1 - alpha_bar).sqrt() * epsilon

    def posterior(self, z0: torch.Tensor, zt: torch.Tensor, t: int) -> tuple[torch.Tensor, float]:
        """Return the mean, shaped like z0 and zt, and the variance of q(z_{t-1} | z_t, z_0) (Ho et al. 2020, eqs. 6, 7)."""
        before, now = self.alpha_bar[t - 1].item(), self.alpha_bar[t].item()
        beta, alpha = self.beta[t].item(), self.alpha[t].item()
        mean = (math.sqrt(before) * beta * z0 + math.sqrt(alpha) * (1 - before) * zt) / (1 - now)
        return mean, (1 - before) / (1 - now) * beta

    def reverse_mean(self, zt: torch.Tensor, epsilon: torch.Tensor, t: int) -> torch.Tensor:
        """Return the posterior mean with z_0 put in terms of z_t and epsilon, [B, J] (Ho et al. 2020, eq. 11)."""
        return (zt - self.beta[t].item() / math.sqrt(1 - self.alpha_bar[t].item()) * epsilon) / math.sqrt(self.alpha[t].item())

    def bound_weights(self, variance: torch.Tensor) -> torch.Tensor:
        """Return beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)), [T], t = 1 ... T, for variances sigma_t^2 [T] of p.

        This is the factor of the squared error of epsilon in the bound (Ho et al. 2020, eq. 12).
        """
        return self.beta[1:] ** 2 / (2 * variance * self.alpha[1:] * (1 - self.alpha_bar[1:]))


class Denoiser(nn.Module):
    """epsilon_theta(z_t, t): guesses the noise in z_t, [B, J] and times [B] -> [B, J]; and the chain it defines.

    epsilon_theta = sqrt(1 - alpha_bar_t) z_t + sqrt(alpha_bar_t) v_theta, where v_theta is a multilayer perceptron on z_t and
    t. The first part is the exact answer for z_0 ~ N(0, I), and v_theta, which starts at 0, learns how the data differ from
    that: it guesses v = sqrt(alpha_bar_t) epsilon - sqrt(1 - alpha_bar_t) z_0 (Salimans and Ho 2022). The reverse steps are
    p(z_{t-1} | z_t) = N(reverse_mean(z_t, epsilon_theta, t), sigma_t^2 I), with sigma_t^2 = beta_t.
    """

    def __init__(self, latent_dim: int = 20, hidden: int = 256, schedule: NoiseSchedule | None = None, seed: int = 0):
        super().__init__()
        self.latent_dim, self.schedule = latent_dim, schedule or NoiseSchedule()
        bar = self.schedule.alpha_bar.clamp(max=0.9999).float()[:, None]  # at t = 0, which is never asked for, not quite 1
        # t enters as what it means: the sizes of signal and noise in z_t, and the log of their ratio.
        self.register_buffer("time_features", torch.cat([bar.sqrt(), (1 - bar).sqrt(), torch.logit(bar) / 5], dim=1))  # [T + 1, 3]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Linear(latent_dim + 3, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
                nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, latent_dim))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, zt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return the guess of epsilon, [B, J], from z_t [B, J] and times t, int64 [B] in 1 ... T."""
        if zt.dim() != 2 or zt.shape[1] != self.latent_dim or t.shape != zt.shape[:1]:
            raise ValueError(f"z_t has shape {list(zt.shape)} and t {list(t.shape)}, expected [B, {self.latent_dim}] and [B].")
        signal, noise = self.time_features[t, 0:1], self.time_features[t, 1:2]
        return noise * zt + signal * self.layers(torch.cat([zt, self.time_features[t]], dim=1))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return n draws z_0, [n, J]: from z_T ~ N(0, I) down the learned chain (Ho et al. 2020, algorithm 2)."""
        device = _device_of(self)
        z = torch.randn(n, self.latent_dim, generator=generator, device=device)
        for t in range(self.schedule.n_steps, 0, -1):
            z = self.schedule.reverse_mean(z, self(z, torch.full((n,), t, device=device)), t)
            if t > 1:
                noise = torch.randn(z.shape, generator=generator, device=device)
                z = z + math.sqrt(self.schedule.beta[t].item()) * noise
        return z


def simple_loss(denoiser, z0: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return `|epsilon - epsilon_theta(z_t, t)|^2` at one random t per example, [B, J] -> [B] (Ho et al. 2020, eq. 14)."""
    t = torch.randint(1, denoiser.schedule.n_steps + 1, (len(z0),), generator=generator, device=z0.device)
    epsilon = torch.randn(z0.shape, generator=generator, device=z0.device, dtype=z0.dtype)
    return (epsilon - denoiser(denoiser.schedule.noised(z0, t, epsilon), t)).square().sum(dim=1)


@torch.no_grad()
def diffusion_bound_terms(denoiser, z0: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return the T + 1 terms L_0, ..., L_T of the bound -log p(z_0) <= sum_t L_t in nats, [B, J] -> [T + 1, B].

    Row t - 1 is the reverse step from z_t to z_{t-1}, estimated with one draw of z_t; L_T is the exact KL of z_T to N(0, I).
    `denoiser` is a Denoiser, or anything with a `schedule` and a call epsilon_theta(z_t, t); sigma_t^2 = beta_t.
    """
    schedule, J = denoiser.schedule, z0.shape[1]
    beta = schedule.beta[1:]
    posterior_variance = (1 - schedule.alpha_bar[:-1]) / (1 - schedule.alpha_bar[1:]) * beta
    ratio = posterior_variance[1:] / beta[1:]
    # What does not depend on the guess: of a density with variance beta_1 at t = 1, of a KL between Gaussians above.
    constants = torch.cat([J / 2 * torch.log(2 * math.pi * beta[:1]), J / 2 * (ratio - 1 - ratio.log())])
    terms = []
    for t, (weight, constant) in enumerate(zip(schedule.bound_weights(beta).tolist(), constants.tolist()), start=1):
        times = torch.full((len(z0),), t, device=z0.device)
        epsilon = torch.randn(z0.shape, generator=generator, device=z0.device, dtype=z0.dtype)
        error = (epsilon - denoiser(schedule.noised(z0, times, epsilon), times)).square().sum(dim=1)
        terms.append(weight * error + constant)
    last = schedule.alpha_bar[-1].to(z0)
    terms.append(gaussian_kl(last.sqrt() * z0, torch.log1p(-last).expand_as(z0)))
    return torch.stack(terms)


def fit_diffusion(denoiser: Denoiser, mu: torch.Tensor, logvar: torch.Tensor, *, steps: int = 2000, batch_size: int = 512,
                  learning_rate: float = 4e-3, seed: int = 0, device: torch.device | str | None = None,
                  progress: bool = True) -> Record:
    """Train the denoiser in place on codes z_0 ~ N(mu, diag(exp(logvar))), drawn afresh at each step; mu, logvar [N, J].

    Adam with a one-cycle learning rate on `simple_loss`, whose mean is recorded. The denoiser ends on `device`, also after
    the stop button (`interrupted` is then True). Raises ValueError for bad shapes, FloatingPointError if the loss stops
    being finite.
    """
    if mu.shape != logvar.shape or mu.dim() != 2 or mu.shape[1] != denoiser.latent_dim or steps < 1 or batch_size < 1:
        raise ValueError(f"mu and logvar have shapes {list(mu.shape)} and {list(logvar.shape)}, expected twice "
                         f"[N, {denoiser.latent_dim}]; steps and batch_size must be at least 1, got {steps} and {batch_size}.")
    device = torch.device(device) if device is not None else best_device()
    denoiser.to(device).train()
    mu, logvar = mu.to(device), logvar.to(device)
    noise = torch.Generator(device).manual_seed(seed)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=learning_rate, total_steps=steps, pct_start=0.1)

    def step():
        rows = torch.randint(len(mu), (batch_size,), generator=noise, device=device)
        z0 = reparameterize(mu[rows], logvar[rows], noise)
        loss = simple_loss(denoiser, z0, noise).mean()
        _update(optimizer, loss)
        schedule.step()
        return (loss.detach(),)

    record = _run(step, steps, progress, "squared error {:.2f}")
    denoiser.eval()
    return record


# -------------------------------------------------------------------------------------------------------- what both share

def _run(step: Callable[[], tuple], steps: int, progress: bool, show: str) -> Record:
    """Call step() -> losses so often, with a progress bar; stop early at the stop button, and with an error at NaN."""
    record, start, total, done = Record(), time.perf_counter(), 0, 0
    bar = tqdm(total=steps, disable=not progress, leave=False, unit="step")
    try:
        for done in range(1, steps + 1):
            total = total + torch.stack(step())  # summed on the device and detached: nothing waits for it
            if done % CHECK_EVERY == 0 or done == steps:
                count = done - CHECK_EVERY * len(record.losses)
                means = tuple((total / count).tolist())
                if not all(math.isfinite(value) for value in means):
                    raise FloatingPointError(f"A loss became {means} by step {done}. Lower the learning rate, and look for "
                                             "NaN in the data.")
                record.losses.append(means)
                total = 0
                bar.update(count)
                bar.set_postfix_str(show.format(*means))
    except KeyboardInterrupt:
        record.interrupted = True
        print(f"Interrupted in step {done} of {steps}. The model is usable as it is; run the cell again to train in full.")
    finally:
        bar.close()
        record.seconds = time.perf_counter() - start
    return record


def _update(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _endless_batches(n, batch_size, generator):
    """Yield full batches of row numbers for ever, in a new order in every epoch."""
    while True:
        for rows in torch.randperm(n, generator=generator, device=generator.device).split(batch_size):
            if len(rows) == batch_size:
                yield rows


def _device_of(model):
    return next(model.parameters()).device
