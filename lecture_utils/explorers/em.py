"""EM for a mixture of Gaussians in the plane, step by step (notebook 02)."""

from collections.abc import Callable
from typing import NamedTuple

from lecture_utils.explorers.shell import Frame, LivePicture, explorer
from lecture_utils.plotting import COLORS

import ipywidgets
import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_rand_score
from torch.distributions import MultivariateNormal

CLUSTER_COLORS = [COLORS["latent"], COLORS["reconstruction"], COLORS["kl"]]
N_STEPS, N_SHOWN = 100, 600  # steps of EM to look at, points drawn


class PlaneMixture(NamedTuple):
    """A mixture of K Gaussians in the plane, float64.

    `sizes` P(z=c) [K], `means` [K, 2], `covariances` [K, 2, 2].
    """

    sizes: torch.Tensor
    means: torch.Tensor
    covariances: torch.Tensor

    def joint(self, points: torch.Tensor) -> torch.Tensor:
        """Return log P(z=c) + log p(x|z=c) in nats for every c: float64 [N, 2] -> [N, K]."""
        gaussian = MultivariateNormal(self.means, self.covariances)
        return self.sizes.log() + gaussian.log_prob(points[:, None])


def round_clusters(means: list[tuple[float, float]]) -> PlaneMixture:
    """Return clusters of equal size with variance 1 in every direction, at the given K points."""
    n = len(means)
    identity = torch.eye(2, dtype=torch.float64).expand(n, 2, 2)
    means = torch.tensor(means, dtype=torch.float64)
    return PlaneMixture(torch.full((n,), 1 / n, dtype=torch.float64), means, identity)


STARTS = {  # for the digits 0, 1 and 2 in the plane of their first two PCA coordinates
    "three points in a corner": round_clusters([(-8.0, -4.0), (-7.0, -4.0), (-8.0, -3.0)]),
    "three points among the ones": round_clusters([(3.5, -3.0), (3.5, -2.0), (3.5, -1.0)]),
    "one point on each digit": round_clusters([(-4.0, -1.0), (3.5, -1.0), (0.0, 2.5)]),
}


def em_step(points: torch.Tensor, mixture: PlaneMixture) -> PlaneMixture:
    """Return the mixture after a step of EM on `points`, float64 [N, 2] (Dempster et al. 1977)."""
    r = torch.softmax(mixture.joint(points), dim=1)  # E-step: P(z=c|x), [N, K]
    count = r.sum(dim=0)  # M-step: each point counts in each cluster by its share
    means = (r.T @ points) / count[:, None]
    apart = points[:, None] - means
    covariances = torch.einsum("nk,nki,nkj->kij", r, apart, apart) / count[:, None, None]
    return PlaneMixture(count / len(points), means, covariances)


def em_path(points: torch.Tensor, start: PlaneMixture, n_steps: int) -> list[PlaneMixture]:
    """Return the start and the mixture after each of `n_steps` steps of EM: n_steps + 1 of them."""
    path = [start]
    for _ in range(n_steps):
        path.append(em_step(points, path[-1]))
    return path


def ellipse(mean: torch.Tensor, covariance: torch.Tensor, sigmas: float = 2.0) -> np.ndarray:
    """Return the points at `sigmas` standard deviations from the mean of a Gaussian: [121, 2]."""
    angle = np.linspace(0, 2 * np.pi, 121)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return mean.numpy() + sigmas * (torch.linalg.cholesky(covariance).numpy() @ circle).T


def blend(responsibilities: torch.Tensor) -> np.ndarray:
    """Return the clusters' colours mixed by their P(z=c|x): [N, 3] -> RGB [N, 3]."""
    return responsibilities.numpy() @ np.array([to_rgb(color) for color in CLUSTER_COLORS])


def em_drawing(points: torch.Tensor, labels: torch.Tensor) -> Callable[..., Frame]:
    """Return `draw(start, step)`, which shows a step of EM on `points` [N, 2], float64.

    `start` is a key of STARTS, `step` at most N_STEPS. The hidden `labels` [N] serve only to say
    how well the clusters agree with them. Raises ValueError for another start or step.
    """
    shown = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[:N_SHOWN]
    artists, picture = _em_picture(points[shown])

    # All of them before the first picture, so that no slider has to wait for one.
    paths = {name: em_path(points, start, N_STEPS) for name, start in STARTS.items()}

    def draw(start: str, step: int) -> Frame:
        if start not in STARTS or not 0 <= step <= N_STEPS:
            raise ValueError(
                f"start is {start!r} and step {step}, but the starts are {', '.join(STARTS)}, "
                f"and the steps 0 to {N_STEPS}."
            )
        mixture = paths[start][step]
        joint = mixture.joint(points)
        artists["points"].set_facecolor(blend(torch.softmax(joint[shown], dim=1)))
        for k, name in enumerate("ABC"):
            artists[name].set_data(*ellipse(mixture.means[k], mixture.covariances[k]).T)
            artists[f"{name} label"].set_position(mixture.means[k].tolist())
        log_likelihood = torch.logsumexp(joint, dim=1).mean()
        agreement = adjusted_rand_score(labels, joint.argmax(dim=1))
        sizes = ", ".join(f"{name} {size:.2f}" for name, size in zip("ABC", mixture.sizes))
        return Frame(
            picture.png(),
            f"Step {step}: mean log-likelihood {log_likelihood:.3f} nats, adjusted Rand index with "
            f"the hidden digits {agreement:.2f}, cluster sizes {sizes}.",
        )

    return draw


def em_explorer(points: torch.Tensor, labels: torch.Tensor) -> ipywidgets.VBox:
    """Return notebook 02's explorer: a start and a slider of steps above a picture of EM."""
    return explorer(
        em_drawing(points, labels),
        {
            # No menu: JupyterLab takes its arrow keys for itself.
            "start": ipywidgets.SelectionSlider(options=list(STARTS), description="start"),
            "step": ipywidgets.IntSlider(0, min=0, max=N_STEPS, description="EM step"),
        },
    )


def _em_picture(points):
    """Build the figure of `em_drawing`: the moving artists by name, and the picture."""
    figure = Figure(figsize=(7, 4.6), layout="none")
    axis = figure.add_axes([0.09, 0.12, 0.89, 0.85])
    axis.set(xlabel="$x_1$ (intensity)", ylabel="$x_2$ (intensity)", xlim=(-11, 8), ylim=(-6, 7))
    artists = {"points": axis.scatter(*points.T.numpy(), s=9, linewidths=0)}
    for name in "ABC":
        artists[name] = axis.plot([], [], color="black", ls="-", lw=1.5)[0]
    for name in "ABC":
        artists[f"{name} label"] = axis.text(
            0,
            0,
            name,
            ha="center",
            va="center",
            weight="bold",
            bbox={"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": "black"},
        )
    return artists, LivePicture(figure, list(artists.values()))
