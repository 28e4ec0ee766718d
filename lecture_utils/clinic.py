"""The patients of notebook 10, and its emergency room: VAEs with one wrong line each.

`Patient` is the healthy VAE taken apart, one line a method, so that one line can be injured at a
time. The classes that follow override one of them; their docstrings are the diagnosis, so a
notebook asks for a patient by its number, `patient(7)`, and `admit(seed)` gives an anonymous one.
"""

from typing import NamedTuple

from lecture_utils import checkup, data, models, training

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Patient(models.VAE):
    """The healthy VAE, one line a method; its report is made in batches of 500."""

    def feed(self, images, generator=None):
        """Images [N, D], uint8 or grey in [0, 1], to what the loss gets: fresh binary draws."""
        return data.binarize(images, generator)

    def scale(self, logvar):
        """The standard deviation of the noise, [..., J]."""
        return torch.exp(logvar / 2)

    def draw(self, mu, logvar, generator=None):
        """z ~ q(z|x), [..., J]."""
        epsilon = torch.randn(mu.shape, generator=generator, dtype=mu.dtype)
        return mu + self.scale(logvar) * epsilon

    def kl(self, mu, logvar):
        """The KL to N(0, I) in nats, [..., J] -> [...]."""
        return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(-1)

    def error(self, logits, x):
        """-log p(x|z) in nats, [B, D] -> [B]."""
        return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)

    def loss(self, x, generator=None):
        """What training minimises, nats, [B, D] -> [B]."""
        mu, logvar = self.encode(x)
        z = self.draw(mu, logvar, generator)
        return self.error(self.decode(z), x) + self.kl(mu, logvar)

    def picture(self, z):
        """What is shown of z, [B, J] -> [B, D]."""
        return torch.sigmoid(self.decode(z))

    def average(self, parts):
        """The losses of each batch, a list of [B], to one number."""
        return torch.cat(parts).mean()

    @torch.no_grad()
    def report(self, x, batch_size=500, seed=0):
        """The test ELBO that it prints, in nats."""
        generator = torch.Generator().manual_seed(seed)
        return -self.average([self.loss(part, generator) for part in x.split(batch_size)]).item()


class SquaredScale(Patient):
    """exp(logvar) as the scale of the noise, where exp(logvar / 2) is needed."""

    def scale(self, logvar):
        return torch.exp(logvar)


class LogSigmaInTheKl(Patient):
    """The KL reads the log-variance as a log sigma."""

    def kl(self, mu, logvar):
        return -0.5 * (1 + 2 * logvar - mu.square() - (2 * logvar).exp()).sum(-1)


class WrongSign(Patient):
    """The KL has the wrong sign."""

    def kl(self, mu, logvar):
        return -super().kl(mu, logvar)


class HalfDropped(Patient):
    """The 1/2 of the KL is dropped."""

    def kl(self, mu, logvar):
        return 2 * super().kl(mu, logvar)


class KlByPixels(Patient):
    """The KL is divided by the pixels, the error summed."""

    def kl(self, mu, logvar):
        return super().kl(mu, logvar) / self.n_pixels


class MeanError(Patient):
    """The error is averaged over the pixels, the KL summed."""

    def error(self, logits, x):
        return F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(-1)


class TanhOutputs(Patient):
    """The decoder ends in a tanh, and its outputs are taken for logits."""

    def decode(self, z):
        return torch.tanh(super().decode(z))


class ClampedLog(Patient):
    """The error takes the sigmoid first and clamps the log (BCELoss)."""

    def error(self, logits, x):
        return F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").sum(-1)


class Thresholded(Patient):
    """The pixels are thresholded, not drawn: another data set."""

    def feed(self, images, generator=None):
        return (data.to_grey(images) > 0.5).float()


class LogitsShown(Patient):
    """The logits are shown as if they were probabilities."""

    def picture(self, z):
        return self.decode(z)


class MeanReported(Patient):
    """Out of training, the mean code is decoded instead of a draw."""

    def draw(self, mu, logvar, generator=None):
        return super().draw(mu, logvar, generator) if self.training else mu


class RandomCode(Patient):
    """A draw where the code, the mean, was asked for."""

    def code(self, x):
        return self.draw(*self.encode(x))


class MeanOfMeans(Patient):
    """The mean of batch means, with a short last batch."""

    def average(self, parts):
        return torch.stack([part.mean() for part in parts]).mean()


class Detached(Patient):
    """The draw is detached: no gradient of the error reaches the encoder."""

    def draw(self, mu, logvar, generator=None):
        return super().draw(mu, logvar, generator).detach()


class Normalised(Patient):
    """The pixels are normalised to mean 0 and variance 1, under a Bernoulli."""

    def feed(self, images, generator=None):
        return (data.to_grey(images) - 0.1307) / 0.3081


class SigmoidTwice(Patient):
    """The decoder returns probabilities, and the error takes them for logits."""

    def decode(self, z):
        return torch.sigmoid(super().decode(z))


class Exploding(Patient):
    """The encoder gets pixels from 0 to 255: exp(logvar) explodes."""

    def encode(self, x):
        return super().encode(255 * x)


class ReluOnLogvar(Patient):
    """A ReLU on the log-variance: sigma cannot be less than 1."""

    def encode(self, x):
        mu, logvar = super().encode(x)
        return mu, logvar.relu()


class MeanSquaredError(Patient):
    """mse_loss with its default mean over the pixels, beside a summed KL."""

    def error(self, logits, x):
        return (torch.sigmoid(logits) - x).square().mean(-1)


class NormalisedLayers(Patient):
    """Healthy: with batch normalisation in the encoder."""

    def _add_layers(self, width):
        super()._add_layers(width)
        self.norm = nn.BatchNorm1d(width)

    def _hidden(self, x):
        return self.norm(super()._hidden(x))


class ForgottenEval(NormalisedLayers):
    """The report is made in training mode: batch normalisation looks at the test batch."""

    def report(self, x, batch_size=500, seed=0):
        self.train()
        return super().report(x, batch_size, seed)


class GreyPixels(Patient):
    """Grey pixels under a Bernoulli: the number is no log-likelihood."""

    def feed(self, images, generator=None):
        return data.to_grey(images)


CASES = {
    1: SquaredScale,
    2: LogSigmaInTheKl,
    3: WrongSign,
    4: HalfDropped,
    5: KlByPixels,
    6: MeanError,
    7: TanhOutputs,
    8: ClampedLog,
    9: Thresholded,
    10: LogitsShown,
    11: MeanReported,
    12: RandomCode,
    13: MeanOfMeans,
    14: Detached,
    15: Normalised,
    16: SigmoidTwice,
    17: Exploding,
    18: ReluOnLogvar,
    19: MeanSquaredError,
    20: ForgottenEval,
    21: GreyPixels,
}
# What the check-up calls them: faults, but for the notes of 9 and 21, since grey and thresholded
# pixels are a choice of the data.
NAMES = {
    1: "readings-differ",
    2: "readings-differ",
    3: "kl-sign",
    4: "beta",
    5: "beta",
    6: "beta",
    7: "tanh-outputs",
    8: "clamped",
    9: "thresholded",
    10: "logits-shown",
    11: "mean-code",
    12: "random-code",
    13: "order",
    14: "detached-draw",
    15: "inputs-outside",
    16: "sigmoid-twice",
    17: "exploding-spread",
    18: "spread-activation",
    19: "beta",
    20: "train-mode",
    21: "grey-pixels",
}


def patient(case: int | None = None, seed: int = 0) -> Patient:
    """Return the untrained patient of a case of notebook 10, or a healthy one, to be evaluated.

    It has 10 latent units and 100 hidden ones. Raises ValueError for a case that does not exist.
    """
    if case is not None and case not in CASES:
        raise ValueError(f"There is no case {case}: the cases are 1 to {max(CASES)}.")
    return (CASES[case] if case else Patient)(latent_dim=10, hidden=(100,), seed=seed).eval()


def examine(patient: Patient, images: torch.Tensor, trained: bool | None = None) -> checkup.Report:
    """Return the check-up of a patient on images [N, D], uint8 or grey: this is its adapter."""
    return checkup.examine(
        patient,
        data.to_grey(images),
        loss=lambda x: patient.loss(patient.feed(x)),
        evaluate=lambda x: patient.report(patient.feed(x)),
        code=patient.code,
        picture=patient.picture,
        trained=trained,
    )


def train(patient: Patient, images: torch.Tensor, seed: int = 0, epochs: int = 4):
    """Train a patient in place by its own loss and its own pixels; return `training.History`."""
    training.initialise(patient, images)

    def loss(model, x, generator):
        return model.loss(model.feed(x, generator), generator)

    return training.fit(
        patient,
        images,
        epochs=epochs,
        batch_size=128,
        pixels="grey",  # feed makes of them what this patient is fed
        loss=loss,
        seed=seed,
        device="cpu",
        progress=False,
    )


class Admission(NamedTuple):
    """An anonymous patient, and what ails it, which `repr` does not tell."""

    patient: Patient
    answer: str

    def __repr__(self) -> str:
        return "Admission(patient, answer): examine the patient before you read the answer."


def admit(seed: int) -> Admission:
    """Return an anonymous, untrained patient with no, one or two faults; the same for one seed."""
    random = np.random.default_rng(seed)
    chosen, free, wanted = [], list(CASES), random.choice((0, 1, 1, 1, 2, 2))
    while len(chosen) < wanted and free:
        case = int(random.choice(list(CASES)))
        if case in free:
            chosen.append(case)
            free = [other for other in free if not _clash(CASES[other], CASES[case])]
    kind = type("Patient", tuple(CASES[case] for case in chosen) or (Patient,), {"__doc__": ""})
    lines = [f"Case {case}. {CASES[case].__doc__}" for case in sorted(chosen)]
    return Admission(
        kind(latent_dim=10, hidden=(100,), seed=seed).eval(),
        "\n".join(lines) or "Nothing: it is healthy.",
    )


# Faults of which one would hide the other, or that one number would join.
_ENDS = {TanhOutputs, SigmoidTwice, ClampedLog, Normalised, MeanSquaredError, MeanError}
_PRICES = {LogSigmaInTheKl, WrongSign, HalfDropped, KlByPixels, MeanError, MeanSquaredError}
_DRAWN = {MeanReported, RandomCode}
_READINGS = {SquaredScale, LogSigmaInTheKl}  # both together are a healthy VAE of log sigma
# A fault, and those that no measurement shows beside it: without a Bernoulli there are no logits,
# no grey pixels; on grey ones a clamp is not measured; two sigmoids leave pictures in [0, 1]; in
# training mode a report draws as training does, and depends on the batch anyhow.
_HIDES = {
    MeanSquaredError: {Thresholded, LogitsShown, GreyPixels},
    GreyPixels: {ClampedLog},
    SigmoidTwice: {LogitsShown},
    ForgottenEval: {MeanReported, MeanOfMeans},
}


def _clash(one, other):
    """Whether two faults stand in one line, or hide each other; numbers that explode hide all."""
    lines = [{name for name in vars(each) if not name.startswith("__")} for each in (one, other)]
    hidden = any({one, other} <= group for group in (_ENDS, _PRICES, _DRAWN, _READINGS))
    hidden = hidden or other in _HIDES.get(one, ()) or one in _HIDES.get(other, ())
    return bool(lines[0] & lines[1]) or hidden or Exploding in (one, other)
