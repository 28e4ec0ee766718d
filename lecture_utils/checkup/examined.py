"""All that was measured, as the rules see it."""

from typing import Any, NamedTuple

import torch


class Examined(NamedTuple):
    """All that was measured; None stands for what could not be."""

    x: torch.Tensor
    natural: Any
    ranges: Any
    dose: Any
    draw: Any
    learned: Any
    evaluation: Any
    cap: float | None  # what a certain and wrong pixel costs where it should cost 50 nats
    nonfinite: list
    outside: tuple[float, float] | None  # the range of the pictures it shows
    same_code: bool | None  # two codes of one image agree
    beta: float  # the weight that is meant
    trained: bool | None

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
    def doses(self) -> dict[str, float]:
        """The KL's weight over the error's, through mu and through the second number. A squared
        error counts as variance 1/2."""
        if not (self.dose and self.dose.likelihood):
            return {}
        unit = self.dose.likelihood.weight / (
            2 if self.dose.likelihood.name.startswith("squared") else 1
        )
        fits = {"mu": self.dose.kl_mu, "the second number": self.dose.kl_second}
        return {name: fit.slope / unit for name, fit in fits.items() if fit}


def case(number) -> str:
    """Where the finding is explained."""
    return f"notebook 10, case {number}" if isinstance(number, int) else str(number)
