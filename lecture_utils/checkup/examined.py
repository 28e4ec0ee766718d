"""All that was measured, as the rules see it."""

from typing import Any, NamedTuple

from lecture_utils.checkup.state import Scale, scale_of_targets

import torch


class Examined(NamedTuple):
    """All that was measured; None stands for what could not be."""

    x: torch.Tensor
    natural: Any
    ranges: Any
    paths: Any
    dose: Any
    draw: Any
    # Draw and KL take the same sigma, but it is no known function; None: it cannot be measured.
    own_sigma: bool | None
    learned: Any
    evaluation: Any
    cap: float | None  # what a certain and wrong pixel costs where it should cost 50 nats
    nonfinite: list
    outside: tuple[float, float] | None  # the range of the pictures it shows
    same_code: bool | None  # two codes of one image agree
    beta: float  # the weight that is meant
    trained: bool | None

    @property
    def no_gradient(self) -> bool:
        """Whether the loss depends on nothing by which it could be differentiated."""
        return (
            bool(self.dose)
            and all(self.dose.silent)
            and self.dose.no_error
            and not self.natural.loss.requires_grad
        )

    @property
    def sizes(self) -> dict[str, float]:
        """The numbers by which people divide."""
        return {
            "pixels": self.x[0].numel(),
            "latent units": self.natural.mu[0].numel(),
            "images in the batch": len(self.natural.mu),
        }

    @property
    def bernoulli(self) -> bool:
        """Whether the error is a cross-entropy."""
        return bool(self.dose and self.dose.likelihood) and (
            "Bernoulli" in self.dose.likelihood.name
            or self.dose.likelihood.name in ("sigmoid twice", "logits of a tanh")
        )

    @property
    def squared(self) -> bool:
        """Whether the error is a squared one: a Gaussian whose variance is not known."""
        likelihood = self.dose and self.dose.likelihood
        return bool(likelihood) and likelihood.name.startswith("squared")

    @property
    def doses(self) -> dict[str, float]:
        """The KL's weight over the error's, through mu and through the second number. A squared
        error counts as variance 1/2."""
        if not (self.dose and self.dose.likelihood):
            return {}
        unit = self.dose.likelihood.weight / (2 if self.squared else 1)
        fits = {"mu": self.dose.kl_mu, "the second number": self.dose.kl_second}
        return {name: fit.slope / unit for name, fit in fits.items() if fit}

    @property
    def scale(self) -> Scale | None:
        """How the targets follow from x; None if they do not. The error must be known."""
        return scale_of_targets(self.dose.likelihood.target, self.x[: len(self.natural.mu)])

    @property
    def targets(self) -> torch.Tensor:
        """What the error compares with, [N, pixels] float64: of all images, if it follows from
        x; else of those for which it was recovered. The error must be known."""
        scale = self.scale
        if scale is None:
            return self.dose.likelihood.target.reshape(len(self.natural.mu), -1)
        return scale.targets(self.x).flatten(1)

    @property
    def standard_prior(self) -> bool:
        """Whether, as far as is known, the KL is one to N(0, I)."""
        return bool(self.dose) and not self.dose.strange_kl and not self.prior_mean_moved

    @property
    def prior_mean_moved(self) -> bool:
        """Whether the KL is smallest at another mu than 0. There must be a dose."""
        return abs(self.dose.offset) > 0.02

    @property
    def prior_variance(self) -> float | None:
        """The variance v of another prior N(0, v I), if the KL is that to it and weighs what is
        meant; else None. In a squared error any weight may be meant.

        With s the log-variance, this KL has the slopes mu / v and (exp(s) / v - 1) / 2; with s the
        log sigma, the second is exp(2 s) / v - 1.
        """
        if not (self.dose and self.dose.strange_kl and self.dose.terms and self.doses):
            return None
        if self.own_sigma:
            return None
        terms = {name: value / self.dose.kl_mu.slope for name, value in self.dose.terms.items()}
        for name, share in (("exp(s)", 0.5), ("exp(2 s)", 1.0)):
            variance = -terms["1"] / share
            rest = [value for other, value in terms.items() if other not in ("1", name)]
            fits = abs(terms[name] / share - 1) < 0.01 and max(map(abs, rest)) < 0.01 * share
            meant = self.squared or abs(self.doses["mu"] * variance / self.beta - 1) < 0.01
            if fits and meant and variance > 0:
                return variance
        return None


# Where it is written what epsilon is: independent and normal, of each image and unit.
DRAW = 'notebook 04, "Back to the VAE: the vector form"'
COLLAPSE = '"Real collapse, and what treats it"'  # a section of notebook 10


def case(number: int) -> str:
    """Where in notebook 10 the finding is explained."""
    return f"notebook 10, case {number}"
