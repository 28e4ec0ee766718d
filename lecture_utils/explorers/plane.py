"""The explorer of notebook 03: the weight beta of the KL, and what it does to a latent plane."""

from typing import NamedTuple

from lecture_utils import evaluation
from lecture_utils.explorers.shell import Frame, LivePicture, explorer
from lecture_utils.plotting import COLORS, posterior_ellipses, tile

import ipywidgets
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle

LIMIT = 4  # of the plane, in both coordinates
RADIUS = 2.4477  # of the circle that holds 95 % of N(0, I) in two dimensions: sqrt(-2 log 0.05)


class PlaneFacts(NamedTuple):
    """Means over test images: error and KL in nats, median sigma, share of mu beyond the frame."""

    error: float
    kl: float
    sigma: float
    outside: float


@torch.no_grad()
def plane_facts(model, x: torch.Tensor, limit: float = LIMIT) -> PlaneFacts:
    """Return what the explorer says of one VAE with two latents on binary images x [N, D].

    Error and KL are the two terms of the loss with one draw of z per image.
    """
    error, kl = evaluation.mean_loss_terms(model, x)
    mu, logvar = model.encode(x)
    outside = (mu.abs().amax(dim=1) > limit).double().mean().item()
    return PlaneFacts(error, kl, torch.exp(logvar / 2).median().item(), outside)


class BetaPicture:
    """The latent plane, the two terms and ten reconstructions of VAEs that differ in beta.

    `models` is {label of beta: VAE with two latents}, in the order of beta; `x` is binary [N, D]
    with digit labels [N]. The plane shows q(z|x) of `n` images drawn at random (the first test
    images of MNIST are neater than the rest), the strip the first image of each digit. Raises
    ValueError if there are no models.
    """

    def __init__(self, models: dict, x: torch.Tensor, labels: torch.Tensor, n: int = 200):
        if not models:
            raise ValueError("There is no model to show: pass {label of beta: VAE}.")
        self.facts = {beta: plane_facts(model, x) for beta, model in models.items()}
        digits = torch.stack([x[labels == digit][0] for digit in labels.unique().tolist()])
        self.strips = {beta: _strip(digits, model) for beta, model in models.items()}
        figure = Figure(figsize=(7, 4.2), layout="none")
        plane = figure.add_axes([0.09, 0.24, 0.42, 0.7])
        plane.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), xlabel="$z_1$", ylabel="$z_2$")
        plane.add_patch(Circle((0, 0), RADIUS, fill=False, lw=1.2, ls="--", zorder=3))
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:n]
        self.clouds = {}
        for beta, model in models.items():
            mu, logvar = model.encode(x[rows])
            cloud = posterior_ellipses(plane, mu.detach(), logvar.detach(), labels[rows])
            self.clouds[beta] = plane.add_collection(cloud)
        self.ring = _terms_axis(figure, self.facts)
        axis = figure.add_axes([0.07, 0.0, 0.92, 0.14])
        axis.set_axis_off()
        self.strip = axis.imshow(next(iter(self.strips.values())), vmin=0, vmax=1)
        self.picture = LivePicture(figure, [*self.clouds.values(), self.ring, self.strip])

    def draw(self, beta: str) -> Frame:
        """Draw the model of one beta. Raises KeyError for a label that is not there."""
        facts = self.facts[beta]
        sigma = f"{facts.sigma:.3f}" if facts.sigma >= 0.0005 else "below 0.001"
        for label, cloud in self.clouds.items():
            cloud.set_visible(label == beta)
        self.ring.set_data([facts.kl], [facts.error])
        self.strip.set_data(self.strips[beta])
        return Frame(
            self.picture.png(),
            f"beta = {beta}: error {facts.error:.1f} nats, KL {facts.kl:.1f}, sum "
            f"{facts.error + facts.kl:.1f}. The median sigma is {sigma}; "
            f"{facts.outside:.0%} of the means lie outside the frame. Below, ten test images and "
            "what the decoder makes of their means.",
        )


def beta_explorer(models: dict, x: torch.Tensor, labels: torch.Tensor) -> ipywidgets.VBox:
    """Return notebook 03's explorer: a slider for beta above a `BetaPicture`.

    `models` is {label of beta: VAE with two latents}; `x` is binary [N, D], `labels` [N].
    """
    slider = ipywidgets.SelectionSlider(
        options=list(models), value=list(models)[len(models) // 2], description="beta"
    )
    return explorer(BetaPicture(models, x, labels).draw, {"beta": slider})


def _strip(digits, model):
    """Digits above their reconstructions, one picture."""
    return tile(torch.cat([digits, model.reconstruct(digits)]), len(digits))


def _terms_axis(figure, facts):
    """Draw the error against the KL, one dot a beta; return the ring that marks one of them."""
    axis = figure.add_axes([0.63, 0.32, 0.35, 0.62])
    errors, kls = [each.error for each in facts.values()], [each.kl for each in facts.values()]
    axis.plot(kls, errors, "-", color=COLORS["bound"], lw=1)
    axis.plot(kls, errors, "o", color=COLORS["bound"], ms=5)
    axis.set(xlabel="KL $r$, nats", ylabel="error $e$, nats")
    axis.set_xscale("symlog", linthresh=10)  # beta = 0 lies far to the right of the others
    axis.set_xticks([0, 5, 10, 50, 100], ["0", "5", "10", "50", "100"])
    axis.minorticks_off()
    return axis.plot([], [], "o", color=COLORS["data"], ms=13, mfc="none", mew=2)[0]
