"""The mistakes of Tutorial 7 that get a hint of their own, with that hint: the tests hold the
checks to it."""

from typing import NamedTuple


class WrongAnswer(NamedTuple):
    """A mistake in one task: `replacements` turn the solution in `cell` into it, `hint` is part of
    what its check says."""

    name: str
    cell: str
    hint: str
    replacements: dict[str, str]

    def source(self, solution: str) -> str:
        """Return the solution cell as the student with this wrong answer would hand it in."""
        for old, new in self.replacements.items():
            if old not in solution:
                raise ValueError(
                    f"{self.name}: {old!r} does not occur in the solution {self.cell!r} any more."
                )
            solution = solution.replace(old, new)
        return solution


KL = "0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=-1)"
LIKELIHOOD = (
    '-F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(dim=-1)'
)
ELBO = "bernoulli_log_likelihood(model.decode(z), x).mean(dim=0) - gaussian_kl(mu, logvar)"
SAMPLES = "z = reparameterize(mu.expand(shape), logvar.expand(shape), generator)"
HEADS = "self.to_mu(hidden), self.to_logvar(hidden)"
AE_LOSS = "-bernoulli_log_likelihood(model.decode(mu), x)"
BETWEEN = "(moved - centre).square().sum() / (codes - centre).square().sum()"
LINE = "(1 - weight) * mu[0] + weight * mu[1]"

WRONG_ANSWERS = [
    WrongAnswer(
        "sample-variance", "sample", "You scale epsilon by the variance", {"logvar / 2": "logvar"}
    ),
    WrongAnswer("sample-logvar", "sample", "by logvar itself", {"torch.exp(logvar / 2)": "logvar"}),
    WrongAnswer("sample-unscaled", "sample", "not scaled at all", {"torch.exp(logvar / 2) * ": ""}),
    WrongAnswer(
        "sample-mean",
        "sample",
        "nothing random was added",
        {"torch.exp(logvar / 2) * epsilon": "0 * logvar"},
    ),
    WrongAnswer("sample-uniform", "sample", "never negative", {"torch.randn(": "torch.rand("}),
    WrongAnswer(
        "sample-one-epsilon",
        "sample",
        "All examples of a batch share one epsilon",
        {"mu.shape": "mu.shape[-1:]"},
    ),
    WrongAnswer(
        "sample-one-per-row",
        "sample",
        "rise and fall together",
        {"mu.shape": "(*mu.shape[:-1], 1)"},
    ),
    WrongAnswer(
        "sample-no-generator", "sample", "does not use `generator`", {", generator=generator)": ")"}
    ),
    WrongAnswer(
        "sample-seed-reused",
        "sample",
        "a seed is set inside",
        {"generator=generator": "generator=torch.Generator().manual_seed(0)"},
    ),
    WrongAnswer(
        "sample-no-gradient",
        "sample",
        "No gradient flows from z to mu",
        {
            "mu + torch.exp(logvar / 2) * epsilon": (
                "torch.normal(mu, torch.exp(logvar / 2), generator=generator)"
            )
        },
    ),
    WrongAnswer(
        "sample-detached",
        "sample",
        "No gradient flows from z to mu",
        {"mu + torch.exp(logvar / 2) * epsilon": "(mu + torch.exp(logvar / 2) * epsilon).detach()"},
    ),
    WrongAnswer(
        "sample-sigma-cut",
        "sample",
        "none reaches logvar",
        {"torch.exp(logvar / 2)": "torch.exp(logvar / 2).detach()"},
    ),
    WrongAnswer("kl-no-half", "kl", "the ½ is missing", {"0.5 * ": ""}),
    WrongAnswer("kl-sign", "kl", "The sign is wrong", {"0.5 * ": "-0.5 * "}),
    WrongAnswer("kl-mean", "kl", "divided by J", {".sum(dim=-1)": ".mean(dim=-1)"}),
    WrongAnswer("kl-scalar", "kl", "got a single number", {".sum(dim=-1)": ".sum(dim=-1).mean()"}),
    WrongAnswer(
        "kl-batch-twice",
        "kl",
        "divided by the number of examples",
        {".sum(dim=-1)": ".sum(dim=-1) / len(mu)"},
    ),
    WrongAnswer("kl-axis", "kl", "you summed over the examples", {".sum(dim=-1)": ".sum(dim=0)"}),
    WrongAnswer(
        "kl-sigma-for-logvar",
        "kl",
        "You take logvar for the standard deviation",
        {KL: "0.5 * (mu.square() + logvar.square() - 1 - logvar.square().log()).sum(dim=-1)"},
    ),
    WrongAnswer(
        "kl-log-of-logvar", "kl", "The KL is NaN", {"- 1 - logvar)": "- 1 - logvar.log())"}
    ),
    WrongAnswer(
        "kl-log-sigma",
        "kl",
        "You take logvar for log sigma",
        {KL: "0.5 * (mu.square() + (2 * logvar).exp() - 1 - 2 * logvar).sum(dim=-1)"},
    ),
    WrongAnswer(
        "kl-sigma",
        "kl",
        "holds sigma where the variance belongs",
        {"logvar.exp()": "(logvar / 2).exp()"},
    ),
    WrongAnswer("kl-mu-linear", "kl", "mu enters to the first power", {"mu.square()": "mu"}),
    WrongAnswer("kl-no-one", "kl", "off by the same constant", {" - 1 ": " "}),
    WrongAnswer(
        "kl-reversed",
        "kl",
        "This is KL(p || q)",
        {KL: "0.5 * ((mu.square() + 1) / logvar.exp() - 1 + logvar).sum(dim=-1)"},
    ),
    WrongAnswer("likelihood-sign", "likelihood", "The sign is wrong", {"-F.": "F."}),
    WrongAnswer(
        "likelihood-mean",
        "likelihood",
        "divided by the number of pixels",
        {".sum(dim=-1)": ".mean(dim=-1)"},
    ),
    WrongAnswer(
        "likelihood-scalar", "likelihood", "got a single number", {".sum(dim=-1)": ".sum()"}
    ),
    WrongAnswer(
        "likelihood-axis",
        "likelihood",
        "you summed over the examples",
        {".sum(dim=-1)": ".sum(dim=-2)"},
    ),
    WrongAnswer(
        "likelihood-probabilities", "likelihood", "expects probabilities", {"_with_logits": ""}
    ),
    WrongAnswer(
        "likelihood-log-of-logit",
        "likelihood",
        "Logits may be negative",
        {LIKELIHOOD: "(x * logits.log() + (1 - x) * (1 - logits).log()).sum(dim=-1)"},
    ),
    WrongAnswer(
        "likelihood-twice",
        "likelihood",
        "The sigmoid is applied twice",
        {"(logits, x.": "(torch.sigmoid(logits), x."},
    ),
    WrongAnswer(
        "likelihood-ones",
        "likelihood",
        "Only pixels that are 1 count",
        {LIKELIHOOD: "(x * F.logsigmoid(logits)).sum(dim=-1)"},
    ),
    WrongAnswer(
        "likelihood-swapped",
        "likelihood",
        "Ones and zeros are exchanged",
        {"(logits, x.": "(-logits, x."},
    ),
    WrongAnswer(
        "likelihood-rounded",
        "likelihood",
        "rounded to 0 or 1 before",
        {
            LIKELIHOOD: (
                "-F.binary_cross_entropy(torch.sigmoid(logits), x.expand_as(logits),"
                " reduction='none').sum(dim=-1)"
            )
        },
    ),
    WrongAnswer("elbo-plus-kl", "elbo", "The KL is added", {"- gaussian_kl": "+ gaussian_kl"}),
    WrongAnswer("elbo-sum", "elbo", "The samples of z are summed", {".mean(dim=0)": ".sum(dim=0)"}),
    WrongAnswer("elbo-no-kl", "elbo", "The KL is missing", {" - gaussian_kl(mu, logvar)": ""}),
    WrongAnswer(
        "elbo-kl-times-l",
        "elbo",
        "The KL is counted L times",
        {"- gaussian_kl": "- n_samples * gaussian_kl"},
    ),
    WrongAnswer(
        "elbo-kl-batch",
        "elbo",
        "The KL is divided by the number of examples",
        {"gaussian_kl(mu, logvar)": "gaussian_kl(mu, logvar) / len(x)"},
    ),
    WrongAnswer("elbo-negative", "elbo", "this is the loss", {ELBO: f"-({ELBO})"}),
    WrongAnswer("elbo-scalar", "elbo", "got a single number", {ELBO: f"({ELBO}).mean()"}),
    WrongAnswer(
        "elbo-unaveraged", "elbo", "the samples of z are not averaged", {".mean(dim=0)": ""}
    ),
    WrongAnswer(
        "elbo-axis",
        "elbo",
        "you averaged over the examples",
        {ELBO: f"({ELBO.replace('.mean(dim=0)', '')}).mean(dim=1)"},
    ),
    WrongAnswer(
        "elbo-outside-graph",
        "elbo",
        "z was drawn outside the graph",
        {SAMPLES: f"with torch.no_grad():\n        {SAMPLES}"},
    ),
    WrongAnswer(
        "elbo-mean-code",
        "elbo",
        "the decoder sees the mean code",
        {SAMPLES: "z = mu.expand(shape)"},
    ),
    WrongAnswer(
        "elbo-one-epsilon",
        "elbo",
        "noise of its own",
        {SAMPLES: "z = reparameterize(mu, logvar, generator).expand(shape)"},
    ),
    WrongAnswer(
        "elbo-log-mean",
        "elbo",
        "logarithm of the mean",
        {".mean(dim=0)": ".exp().mean(dim=0).log()"},
    ),
    WrongAnswer(
        "model-sigmoid",
        "model",
        "these are probabilities",
        {"return self.decoder(z)": "return torch.sigmoid(self.decoder(z))"},
    ),
    WrongAnswer(
        "model-relu-out",
        "model",
        "an activation follows the last layer of the decoder",
        {"return self.decoder(z)": "return F.relu(4 * self.decoder(z))"},
    ),
    WrongAnswer(
        "model-sigma",
        "model",
        "logvar is never negative",
        {HEADS: "self.to_mu(hidden), self.to_logvar(hidden).exp()"},
    ),
    WrongAnswer(
        "model-relu-head",
        "model",
        "mu is never negative",
        {HEADS: "F.relu(self.to_mu(hidden)), self.to_logvar(hidden)"},
    ),
    WrongAnswer(
        "model-one-head",
        "model",
        "the same numbers",
        {HEADS: "self.to_mu(hidden), self.to_mu(hidden)"},
    ),
    WrongAnswer(
        "model-list",
        "model",
        "encode must return the tuple",
        {f"return {HEADS}": f"return torch.cat([{HEADS}], dim=-1)"},
    ),
    WrongAnswer(
        "model-linear-encoder",
        "model",
        "The encoder is linear",
        {"nn.Linear(n_pixels, hidden), nn.ReLU())": "nn.Linear(n_pixels, hidden))"},
    ),
    WrongAnswer(
        "model-linear-decoder",
        "model",
        "The decoder is linear",
        {"nn.Linear(latent_dim, hidden), nn.ReLU(), ": "nn.Linear(latent_dim, hidden), "},
    ),
    WrongAnswer(
        "model-dropout",
        "model",
        "Two calls of encode differ",
        {
            "nn.Linear(n_pixels, hidden), nn.ReLU())": (
                "nn.Linear(n_pixels, hidden), nn.ReLU(), nn.Dropout())"
            )
        },
    ),
    WrongAnswer(
        "model-samples",
        "model",
        "leave leading dimensions as they are",
        {"return self.decoder(z)": "return self.decoder(z.view(len(z), self.latent_dim))"},
    ),
    WrongAnswer(
        "model-extra-layer",
        "model",
        "expected 652,824 weights",
        {
            "nn.Linear(n_pixels, hidden), nn.ReLU())": (
                "nn.Linear(n_pixels, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())"
            )
        },
    ),
    WrongAnswer(
        "step-no-update", "step", "The weight did not change", {"optimizer.step()": "pass"}
    ),
    WrongAnswer(
        "step-cleared",
        "step",
        "The weight did not change",
        {
            "optimizer.zero_grad()\n": "\n",
            "optimizer.step()": "optimizer.zero_grad()\n    optimizer.step()",
        },
    ),
    WrongAnswer(
        "step-up",
        "step",
        "you go up the gradient",
        {"mean_loss.backward()": "(-mean_loss).backward()"},
    ),
    WrongAnswer(
        "step-sum",
        "step",
        "as long as for the sum",
        {"mean_loss.backward()": "(len(x) * mean_loss).backward()"},
    ),
    WrongAnswer("step-no-clear", "step", "gradients add up", {"optimizer.zero_grad()": "pass"}),
    WrongAnswer(
        "step-twice",
        "step",
        "twice a step",
        {"optimizer.step()": "optimizer.step()\n    optimizer.step()"},
    ),
    WrongAnswer(
        "step-tensor", "step", "keep the graph of every step", {"mean_loss.item()": "mean_loss"}
    ),
    WrongAnswer(
        "step-after",
        "step",
        "before the update",
        {"mean_loss.item()": "loss(model, x).mean().item()"},
    ),
    WrongAnswer(
        "reconstruct-logits",
        "reconstruct",
        "these are logits",
        {"torch.sigmoid(model.decode(mu))": "model.decode(mu)"},
    ),
    WrongAnswer(
        "reconstruct-sampled",
        "reconstruct",
        "you sample",
        {"mu, _ = model.encode(x)": "mu = reparameterize(*model.encode(x))"},
    ),
    WrongAnswer(
        "reconstruct-binary",
        "reconstruct",
        "All values are 0 or 1",
        {"torch.sigmoid(model.decode(mu))": "(model.decode(mu) > 0).float()"},
    ),
    WrongAnswer(
        "generate-logits",
        "generate",
        "these are logits",
        {"torch.sigmoid(model.decode(z))": "model.decode(z)"},
    ),
    WrongAnswer(
        "generate-uniform",
        "generate",
        "No code has a negative coordinate",
        {"torch.randn(": "torch.rand("},
    ),
    WrongAnswer(
        "generate-wide",
        "generate",
        "not the prior of the lecture",
        {"torch.randn(": "2 * torch.randn("},
    ),
    WrongAnswer(
        "generate-no-generator",
        "generate",
        "does not use `generator`",
        {", generator=generator)": ")"},
    ),
    WrongAnswer("generate-dimension", "generate", "model.latent_dim", {"model.latent_dim": "20"}),
    WrongAnswer(
        "interpolate-pixels",
        "interpolate",
        "You mix the two images",
        {
            f"model.decode({LINE})": (
                "model.decode(model.encode((1 - weight) * x_a + weight * x_b)[0])"
            )
        },
    ),
    WrongAnswer(
        "interpolate-reconstructions",
        "interpolate",
        "You mix the two reconstructions",
        {
            f"torch.sigmoid(model.decode({LINE}))": (
                "(1 - weight) * torch.sigmoid(model.decode(mu[0])) + weight *"
                " torch.sigmoid(model.decode(mu[1]))"
            )
        },
    ),
    WrongAnswer(
        "interpolate-open",
        "interpolate",
        "stops short of x_b",
        {"torch.linspace(0, 1, steps)": "torch.arange(steps).div(steps)"},
    ),
    WrongAnswer(
        "interpolate-reversed", "interpolate", "from x_b to x_a", {"linspace(0, 1": "linspace(1, 0"}
    ),
    WrongAnswer(
        "interpolate-logits",
        "interpolate",
        "these are logits",
        {f"torch.sigmoid(model.decode({LINE}))": f"model.decode({LINE})"},
    ),
    WrongAnswer(
        "corrupt-invert",
        "corrupt",
        "You invert the chosen pixels",
        {"replaced, coin, x": "replaced, 1 - x, x"},
    ),
    WrongAnswer(
        "corrupt-mask",
        "corrupt",
        "every coin fell on the same side",
        {"replaced, coin, x": "replaced, torch.zeros_like(x), x"},
    ),
    WrongAnswer(
        "corrupt-in-place",
        "corrupt",
        "x itself was changed",
        {"return torch.where(replaced, coin, x)": "x[replaced] = coin[replaced]\n    return x"},
    ),
    WrongAnswer(
        "corrupt-gaussian",
        "corrupt",
        "neither 0 nor 1",
        {"torch.where(replaced, coin, x)": "x + noise * torch.randn(x.shape, generator=generator)"},
    ),
    WrongAnswer(
        "corrupt-one-mask",
        "corrupt",
        "The same pixels change in every image",
        {
            "replaced = torch.rand(x.shape, ": "replaced = torch.rand(x.shape[1:], ",
            "replaced, coin, x": (
                "replaced, torch.rand(x.shape[1:], generator=generator).lt(0.5).float(), x"
            ),
        },
    ),
    WrongAnswer(
        "corrupt-nothing",
        "corrupt",
        "Nothing is corrupted",
        {"torch.where(replaced, coin, x)": "x.clone()"},
    ),
    WrongAnswer(
        "ae-sampled",
        "ae",
        "The decoder did not see mu",
        {"mu, _ = model.encode(x)": "mu = reparameterize(*model.encode(x), generator)"},
    ),
    WrongAnswer(
        "ae-kl",
        "ae",
        "A KL is included",
        {"mu, _ =": "mu, logvar =", AE_LOSS: f"{AE_LOSS} + gaussian_kl(mu, logvar)"},
    ),
    WrongAnswer("ae-sign", "ae", "The sign is wrong", {AE_LOSS: AE_LOSS[1:]}),
    WrongAnswer(
        "ae-scalar",
        "ae",
        "one loss per example, got a single number",
        {AE_LOSS: f"{AE_LOSS}.mean()"},
    ),
    WrongAnswer(
        "dae-noisy-target",
        "dae",
        "The target is corrupted too",
        {
            "mu, _ =": "x = corrupt(x, noise, generator)\n    mu, _ =",
            "model.encode(corrupt(x, noise, generator))": "model.encode(x)",
        },
    ),
    WrongAnswer(
        "dae-clean-input",
        "dae",
        "The encoder saw the clean x",
        {"corrupt(x, noise, generator)": "x"},
    ),
    WrongAnswer(
        "dae-noise-fixed",
        "dae",
        "Does `noise` reach the corruption",
        {"corrupt(x, noise, generator)": "corrupt(x, 0.9, generator)"},
    ),
    WrongAnswer(
        "dae-sampled",
        "dae",
        "The decoder did not see mu",
        {
            "mu, _ = model.encode(corrupt(x, noise, generator))": (
                "mu = reparameterize(*model.encode(corrupt(x, noise, generator)))"
            )
        },
    ),
    WrongAnswer(
        "dae-kl",
        "dae",
        "A KL is included",
        {"mu, _ =": "mu, logvar =", AE_LOSS: f"{AE_LOSS} + gaussian_kl(mu, logvar)"},
    ),
    WrongAnswer("dae-sign", "dae", "The sign is wrong", {AE_LOSS: AE_LOSS[1:]}),
    WrongAnswer(
        "distance-no-log",
        "distance",
        "the variance itself",
        {"codes.var(dim=0).log()": "codes.var(dim=0)"},
    ),
    WrongAnswer(
        "distance-std",
        "distance",
        "logarithm of the standard deviation",
        {"codes.var(": "codes.std("},
    ),
    WrongAnswer(
        "distance-each",
        "distance",
        "many small Gaussians",
        {
            "codes.mean(dim=0), codes.var(dim=0).log()).item()": (
                "codes, codes.var(dim=0).log().expand_as(codes)).mean().item()"
            )
        },
    ),
    WrongAnswer(
        "distance-axis",
        "distance",
        "over the coordinates of each code",
        {"codes.mean(dim=0), codes.var(dim=0)": "codes.mean(dim=1), codes.var(dim=1)"},
    ),
    WrongAnswer("distance-tensor", "distance", "Expected a Python float", {".item()": ""}),
    WrongAnswer(
        "separation-within",
        "separation",
        "the share within the classes",
        {BETWEEN: "(codes - moved).square().sum() / (codes - centre).square().sum()"},
    ),
    WrongAnswer(
        "separation-ratio",
        "separation",
        "ratio of between to within",
        {BETWEEN: "(moved - centre).square().sum() / (codes - moved).square().sum()"},
    ),
    WrongAnswer(
        "separation-unweighted",
        "separation",
        "Large and small classes count alike",
        {
            BETWEEN: (
                "len(codes) * torch.stack([(moved[labels == k][0] - centre).square().sum() for k in"
                " labels.unique()]).mean() / (codes - centre).square().sum()"
            )
        },
    ),
    WrongAnswer(
        "separation-uncentred",
        "separation",
        "Distances are taken to the origin",
        {"centre = codes.mean(dim=0)": "centre = torch.zeros(codes.shape[1])"},
    ),
    WrongAnswer(
        "separation-unsquared",
        "separation",
        "to the first power",
        {BETWEEN: "(moved - centre).norm(dim=1).sum() / (codes - centre).norm(dim=1).sum()"},
    ),
]
