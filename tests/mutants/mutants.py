"""Mutation testing of the check-up: change one line of the plain VAE, and see whether it notices.

`make test-mutants` prints a table and fails if a mutant survives that is not in `SURVIVE`, or if
one of these is noticed after all: each has a reason why a healthy report is right.
"""

import sys
import types
from pathlib import Path

from lecture_utils import checkup, data

import torch

SOURCE = (Path(__file__).parent / "plain_vae.py").read_text()

# (line as it stands, line as it is changed)
MUTANTS = [
    # the draw
    ("torch.exp(logvar / 2)", "torch.exp(logvar)"),
    ("torch.exp(logvar / 2)", "torch.exp(logvar * 2)"),
    ("torch.exp(logvar / 2)", "torch.exp(-logvar / 2)"),
    ("torch.exp(logvar / 2)", "torch.exp(mu / 2)"),
    ("torch.exp(logvar / 2)", "torch.exp(logvar / 3)"),
    ("torch.exp(logvar / 2)", "torch.exp(logvar / 2).detach()"),
    ("torch.exp(logvar / 2)", "torch.ones_like(logvar)"),
    ("torch.exp(logvar / 2)", "logvar"),
    ("torch.exp(logvar / 2)", "torch.exp(logvar / 2).sqrt()"),
    ("torch.exp(logvar / 2)", "torch.exp(logvar / 2) + 0.5"),
    ("torch.randn_like(mu)", "torch.rand_like(mu)"),
    ("torch.randn_like(mu)", "torch.zeros_like(mu)"),
    ("torch.randn_like(mu)", "torch.ones_like(mu)"),
    ("torch.randn_like(mu)", "torch.randn(1)"),
    ("torch.randn_like(mu)", "torch.randn(mu.shape[-1])"),
    ("torch.randn_like(mu)", "torch.randn(len(mu), 1)"),
    ("torch.randn_like(mu)", "0.5 * torch.randn_like(mu)"),
    ("torch.randn_like(mu)", "torch.randn_like(mu).abs()"),
    ("torch.randn_like(mu)", "torch.randn_like(mu).clamp(-1, 1)"),
    ("torch.randn_like(mu)", "torch.sign(torch.randn_like(mu))"),
    ("torch.randn_like(mu)", "torch.randn(mu.shape, generator=torch.manual_seed(0))"),
    ("return mu + sigma * epsilon", "return mu - sigma * epsilon"),
    ("return mu + sigma * epsilon", "return mu * sigma * epsilon"),
    ("return mu + sigma * epsilon", "return mu + sigma + epsilon"),
    ("return mu + sigma * epsilon", "return sigma * epsilon"),
    ("return mu + sigma * epsilon", "return mu"),
    ("return mu + sigma * epsilon", "return (mu + sigma * epsilon).detach()"),
    ("return mu + sigma * epsilon", "return mu.detach() + sigma * epsilon"),
    ("return mu + sigma * epsilon", "return torch.normal(mu, sigma)"),
    ("return mu + sigma * epsilon", "return (mu + sigma * epsilon).relu()"),
    # the KL
    ("-0.5 * terms", "0.5 * terms"),
    ("-0.5 * terms", "-terms"),
    ("-0.5 * terms", "-0.25 * terms"),
    ("terms.sum(-1)", "terms.mean(-1)"),
    ("terms.sum(-1)", "terms.sum()"),
    ("1 + logvar - mu", "logvar - mu"),
    ("1 + logvar - mu", "1 - mu"),
    ("1 + logvar - mu", "1 - logvar - mu"),
    ("1 + logvar - mu", "1 + 2 * logvar - mu"),
    ("- mu.square() -", "- mu -"),
    ("- mu.square() -", "+ mu.square() -"),
    ("- mu.square() -", "- mu.abs() -"),
    ("- mu.square() -", "-"),
    ("- mu.square() -", "- (mu - 1).square() -"),
    ("- logvar.exp()", "- logvar.exp().sqrt()"),
    ("- logvar.exp()", "+ logvar.exp()"),
    ("- logvar.exp()", ""),
    # the error
    ("pixels.sum(-1)", "pixels.mean(-1)"),
    ("pixels.sum(-1)", "pixels.sum()"),
    ("pixels.sum(-1)", "-pixels.sum(-1)"),
    ("binary_cross_entropy_with_logits(logits,", "binary_cross_entropy(logits.sigmoid(),"),
    ("binary_cross_entropy_with_logits(logits,", "mse_loss(logits.sigmoid(),"),
    ("binary_cross_entropy_with_logits(logits,", "mse_loss(logits,"),
    ("with_logits(logits,", "with_logits(logits.sigmoid(),"),
    ("with_logits(logits,", "with_logits(logits.tanh(),"),
    ("with_logits(logits,", "with_logits(logits.detach(),"),
    ("with_logits(logits, x", "with_logits(logits, 1 - x"),
    ("with_logits(logits, x", "with_logits(logits, x.roll(1, 0)"),
    ("with_logits(logits, x", "with_logits(logits, 2 * x - 1"),
    ("with_logits(logits, x", "with_logits(logits, 255 * x"),
    # the loss
    ("error(logits, x) + kl", "error(logits, x) - kl"),
    ("error(logits, x) + kl", "error(logits, x) + 0 * kl"),
    ("error(logits, x) + kl", "error(logits, x) + 1.1 * kl"),
    ("error(logits, x) + kl(mu, logvar)", "error(logits, x)"),
    ("error(logits, x) + kl(mu, logvar)", "kl(mu, logvar)"),
    ("error(logits, x) + kl(mu, logvar)", "error(logits, x) + kl(mu, logvar) / len(x)"),
    ("error(logits, x) + kl(mu, logvar)", "error(logits, x) + kl(mu, logvar).detach()"),
    ("kl(mu, logvar)).mean()", "kl(mu, logvar)).sum()"),
    ("kl(mu, logvar)).mean()", "kl(mu, logvar)).mean() / 784"),
    ("model.decode(z)", "model.decode(mu)"),
    ("model.decode(z)", "model.decode(z.detach())"),
    # encoder and decoder
    ("mu = self.to_mu(hidden)", "mu = self.to_mu(hidden).relu()"),
    ("mu = self.to_mu(hidden)", "mu = self.to_mu(hidden).tanh()"),
    ("logvar = self.to_logvar(hidden)", "logvar = self.to_logvar(hidden).relu()"),
    ("logvar = self.to_logvar(hidden)", "logvar = self.to_logvar(hidden).sigmoid()"),
    ("logvar = self.to_logvar(hidden)", "logvar = F.softplus(self.to_logvar(hidden))"),
    ("logvar = self.to_logvar(hidden)", "logvar = 100 * self.to_logvar(hidden)"),
    ("logvar = self.to_logvar(hidden)", "logvar = self.to_mu(hidden)"),
    ("return mu, logvar", "return logvar, mu"),
    ("return self.decoder(z)", "return self.decoder(z).sigmoid()"),
    ("return self.decoder(z)", "return self.decoder(z).tanh()"),
    ("return self.decoder(z)", "return self.decoder(z).relu()"),
    ("return self.decoder(z)", "return self.decoder(z) / 0"),
    ("hidden = self.encoder(x)", "hidden = self.encoder(x) * float('nan')"),
    ("hidden = self.encoder(x)", "hidden = self.encoder(x - 0.13)"),
    # what is reported and shown
    ("    model.eval()\n", "    model.train()\n"),
    ("loss(model, x).item() * len(x)", "loss(model, x).item() * batch_size"),
    ("-total / len(images)", "total / len(images)"),
    ("-total / len(images)", "-total"),
    ("return self.encode(x)[0]", "return self.reparameterize(*self.encode(x))"),
    ("torch.sigmoid(self.decode(z))", "self.decode(z)"),
]

# Survivors that are right to survive: the change makes no fault, and why.
SURVIVE = {
    "return mu - sigma * epsilon": "epsilon and -epsilon have the same distribution",
    "logvar - mu": "a constant in the loss has no gradient (only the reported number notices)",
    "mse_loss(logits.sigmoid(),": "a sum of squares is a Gaussian of variance 1/2: a likelihood",
    "mse_loss(logits,": "a sum of squares is a Gaussian of variance 1/2: a likelihood",
    "kl(mu, logvar)).mean() / 784": "both terms alike: only the learning rate notices",
    "-total": "a note says that the reported number is a sum",
    "- (mu - 1).square() -": "a prior N(1, I) is a choice; a note says that its mean is not 0",
    "hidden = self.encoder(x - 0.13)": "centred inputs: the first bias could hold the shift",
    "return logvar, mu": "two names exchanged in one place: every call agrees on the order",
    "    model.train()\n": "this model has neither dropout nor batch normalisation",
    "total / len(images)": "minus an ELBO is a way to report it",
}


def build(old: str, new: str):
    """Return the model, loss and report of one mutant."""
    if SOURCE.count(old) != 1:
        raise ValueError(f"{old!r} stands {SOURCE.count(old)} times in plain_vae.py, not once.")
    module = types.ModuleType("mutant")
    exec(SOURCE.replace(old, new), module.__dict__)  # noqa: S102
    torch.manual_seed(0)
    return module.VAE(), module


def verdict(old: str, new: str, x: torch.Tensor) -> list[str]:
    """Return what the check-up found on one mutant, notes in brackets."""
    model, module = build(old, new)
    report = checkup.examine(
        model,
        x,
        lambda x: module.loss(model, x),
        evaluate=lambda x: module.report(model, x),
        picture=model.picture,
        code=model.code,
    )
    return [f.name if f.level == "fault" else f"({f.name})" for f in report.findings]


def main() -> int:
    """Examine all mutants, print the table, return the number of surprises."""
    mnist = data.load_mnist()
    rows = data.test_subset(250)
    x = data.binary_test_set(mnist)[rows]
    surprises = killed = 0
    for old, new in [("-0.5 * terms", "-0.5 * terms"), *MUTANTS]:
        found = verdict(old, new, x)
        noticed = any(not name.startswith("(") for name in found)
        killed += noticed
        expected = old != new and new not in SURVIVE
        surprise = noticed != expected
        surprises += surprise
        mark = "SURPRISE" if surprise else "killed" if noticed else "survives"
        why = SURVIVE.get(new, "as written" if old == new else "")
        print(f"{mark:9} {new.strip()[:58]:58} {', '.join(found) or why}")
    print(f"\n{killed} of {len(MUTANTS)} mutants killed, {surprises} surprises")
    return surprises


if __name__ == "__main__":
    sys.exit(bool(main()))
