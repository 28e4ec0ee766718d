"""The small diffusion model of notebook 09, a preview of Lecture 13.

The bound's terms are per example, [B], in nats. `simple_loss` is a squared error, without a unit,
because the weights that would make it nats are left out.
"""

import math
from collections import deque
from collections.abc import Iterator

from lecture_utils.objectives import (
    gaussian_kl,
    reparameterize,
    standard_normal_log_density,
)
from lecture_utils.training import (
    LOOK_EVERY,
    History,
    best_device,
    generators,
    one_cycle,
    training_loop,
    updater,
)

import torch
from torch import nn


class NoiseSchedule:
    """The fixed noise of a diffusion, q(z_t | z_{t-1}) = N(sqrt(1 - beta_t) z_{t-1}, beta_t I), t =
    1 ... T.

    `beta`, `alpha` = 1 - beta and `alpha_bar` (the product of the alphas) are float64 [T + 1], so
    that entry t belongs to time t; entry 0 stands for the clean z_0 (beta_0 = 0, alpha_bar_0 = 1).
    The betas grow linearly, by default as in Ho et al. (2020) but with T steps for their 1000, each
    as strong as 1000 / T of theirs. Raises ValueError unless all lie strictly between 0 and 1.
    """

    def __init__(self, n_steps: int = 100, beta: torch.Tensor | None = None):
        if beta is None:
            beta = torch.linspace(1e-4, 0.02, n_steps, dtype=torch.float64) * (1000 / n_steps)
        if beta.dim() != 1 or len(beta) == 0 or not (beta.min() > 0 and beta.max() < 1):
            raise ValueError(
                "beta_1 ... beta_T must lie strictly between 0 and 1. The linear ones need "
                "n_steps > 20."
            )
        self.beta = torch.cat([torch.zeros(1, dtype=torch.float64), beta.double()])
        self.alpha = 1 - self.beta
        self.alpha_bar = self.alpha.cumprod(0)
        self.n_steps = len(beta)

    def noised(self, z0: torch.Tensor, t: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        """Return z_t = sqrt(alpha_bar_t) z_0 + sqrt(1 - alpha_bar_t) epsilon, all [B, J], for times
        t, int64 [B]."""
        alpha_bar = self.alpha_bar[t.cpu()].to(z0)[:, None]
        return alpha_bar.sqrt() * z0 + (1 - alpha_bar).sqrt() * epsilon

    def posterior(self, z0: torch.Tensor, zt: torch.Tensor, t: int) -> tuple[torch.Tensor, float]:
        """Return the mean, shaped like z0 and zt, and the variance of q(z_{t-1} | z_t, z_0) (Ho et
        al. 2020, eqs. 6, 7)."""
        before, now = self.alpha_bar[t - 1].item(), self.alpha_bar[t].item()
        beta, alpha = self.beta[t].item(), self.alpha[t].item()
        mean = (math.sqrt(before) * beta * z0 + math.sqrt(alpha) * (1 - before) * zt) / (1 - now)
        return mean, (1 - before) / (1 - now) * beta

    def reverse_mean(self, zt: torch.Tensor, epsilon: torch.Tensor, t: int) -> torch.Tensor:
        """Return the posterior mean with z_0 put in terms of z_t and epsilon, [B, J] (Ho et al.
        2020, eq. 11)."""
        return (
            zt - self.beta[t].item() / math.sqrt(1 - self.alpha_bar[t].item()) * epsilon
        ) / math.sqrt(self.alpha[t].item())

    def bound_weights(self, variance: torch.Tensor) -> torch.Tensor:
        """Return beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)), [T], t = 1 ... T, for
        variances sigma_t^2 [T] of p.

        This is the factor of the squared error of epsilon in the bound (Ho et al. 2020, eq. 12).
        """
        return self.beta[1:] ** 2 / (2 * variance * self.alpha[1:] * (1 - self.alpha_bar[1:]))


class Denoiser(nn.Module):
    """epsilon_theta(z_t, t): guesses the noise in z_t, [B, J] and times [B] -> [B, J]; and the
    chain it defines.

    epsilon_theta = sqrt(1 - alpha_bar_t) z_t + sqrt(alpha_bar_t) v_theta, where v_theta is a
    multilayer perceptron on z_t and t. The first part is the exact answer for z_0 ~ N(0, I), and
    v_theta, which starts at 0, learns how the data differ from that: it guesses v =
    sqrt(alpha_bar_t) epsilon - sqrt(1 - alpha_bar_t) z_0 (Salimans and Ho 2022). The reverse steps
    are p(z_{t-1} | z_t) = N(reverse_mean(z_t, epsilon_theta, t), sigma_t^2 I), with sigma_t^2 =
    beta_t.
    """

    def __init__(
        self,
        latent_dim: int = 20,
        hidden: int = 256,
        schedule: NoiseSchedule | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.latent_dim, self.schedule = latent_dim, schedule or NoiseSchedule()
        bar = self.schedule.alpha_bar.clamp(max=0.9999).float()[
            :, None
        ]  # at t = 0, which is never asked for, not quite 1
        # t enters as what it means: the sizes of signal and noise in z_t, and the log of their
        # ratio.
        # [T + 1, 3].
        self.register_buffer(
            "time_features", torch.cat([bar.sqrt(), (1 - bar).sqrt(), torch.logit(bar) / 5], dim=1)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Linear(latent_dim + 3, hidden),
                nn.SiLU(),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, latent_dim),
            )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, zt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return the guess of epsilon, [B, J], from z_t [B, J] and times t, int64 [B] in 1 ...
        T. Raises ValueError for other shapes."""
        if zt.dim() != 2 or zt.shape[1] != self.latent_dim or t.shape != zt.shape[:1]:
            raise ValueError(
                f"z_t has shape {list(zt.shape)} and t {list(t.shape)}, expected [B, "
                f"{self.latent_dim}] and [B]."
            )
        signal, noise = self.time_features[t, 0:1], self.time_features[t, 1:2]
        return noise * zt + signal * self.layers(torch.cat([zt, self.time_features[t]], dim=1))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return n draws z_0, [n, J], down the learned chain (`reverse_chain`)."""
        return _last(reverse_chain(self, n, generator, self.layers[0].weight.device))


class MixtureDenoiser:
    """The perfect denoiser of data from a mixture of Gaussians, E[epsilon | z_t], exactly.

    Noise added to a mixture gives a mixture: q(z_t) = sum_k w_k N(sqrt(alpha_bar_t) m_k,
    alpha_bar_t S_k + (1 - alpha_bar_t) I). So log q(z_t) and its gradient, the score, are closed
    forms, and Tweedie's formula (Efron 2011) turns the score into the best guess of the noise. It
    is called like a `Denoiser`, and stands in for one wherever a perfect one is needed.
    """

    def __init__(
        self,
        weights: torch.Tensor,
        means: torch.Tensor,
        covariances: torch.Tensor,
        schedule: NoiseSchedule | None = None,
    ):
        """`weights` [K] add up to 1, `means` are [K, J], `covariances` [K, J, J]; all are kept in
        float64. Raises ValueError for other shapes."""
        weights, means, covariances = (
            torch.as_tensor(part, dtype=torch.float64) for part in (weights, means, covariances)
        )
        K, J = means.shape if means.dim() == 2 else (0, 0)
        if weights.shape != (K,) or covariances.shape != (K, J, J) or K == 0:
            raise ValueError(
                f"weights, means and covariances have shapes {list(weights.shape)}, "
                f"{list(means.shape)} and {list(covariances.shape)}, expected [K], [K, J] and "
                "[K, J, J]. A fitted GaussianMixture has all three with covariance_type='full'."
            )
        self.latent_dim, self.schedule = J, schedule or NoiseSchedule()
        self.log_weights, self.means = weights.log(), means
        self.variances, self.axes = torch.linalg.eigh(covariances)  # [K, J], and [K, J, J]

    @classmethod
    def of(cls, mixture, schedule: NoiseSchedule | None = None) -> "MixtureDenoiser":
        """Return that of a fitted `sklearn.mixture.GaussianMixture` with full covariances."""
        return cls(mixture.weights_, mixture.means_, mixture.covariances_, schedule)

    def draw(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return n draws from the mixture itself, without a chain, float32 [n, J]."""
        k = torch.multinomial(self.log_weights.exp(), n, replacement=True, generator=generator)
        along = torch.randn(n, self.latent_dim, generator=generator, dtype=torch.float64)
        along = self.variances[k].sqrt() * along
        return (self.means[k] + torch.einsum("nj,nij->ni", along, self.axes[k])).float()

    def _by_component(self, zt, t):
        """Per component, in its principal axes: log w_k + log N(z_t), and (z_t - mean) / variance.

        [B, K] and [B, K, J], float64.
        """
        bar = self.schedule.alpha_bar[t.cpu()][:, None, None]
        apart = zt.cpu().double()[:, None] - bar.sqrt() * self.means
        variances = bar * self.variances + 1 - bar  # [B, K, J]
        apart = torch.einsum("bkj,kji->bki", apart, self.axes)
        log_density = -0.5 * (apart**2 / variances + torch.log(2 * math.pi * variances)).sum(dim=2)
        return self.log_weights + log_density, apart / variances

    def log_density(self, zt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return log q(z_t) in nats, float64 [B], for z_t [B, J] and times t, int64 [B] in 0 ...
        T."""
        log_q = torch.empty(len(zt), dtype=torch.float64)
        for rows in torch.arange(len(zt)).split(500):  # all at once need B * K * J numbers
            log_q[rows] = torch.logsumexp(self._by_component(zt[rows], t[rows])[0], dim=1)
        return log_q

    def score(self, zt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return the gradient of log q(z_t) with respect to z_t, float64 [B, J], at times t [B]."""
        joint, pull = self._by_component(zt, t)
        shares = torch.softmax(joint, dim=1)[:, :, None]
        return -torch.einsum("bki,kji->bj", shares * pull, self.axes)

    def curvature(self, zt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return the second derivatives of log q(z_t), float64 [B, J, J], at times t [B]."""
        joint, pull = self._by_component(zt, t)
        shares, pull = torch.softmax(joint, dim=1), torch.einsum("bki,kji->bkj", pull, self.axes)
        bar = self.schedule.alpha_bar[t.cpu()][:, None, None]
        precision = shares[:, :, None] / (bar * self.variances + 1 - bar)  # [B, K, J]
        within = torch.einsum("bki,kji,kli->bjl", precision, self.axes, self.axes)
        score = torch.einsum("bk,bkj->bj", shares, pull)
        between = torch.einsum("bk,bkj,bkl->bjl", shares, pull, pull)
        return between - score[:, :, None] * score[:, None] - within

    def __call__(self, zt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return E[epsilon | z_t] = -sqrt(1 - alpha_bar_t) times the score, [B, J], as z_t is."""
        noise = (1 - self.schedule.alpha_bar[t.cpu()]).sqrt()[:, None]
        return (-noise * self.score(zt, t)).to(zt)

    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Return n draws z_0, float32 [n, J] on the CPU, down the chain that it defines."""
        return _last(reverse_chain(self, n, generator, "cpu"))


@torch.no_grad()
def reverse_chain(
    denoiser, n: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
) -> Iterator[torch.Tensor]:
    """Yield z_T, z_{T-1}, ..., z_0, each [n, J]: from N(0, I) down the chain (Ho et al. 2020,
    algorithm 2).

    `denoiser` is a Denoiser, or anything with `latent_dim`, `schedule` and a call. The last step
    adds no noise.
    """
    schedule = denoiser.schedule
    z = torch.randn(n, denoiser.latent_dim, generator=generator, device=device)
    yield z
    for t in range(schedule.n_steps, 0, -1):
        z = schedule.reverse_mean(z, denoiser(z, torch.full((n,), t, device=device)), t)
        if t > 1:
            noise = torch.randn(z.shape, generator=generator, device=device)
            z = z + math.sqrt(schedule.beta[t].item()) * noise
        yield z


def _last(chain):
    """The end of a chain; what went before is not kept."""
    (z0,) = deque(chain, maxlen=1)
    return z0


def simple_loss(
    denoiser, z0: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return `|epsilon - epsilon_theta(z_t, t)|^2` at one random t per example, [B, J] -> [B] (Ho
    et al. 2020, eq. 14)."""
    t = torch.randint(
        1, denoiser.schedule.n_steps + 1, (len(z0),), generator=generator, device=z0.device
    )
    epsilon = torch.randn(z0.shape, generator=generator, device=z0.device, dtype=z0.dtype)
    return (epsilon - denoiser(denoiser.schedule.noised(z0, t, epsilon), t)).square().sum(dim=1)


@torch.no_grad()
def diffusion_bound_terms(
    denoiser, z0: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return the T + 1 terms C_0, ..., C_T of the bound -log p(z_0) <= sum_t C_t in nats, [B, J] ->
    [T + 1, B]. (Ho et al. 2020 call them L_t.)

    Row t - 1 is the reverse step from z_t to z_{t-1}, estimated with one draw of z_t; C_T is the
    exact KL of z_T to N(0, I). `denoiser` is a Denoiser, or anything with a `schedule` and a call
    epsilon_theta(z_t, t); sigma_t^2 = beta_t.
    """
    schedule, J = denoiser.schedule, z0.shape[1]
    beta = schedule.beta[1:]
    posterior_variance = (1 - schedule.alpha_bar[:-1]) / (1 - schedule.alpha_bar[1:]) * beta
    ratio = posterior_variance[1:] / beta[1:]
    # What does not depend on the guess: of a density with variance beta_1 at t = 1, of a KL between
    # Gaussians above.
    constants = torch.cat(
        [J / 2 * torch.log(2 * math.pi * beta[:1]), J / 2 * (ratio - 1 - ratio.log())]
    )
    terms = torch.empty(schedule.n_steps + 1, len(z0), dtype=z0.dtype, device=z0.device)
    for t, (weight, constant) in enumerate(
        zip(schedule.bound_weights(beta).tolist(), constants.tolist()), start=1
    ):
        times = torch.full((len(z0),), t, device=z0.device)
        epsilon = torch.randn(z0.shape, generator=generator, device=z0.device, dtype=z0.dtype)
        error = (epsilon - denoiser(schedule.noised(z0, times, epsilon), times)).square().sum(dim=1)
        terms[t - 1] = weight * error + constant
    last = schedule.alpha_bar[-1].to(z0)
    terms[-1] = gaussian_kl(last.sqrt() * z0, torch.log1p(-last).expand_as(z0))
    return terms


@torch.no_grad()
def lost_by_the_chain(
    mixture: MixtureDenoiser, z0: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return by how many nats the bound of the mixture's perfect chain misses log q(z_0), [B, J] ->
    float64 [B].

    log q(z_0, ..., z_T) - log p(z_0, ..., z_T) on one path z_1, ..., z_T ~ q(. | z_0) for each z_0.
    Its mean over paths is log q(z_0) minus the bound, the same as by `diffusion_bound_terms`; but a
    chain that is nearly perfect has nearly the same ratio on every path, so it varies far less. If
    z_0 is drawn from the mixture, the mean is the KL of the two joint densities: never negative.
    """
    schedule, z = mixture.schedule, z0.cpu().double().clone()
    lost = mixture.log_density(z, torch.zeros(len(z), dtype=torch.int64))
    for t in range(1, schedule.n_steps + 1):
        beta = schedule.beta[t].item()
        forward = math.sqrt(schedule.alpha[t].item()) * z
        after = forward + math.sqrt(beta) * torch.randn(z.shape, generator=generator).double()
        guess = mixture(after, torch.full((len(z),), t))
        back = schedule.reverse_mean(after, guess, t)
        # log N(z_t; forward, beta) - log N(z_{t-1}; back, beta): the variances are the same.
        lost += ((z - back).square() - (after - forward).square()).sum(dim=1) / (2 * beta)
        z.copy_(after)  # small tensors kept between large ones would let the memory grow
    return lost - standard_normal_log_density(z)


@torch.no_grad()
def least_lost_by_the_chain(
    mixture: MixtureDenoiser, z0: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return what `lost_by_the_chain` is at least, in the mean over z0 [B, J] from the mixture: the
    terms of that mean, in nats, float64 [B].

    The true step back has the mean of the chain's step and, by the second-order Tweedie formula,
    the covariance beta (I + beta H) / alpha, H = `curvature`. Of all densities with this mean and
    covariance the Gaussian is nearest to the chain's step N(mean, beta I): at a divergence of half
    the sum of r - 1 - log r over the eigenvalues r of (I + beta H) / alpha. One z_t for each step.
    """
    schedule, z0 = mixture.schedule, z0.cpu().double()
    least = torch.zeros(len(z0), dtype=torch.float64)
    for t in range(1, schedule.n_steps + 1):
        times = torch.full((len(z0),), t)
        zt = schedule.noised(z0, times, torch.randn(z0.shape, generator=generator).double())
        beta, alpha = schedule.beta[t].item(), schedule.alpha[t].item()
        ratio = (1 + beta * torch.linalg.eigvalsh(mixture.curvature(zt, times))) / alpha
        least += 0.5 * (ratio - 1 - ratio.log()).sum(dim=1)
    return least


def fit_diffusion(
    denoiser: Denoiser,
    mu: torch.Tensor,
    logvar: torch.Tensor,
    *,
    steps: int = 2000,
    batch_size: int = 512,
    learning_rate: float = 4e-3,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> History:
    """Train the denoiser in place on codes z_0 ~ N(mu, diag(exp(logvar))); mu, logvar [N, J].

    The codes are drawn afresh at each step. Adam with a one-cycle learning rate on `simple_loss`,
    whose mean over 50 steps the history holds as "squared error". The denoiser ends on `device`,
    also after the stop button (`interrupted` is then True). Raises ValueError for bad shapes,
    FloatingPointError if the loss stops being finite.
    """
    fits = mu.shape == logvar.shape and mu.dim() == 2 and mu.shape[1] == denoiser.latent_dim
    if not fits or steps < 1 or batch_size < 1:
        raise ValueError(
            f"mu and logvar have shapes {list(mu.shape)} and {list(logvar.shape)}, expected twice "
            f"[N, {denoiser.latent_dim}]; steps and batch_size must be at least 1, got {steps} "
            f"and {batch_size}."
        )
    device = torch.device(device) if device is not None else best_device()
    denoiser.to(device).train()
    mu, logvar = mu.to(device), logvar.to(device)
    order, codes, noise = generators(seed, device)
    adam = torch.optim.Adam(denoiser.parameters(), lr=learning_rate, fused=True)
    update = updater(adam, steps, one_cycle)

    def step():
        rows = torch.randint(len(mu), (batch_size,), generator=order, device=device)
        z0 = reparameterize(mu[rows], logvar[rows], codes)
        losses = simple_loss(denoiser, z0, noise)
        update(losses.mean())
        return {"squared error": losses}

    history = training_loop(step, steps, LOOK_EVERY, progress=progress)
    denoiser.eval()
    return history
