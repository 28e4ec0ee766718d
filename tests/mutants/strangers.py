"""Thirty VAEs by somebody who had not seen the check-up: ten healthy, twenty with one fault each.

They are trained for a moment, as people's models are when they are worried about. `healthy()` and
`faulty()` yield a name, what `checkup.examine` takes, and for the faulty ones the finding that
names the fault. When they were first examined, 20 of 20 faults were named, and one healthy model of
ten raised an alarm: sharp Gaussian pixels, whose codes lie far apart while the model is young.
"""

import math
import types

from lecture_utils import data

import torch
import torch.distributions as D
import torch.nn as nn
import torch.nn.functional as F

GENERATOR = torch.Generator().manual_seed(5)
IMAGES = data.load_mnist().train_images
GREY = IMAGES[torch.randperm(len(IMAGES), generator=GENERATOR)[:3000]].float() / 255
BIN = torch.bernoulli(GREY, generator=GENERATOR)


def train(module, loss, x, steps=250, lr=2e-3, bs=100):
    opt = torch.optim.Adam(module.parameters(), lr=lr)
    module.train()
    for _ in range(steps):
        value = loss(x[torch.randint(0, len(x), (bs,))]).mean()
        opt.zero_grad()
        value.backward()
        opt.step()
    return module


# ---------- style A: two heads, F-functions, class with forward
class A(nn.Module):
    def __init__(s, H=96, J=8, relu_lv=False, out=None, drop=0.0):
        super().__init__()
        s.enc = nn.Sequential(nn.Linear(784, H), nn.ReLU(), nn.Dropout(drop))
        s.fc_mu, s.fc_lv = nn.Linear(H, J), nn.Linear(H, J)
        s.dec = nn.Sequential(
            nn.Linear(J, H), nn.ReLU(), nn.Linear(H, 784), *([out] if out else [])
        )
        s.relu_lv = relu_lv

    def encode(s, x):
        h = s.enc(x)
        lv = s.fc_lv(h)
        return s.fc_mu(h), F.relu(lv) if s.relu_lv else lv

    def decode(s, z):
        return s.dec(z)

    def reparam(s, mu, lv):
        return mu + torch.exp(0.5 * lv) * torch.randn_like(mu)

    def forward(s, x):
        mu, lv = s.encode(x)
        z = s.reparam(mu, lv)
        return s.decode(z), mu, lv


def kl(mu, lv):
    return -0.5 * (1 + lv - mu**2 - lv.exp()).sum(1)


def bce(y, x):
    return F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(1)


def a(make_loss, x=BIN, steps=250, lr=2e-3, model=None, **kw):
    torch.manual_seed(1)
    m = model or A(**kw.pop("net", {}))
    L = make_loss(m)
    train(m, L, x, steps, lr)
    return dict(model=m, x=x[:200], loss=L, trained=steps > 0, **kw)


def std(m, w=1.0):
    def L(x):
        y, mu, lv = m(x)
        return (bce(y, x) + w * kl(mu, lv)).mean()

    return L


# ---------- style B: torch.distributions, softplus sigma
class B(nn.Module):
    def __init__(s, J=6, rs=True):
        super().__init__()
        s.net = nn.Sequential(nn.Linear(784, 128), nn.Tanh(), nn.Linear(128, 2 * J))
        s.gen = nn.Sequential(nn.Linear(J, 128), nn.Tanh(), nn.Linear(128, 784))
        s.rs = rs

    def posterior(s, x):
        loc, raw = s.net(x).chunk(2, -1)
        return D.Normal(loc, F.softplus(raw) + 1e-4)

    def likelihood(s, z):
        return D.Independent(D.Bernoulli(logits=s.gen(z)), 1)

    def neg_elbo(s, x):
        q = s.posterior(x)
        z = q.rsample() if s.rs else q.sample()
        return -s.likelihood(z).log_prob(x) + D.kl_divergence(q, D.Normal(0.0, 1.0)).sum(-1)


# ---------- style C: conv, one tensor chunk, log sigma
class C(nn.Module):
    def __init__(s, J=10, bn=False):
        super().__init__()
        n = nn.BatchNorm2d if bn else nn.Identity
        s.down = nn.Sequential(
            nn.Conv2d(1, 8, 4, 2, 1),
            n(8),
            nn.GELU(),
            nn.Conv2d(8, 16, 4, 2, 1),
            n(16),
            nn.GELU(),
            nn.Flatten(),
            nn.Linear(16 * 49, 2 * J),
        )
        s.up = nn.Sequential(
            nn.Linear(J, 16 * 49),
            nn.Unflatten(1, (16, 7, 7)),
            nn.GELU(),
            nn.ConvTranspose2d(16, 8, 4, 2, 1),
            nn.GELU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1),
        )

    def encoder(s, x):
        mu, ls = s.down(x).chunk(2, 1)
        return mu, ls

    def decoder(s, z):
        return s.up(z)

    def step(s, x):
        mu, ls = s.encoder(x)
        z = mu + ls.exp() * torch.randn_like(ls)
        rec = F.binary_cross_entropy_with_logits(s.decoder(z), x, reduction="sum") / len(x)
        k = (0.5 * (mu.pow(2) + (2 * ls).exp() - 1) - ls).sum(1).mean()
        return rec + k


def healthy():
    yield "plain", a(std)
    torch.manual_seed(2)
    m = B()
    train(m, m.neg_elbo, BIN)
    yield (
        "distributions, softplus sigma",
        {"model": m, "x": BIN[:200], "loss": m.neg_elbo, "encode": "posterior", "decode": "gen"},
    )
    m = C()
    xi = BIN.view(-1, 1, 28, 28)
    train(m, m.step, xi, 120)
    yield (
        "conv, log sigma",
        {"model": m, "x": xi[:200], "loss": m.step, "encode": "encoder", "decode": "decoder"},
    )

    def h4(m):
        def L(x):
            y, mu, lv = m(x)
            p = torch.sigmoid(y)
            return (-D.Normal(p, 0.1).log_prob(x).sum(1) + kl(mu, lv)).mean()

        return L

    yield "Gaussian sigma 0.1 grey", a(h4, GREY)

    class G(A):
        def __init__(s):
            super().__init__()
            s.ls = nn.Parameter(torch.zeros(()))

    def h5(m):
        def L(x):
            y, mu, lv = m(x)
            v = (2 * m.ls).exp()
            return (
                ((x - y) ** 2 / v + 2 * m.ls + math.log(2 * math.pi)).sum(1) / 2 + kl(mu, lv)
            ).mean()

        return L

    torch.manual_seed(3)
    yield "Gaussian learned sigma", a(h5, GREY, model=G())
    # H6 functional
    mod = types.ModuleType("fn")
    P = nn.ParameterDict()
    torch.manual_seed(4)
    for n, (i, o) in {"e1": (784, 64), "e2": (64, 10), "d1": (5, 64), "d2": (64, 784)}.items():
        P[n] = nn.Parameter(torch.randn(o, i) / i**0.5)
        P[n + "b"] = nn.Parameter(torch.zeros(o))

    def lin(x, n):
        return F.linear(x, P[n], P[n + "b"])

    mod.enc = lambda x: lin(F.silu(lin(x, "e1")), "e2")
    mod.dec = lambda z: lin(F.silu(lin(z, "d1")), "d2")

    def L6(x):
        h = mod.enc(x)
        mu, lv = h[:, :5], h[:, 5:]
        z = mu + torch.randn(mu.shape) * lv.mul(0.5).exp()
        return bce(mod.dec(z), x).sum() / len(x) + kl(mu, lv).sum() / len(x)

    train(P, L6, BIN)
    yield (
        "functional",
        {"model": P, "x": BIN[:200], "loss": L6, "encode": (mod, "enc"), "decode": (mod, "dec")},
    )

    def h7(m):
        def L(x):
            y, mu, lv = m(x)
            return (F.binary_cross_entropy(y, x, reduction="sum") + kl(mu, lv).sum()) / x.size(0)

        return L

    yield "sigmoid+BCE sum", a(h7, net={"out": nn.Sigmoid()})
    m = C(bn=True)
    train(m, m.step, xi, 120)
    m.eval()

    def ev8(x):
        with torch.no_grad():
            return m.step(x)

    yield (
        "batch norm, evaluated in eval mode",
        {
            "model": m,
            "x": xi[:200],
            "loss": m.step,
            "encode": "encoder",
            "decode": "decoder",
            "evaluate": ev8,
        },
    )
    torch.manual_seed(6)
    m = B(J=3).double()
    train(m, m.neg_elbo, BIN.double(), 150)
    yield (
        "float64",
        {
            "model": m,
            "x": BIN[:200].double(),
            "loss": m.neg_elbo,
            "encode": "posterior",
            "decode": "gen",
        },
    )
    yield "beta = 4 meant", a(lambda m: std(m, 4.0), beta=4.0)


def faulty():
    def f(body, **k):
        return a(body, **k)

    yield "beta", "half forgotten in the KL (2x)", f(lambda m: std(m, 2.0))

    def f2(m):
        def L(x):
            y, mu, lv = m(x)
            return F.binary_cross_entropy_with_logits(y, x) + kl(mu, lv).mean()

        return L

    yield "beta", "BCE mean over pixels, KL summed", f(f2)

    def f3(m):
        def L(x):
            y, mu, lv = m(x)
            return bce(y, x).mean() + (-0.5 * (1 + lv - mu**2 - lv.exp())).mean()

        return L

    yield "beta", "KL mean over latents", f(f3)

    class F4(A):
        def reparam(s, mu, lv):
            return mu + lv.exp() * torch.randn_like(mu)

    yield "readings-differ", "exp(logvar) as sigma in the draw", a(std, model=F4())

    def f5(m):
        def L(x):
            y, mu, lv = m(x)
            return (bce(y, x) - kl(mu, lv)).mean()

        return L

    yield "kl-sign", "KL sign flipped (untrained)", f(f5, steps=0)
    torch.manual_seed(2)
    m = B(rs=False)
    train(m, m.neg_elbo, BIN)
    yield (
        "detached-draw",
        "sample for rsample",
        {"model": m, "x": BIN[:200], "loss": m.neg_elbo, "encode": "posterior", "decode": "gen"},
    )

    class F7(A):
        def reparam(s, mu, lv):
            return mu + (lv / 2).exp() * torch.randn(mu.shape[1])

    yield "shared-epsilon", "one epsilon for the batch", a(std, model=F7())

    class F8(A):
        def reparam(s, mu, lv):
            return mu + (lv / 2).exp() * torch.rand_like(mu)

    yield "epsilon-mean", "uniform noise", a(std, model=F8())
    yield "sigmoid-twice", "sigmoid twice", f(std, net={"out": nn.Sigmoid()})
    NORM = (GREY - 0.1307) / 0.3081
    yield "inputs-outside", "Normalize()d input under BCE", f(std, x=NORM, steps=60)
    yield "spread-activation", "ReLU on logvar", f(std, net={"relu_lv": True})

    def f12(m):
        def L(x):
            y, mu, lv = m(x)
            return F.mse_loss(torch.sigmoid(y), x) + kl(mu, lv).mean()

        return L

    yield "beta", "mse mean + KL", f(f12, x=GREY)

    def f13(m):
        def L(x):
            y, mu, lv = m(x)
            return (bce(y, x) - 0.5 * (1 + lv - mu - lv.exp()).sum(1)).mean()

        return L

    yield "kl-formula", "mu not squared in the KL", f(f13, steps=0)

    class F14(A):
        def reparam(s, mu, lv):
            torch.manual_seed(0)
            return mu + (lv / 2).exp() * torch.randn_like(mu)

    yield "seed-inside", "seed set inside", a(std, model=F14())
    yield "tanh-outputs", "tanh on the logits", f(std, net={"out": nn.Tanh()})
    d = a(std, net={"drop": 0.3})
    m = d["model"]
    m.train()
    L = d["loss"]

    def ev(x):
        with torch.no_grad():
            return L(x)

    d["evaluate"] = ev
    yield "train-mode", "evaluated in training mode (dropout)", d
    d = a(std)
    m17 = d["model"].eval()

    def ev17(x):
        with torch.no_grad():
            mu, lv = m17.encode(x)
            return (bce(m17.decode(mu), x) + kl(mu, lv)).mean()

    d["evaluate"] = ev17
    yield "mean-code", "reported with the mean code", d
    torch.manual_seed(9)
    m = A()
    m.fc_lv.weight.data *= 400
    yield (
        "not-finite",
        "exploding exp(logvar)",
        {"model": m, "x": BIN[:200], "loss": std(m), "trained": False},
    )

    class F19(A):
        def reparam(s, mu, lv):
            return mu.detach() + (lv / 2).exp() * torch.randn_like(mu)

    yield "detached-draw", "mu detached in the draw", a(std, model=F19())
    yield "no-kl", "KL weight stuck at 0 (epoch // 10)", f(lambda m: std(m, 3 // 10))
