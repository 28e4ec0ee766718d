"""Thirty VAEs in thirty styles, for the tests of the check-up: ten healthy ones and twenty with one
fault each.

They were written before the check-up had been run on any of them. `HEALTHY` and `FAULTY` map a name
to a function that returns (model, loss, options of `checkup.examine`); a faulty one comes with the
names of findings that would be right.
"""

import torch
import torch.nn.functional as F
from torch import distributions as td
from torch import nn

D = 64  # pixels: 8 x 8


def images(n=200, seed=0, grey=False):
    """Blobs [n, 64] whose place and size vary, binary or grey."""
    g = torch.Generator().manual_seed(seed)
    grid = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"), -1)
    centre = 1.5 + 4 * torch.rand(n, 1, 1, 2, generator=g)
    width = 0.7 + torch.rand(n, 1, 1, generator=g)
    p = torch.exp(-((grid - centre) ** 2).sum(-1) / (2 * width**2)).flatten(1)
    return p if grey else torch.bernoulli(p, generator=g)


def mlp(*sizes, act=nn.ReLU):
    layers = []
    for a, b in zip(sizes[:-1], sizes[1:]):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1])


# --- the ordinary one, in parts that can be exchanged
# -----------------------------------------------------------------


class Plain(nn.Module):
    def __init__(self, j=4, h=32, out=None):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(D, h), nn.ReLU())
        self.fc21, self.fc22 = nn.Linear(h, j), nn.Linear(h, j)
        self.dec = nn.Sequential(
            nn.Linear(j, h), nn.ReLU(), nn.Linear(h, D), *([out] if out else [])
        )

    def encode(self, x):
        h = self.enc(x)
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def decode(self, z):
        return self.dec(z)

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def kld(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def bce(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum")


# --- healthy --------------------------------------------------------------------------------------
# --------------------


def healthy_sum():
    m = Plain()

    def loss(x):
        out, mu, logvar = m(x)
        return bce(out, x) + kld(mu, logvar)

    return m, loss, {}


def healthy_distributions():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e, self.d = mlp(D, 48, 2 * 3, act=nn.Tanh), mlp(3, 48, D, act=nn.Tanh)

        def q(self, x):
            loc, raw = self.e(x).chunk(2, -1)
            return td.Independent(td.Normal(loc, F.softplus(raw) + 1e-4), 1)

        def p(self, z):
            return td.Independent(td.Bernoulli(logits=self.d(z)), 1)

    m = M()
    prior = td.Independent(td.Normal(torch.zeros(3), torch.ones(3)), 1)

    def loss(x):
        q = m.q(x)
        z = q.rsample()
        return (td.kl_divergence(q, prior) - m.p(z).log_prob(x)).mean()

    return m, loss, {"encode": "q", "decode": "p"}


def healthy_monte_carlo_kl():
    m = Plain(j=5)

    def loss(x):
        mu, logvar = m.encode(x)
        q = td.Normal(mu, (0.5 * logvar).exp())
        z = q.rsample()
        kl = (q.log_prob(z) - td.Normal(0.0, 1.0).log_prob(z)).sum(1)
        return (
            F.binary_cross_entropy_with_logits(m.decode(z), x, reduction="none").sum(1) + kl
        ).mean()

    return m, loss, {}


def healthy_conv():
    class Conv(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(1, 8, 3, 2, 1),
                nn.BatchNorm2d(8),
                nn.LeakyReLU(),
                nn.Conv2d(8, 16, 3, 2, 1),
                nn.BatchNorm2d(16),
                nn.LeakyReLU(),
                nn.Flatten(),
            )
            self.mean, self.log_var = nn.Linear(64, 6), nn.Linear(64, 6)
            self.up = nn.Linear(6, 64)
            self.generator = nn.Sequential(
                nn.Unflatten(1, (16, 2, 2)),
                nn.ConvTranspose2d(16, 8, 4, 2, 1),
                nn.BatchNorm2d(8),
                nn.LeakyReLU(),
                nn.ConvTranspose2d(8, 1, 4, 2, 1),
                nn.Sigmoid(),
            )

        def forward(self, x):
            f = self.features(x)
            mean, log_var = self.mean(f), self.log_var(f)
            eps = torch.randn(mean.size(0), mean.size(1))
            return self.generator(self.up(mean + eps * log_var.mul(0.5).exp())), mean, log_var

    m = Conv()

    def loss(x):
        r, mean, log_var = m(x)
        return F.binary_cross_entropy(r, x, reduction="none").sum((1, 2, 3)).mean() + kld(
            mean, log_var
        ) / len(x)

    m.whole = nn.Sequential(m.up, m.generator)
    m.up, m.generator = m.whole, nn.Identity()
    return m, loss, {"encode": ("mean", "log_var"), "decode": "up", "shape": (1, 8, 8)}


def healthy_gaussian_learned():
    m = Plain(j=3)
    m.log_noise = nn.Parameter(torch.tensor(-1.0))

    def loss(x):
        out, mu, logvar = m(x)
        return -td.Normal(out, m.log_noise.exp()).log_prob(x).sum() / len(x) + kld(
            mu, logvar
        ) / len(x)

    return m, loss, {}


def healthy_log_sigma():
    m = Plain(j=2, out=nn.Sigmoid())

    def loss(x):
        mu, ls = m.encode(x)
        z = mu + ls.exp() * torch.randn(mu.shape)
        p = m.decode(z)
        kl = (0.5 * (mu**2 + (2 * ls).exp() - 1) - ls).sum(-1)
        return (-(x * p.log() + (1 - x) * (1 - p).log()).sum(-1) + kl).mean()

    return m, loss, {}


def healthy_conditional():
    m = Plain(j=4)
    m.dec = mlp(4 + 2, 32, D)

    def loss(x):
        y = F.one_hot((x.sum(1) > 10).long(), 2).float()
        mu, logvar = m.encode(x)
        z = m.reparameterize(mu, logvar)
        return (bce(m.decode(torch.cat([z, y], 1)), x) + kld(mu, logvar)) / len(x)

    return m, loss, {}


def healthy_annealed_end():
    m = Plain(j=8)
    m.step = 10_000

    def loss(x):
        m.step += 1
        beta = min(1.0, m.step / 1000)
        out, mu, logvar = m(x)
        return (bce(out, x) + beta * kld(mu, logvar)) / x.shape[0]

    return m, loss, {}


def healthy_sigma_relu_safe():
    m = Plain(j=4)

    def encode(x):
        h = m.enc(x)
        return m.fc21(h), F.softplus(m.fc22(h)) + 1e-6

    m.encode = encode

    def loss(x):
        mu, sigma = m.encode(x)
        z = torch.normal(torch.zeros_like(mu), torch.ones_like(mu)) * sigma + mu
        kl = (mu**2 + sigma**2).sum() / 2 - sigma.log().sum() - mu.numel() / 2
        return (bce(m.decode(z), x) + kl) / len(x)

    return m, loss, {}


def healthy_sum_of_squares():
    m = Plain(j=16, h=64)

    def loss(x):
        out, mu, logvar = m(x)
        return ((out - x) ** 2).sum(1).mean() + kld(mu, logvar) / len(x)

    return m, loss, {}


# --- faulty ---------------------------------------------------------------------------------------
# --------------------


def with_loss(change, **options):
    def build():
        m = Plain(**options)
        return m, lambda x: change(m, x), {}

    return build


def faulty_mean_bce(m, x):
    out, mu, logvar = m(x)
    return F.binary_cross_entropy_with_logits(out, x) + kld(mu, logvar) / len(x)


def faulty_torch_mean_kl(m, x):
    out, mu, logvar = m(x)
    return bce(out, x) / len(x) - 0.5 * torch.mean(1 + logvar - mu**2 - logvar.exp())


def faulty_sample(m, x):
    mu, logvar = m.encode(x)
    z = td.Normal(mu, torch.exp(0.5 * logvar)).sample()
    return (bce(m.decode(z), x) + kld(mu, logvar)) / len(x)


def faulty_no_grad(m, x):
    mu, logvar = m.encode(x)
    with torch.no_grad():
        std = torch.exp(0.5 * logvar)
    z = mu + std * torch.randn_like(std)
    return (bce(m.decode(z), x) + kld(mu, logvar)) / len(x)


def faulty_exp_logvar(m, x):
    mu, logvar = m.encode(x)
    z = mu + logvar.exp() * torch.randn_like(mu)
    return (bce(m.decode(z), x) + kld(mu, logvar)) / len(x)


def faulty_missing_logvar(m, x):
    out, mu, logvar = m(x)
    return (bce(out, x) + 0.5 * (mu.pow(2) + logvar.exp() - 1).sum()) / len(x)


def faulty_sign(m, x):
    out, mu, logvar = m(x)
    return (bce(out, x) - kld(mu, logvar)) / len(x)


def faulty_one_eps(m, x):
    mu, logvar = m.encode(x)
    z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape[1])
    return (bce(m.decode(z), x) + kld(mu, logvar)) / len(x)


def faulty_scalar_eps(m, x):
    mu, logvar = m.encode(x)
    z = mu + torch.exp(0.5 * logvar) * torch.randn(len(mu), 1)
    return (bce(m.decode(z), x) + kld(mu, logvar)) / len(x)


def faulty_seed(m, x):
    torch.manual_seed(42)
    out, mu, logvar = m(x)
    return (bce(out, x) + kld(mu, logvar)) / len(x)


def faulty_rand(m, x):
    mu, logvar = m.encode(x)
    z = mu + torch.exp(0.5 * logvar) * torch.rand_like(mu)
    return (bce(m.decode(z), x) + kld(mu, logvar)) / len(x)


def faulty_sigmoid_twice(m, x):
    out, mu, logvar = m(x)
    return (bce(torch.sigmoid(out), x) + kld(mu, logvar)) / len(x)


def faulty_mse_mean(m, x):
    out, mu, logvar = m(x)
    return F.mse_loss(torch.sigmoid(out), x) + kld(mu, logvar) / len(x)


def faulty_normalised(m, x):
    x = (x - 0.13) / 0.31
    out, mu, logvar = m(x)
    return (bce(out, x) + kld(mu, logvar)) / len(x)


def faulty_eps_in_log(m, x):
    out, mu, logvar = m(x)
    p = torch.sigmoid(out)
    return (
        -(x * torch.log(p + 1e-8) + (1 - x) * torch.log(1 - p + 1e-8)).sum() + kld(mu, logvar)
    ) / len(x)


def faulty_small_eps(m, x):
    mu, logvar = m.encode(x)
    z = mu + 0.1 * torch.exp(0.5 * logvar) * torch.randn_like(mu)
    return (bce(m.decode(z), x) + kld(mu, logvar)) / len(x)


def faulty_forgotten_kl(m, x):
    out, mu, logvar = m(x)
    kl = kld(mu, logvar)  # noqa: F841
    return bce(out, x) / len(x)


def faulty_twice_divided(m, x):
    out, mu, logvar = m(x)
    return bce(out, x) / len(x) + kld(mu, logvar) / len(x) ** 2


def faulty_relu_logvar():
    m = Plain()
    m.encode = lambda x: (m.fc21(m.enc(x)), F.relu(m.fc22(m.enc(x))))

    def loss(x):
        out, mu, logvar = m(x)
        return (bce(out, x) + kld(mu, logvar)) / len(x)

    return m, loss, {}


def faulty_dropout_evaluation():
    m = Plain()
    m.dec = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, D))

    def loss(x):
        out, mu, logvar = m(x)
        return (bce(out, x) + kld(mu, logvar)) / len(x)

    def evaluate(x):
        with torch.no_grad():
            return -sum(loss(b).item() * len(b) for b in x.split(50)) / len(x)

    return m, loss, {"evaluate": evaluate}


HEALTHY = {
    f.__name__.removeprefix("healthy_"): f
    for f in (
        healthy_sum,
        healthy_distributions,
        healthy_monte_carlo_kl,
        healthy_conv,
        healthy_gaussian_learned,
        healthy_log_sigma,
        healthy_conditional,
        healthy_annealed_end,
        healthy_sigma_relu_safe,
        healthy_sum_of_squares,
    )
}

FAULTY = {
    "mean bce": (with_loss(faulty_mean_bce), {"beta"}),
    "mean kl over units": (with_loss(faulty_torch_mean_kl), {"beta"}),
    "sample for rsample": (with_loss(faulty_sample), {"detached-draw"}),
    "sigma under no_grad": (with_loss(faulty_no_grad), {"no-gradient-spread"}),
    "exp(logvar)": (with_loss(faulty_exp_logvar), {"readings-differ"}),
    "logvar missing in the KL": (with_loss(faulty_missing_logvar), {"kl-formula"}),
    "sign of the KL": (with_loss(faulty_sign), {"kl-sign"}),
    "one epsilon for the batch": (with_loss(faulty_one_eps), {"shared-epsilon"}),
    "one epsilon for the units": (with_loss(faulty_scalar_eps), {"shared-epsilon"}),
    "seed inside": (with_loss(faulty_seed), {"seed-inside"}),
    "rand for randn": (with_loss(faulty_rand), {"epsilon-mean"}),
    "sigmoid twice": (with_loss(faulty_sigmoid_twice), {"sigmoid-twice"}),
    "mse by mean": (with_loss(faulty_mse_mean), {"beta"}),
    "normalised pixels under a Bernoulli": (with_loss(faulty_normalised), {"inputs-outside"}),
    "epsilon in the log": (with_loss(faulty_eps_in_log), {"clamped"}),
    "epsilon of scale 0.1": (with_loss(faulty_small_eps), {"draw-variance"}),
    "KL not added": (with_loss(faulty_forgotten_kl), {"no-kl"}),
    "KL divided twice": (with_loss(faulty_twice_divided), {"kl-batch"}),
    "relu on logvar": (faulty_relu_logvar, {"spread-activation"}),
    "dropout in the evaluation": (faulty_dropout_evaluation, {"train-mode"}),
}
