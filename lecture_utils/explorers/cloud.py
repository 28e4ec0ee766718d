"""A cloud of points there and back: diffusion on the ring of eight clusters (notebook 09)."""

import functools

from lecture_utils import diffusion, toy_data
from lecture_utils.explorers.shell import Frame, LivePicture, explorer
from lecture_utils.plotting import COLORS, DIGIT_COLORS

import ipywidgets
import torch
from matplotlib.figure import Figure

N_POINTS, LIMIT = 500, 3.2
STEPS = 100
FIELD = torch.linspace(-2.7, 2.7, 10)  # where the arrows stand, in each coordinate


@functools.cache
def ring_denoiser() -> diffusion.MixtureDenoiser:
    """Return the perfect denoiser of the ring, with the default schedule of 100 steps."""
    centres = toy_data.ring_centres()
    n = len(centres)
    covariances = toy_data.RING_SIGMA**2 * torch.eye(2).expand(n, 2, 2)
    return diffusion.MixtureDenoiser(torch.full((n,), 1 / n), centres, covariances)


@functools.cache
def clouds() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the points at every time, twice [101, 500, 2]: there, noised from the ring; and back,
    down the chain of the perfect denoiser from N(0, I). Entry t belongs to time t."""
    schedule = ring_denoiser().schedule
    z0 = toy_data.draw_ring(N_POINTS, torch.Generator().manual_seed(0))
    epsilon = torch.randn(N_POINTS, 2, generator=torch.Generator().manual_seed(1))
    there = [schedule.noised(z0, torch.full((N_POINTS,), t), epsilon) for t in range(STEPS + 1)]
    back = list(
        diffusion.reverse_chain(ring_denoiser(), N_POINTS, torch.Generator().manual_seed(2))
    )
    return torch.stack(there), torch.stack(back[::-1])


@functools.cache
def arrows(t: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the places of the field, [100, 2], and the pull of the score there, [100, 2].

    The pull is (1 - alpha_bar_t) times the score: the way from z_t to sqrt(alpha_bar_t) E[z_0|z_t].
    """
    places = torch.cartesian_prod(FIELD, FIELD)
    schedule = ring_denoiser().schedule
    score = ring_denoiser().score(places, torch.full((len(places),), t))
    return places, ((1 - schedule.alpha_bar[t]) * score).float()


def draw_cloud(t: int) -> Frame:
    """Draw the noised ring and the chain on its way back, both at time t, and a third of the pull.

    Raises ValueError for t outside 0 ... 100.
    """
    if not 0 <= t <= STEPS:
        raise ValueError(f"t is {t}, but there are the times 0 to {STEPS}.")
    artists, picture = _cloud_picture()
    there, back = clouds()
    artists["there"].set_offsets(there[t])
    artists["back"].set_offsets(back[t])
    artists["pull"].set_UVC(*arrows(max(t, 1))[1].T.numpy())
    artists["time"].set_text(f"$t$ = {t}")
    bar = ring_denoiser().schedule.alpha_bar[t]
    home = [toy_data.ring_shares(points[t]).sum().item() for points in (there, back)]
    return Frame(
        picture.png(),
        f"Time {t}: each point is {bar.sqrt():.2f} of where it started plus {(1 - bar).sqrt():.2f} "
        "of noise. Within three standard deviations of a cluster's place lie "
        f"{home[0]:.0%} of the points on the left and {home[1]:.0%} on the right.",
    )


def cloud_explorer() -> ipywidgets.VBox:
    """Return notebook 09's explorer: a slider for the time above `draw_cloud`."""
    slider = ipywidgets.IntSlider(30, min=0, max=STEPS, description="time t")
    return explorer(draw_cloud, {"t": slider})


def cloud_figure(times: tuple[int, ...] = (0, 6, 15, 30, 100)) -> Figure:
    """Draw both clouds at several times: noise is added from left to right above, and taken away
    from right to left below."""
    figure = Figure(figsize=(7, 3.1))
    axes = figure.subplots(2, len(times), sharex=True, sharey=True)
    for row, (label, points) in enumerate(zip(("there", "back"), clouds())):
        colors = _colors(points[0])
        for axis, t in zip(axes[row], times):
            axis.scatter(*points[t].T, s=3, c=colors, linewidths=0)
            axis.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal", xticks=[])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(f"$t$ = {t}", fontsize=11)
        axes[row, 0].set_ylabel(label)
    return figure


def _colors(z0):
    """A colour for each point [N, 2], by the cluster that it starts or ends in."""
    nearest = torch.cdist(z0, toy_data.ring_centres()).argmin(dim=1)
    return [DIGIT_COLORS[mode] for mode in nearest.tolist()]


@functools.cache
def _cloud_picture():
    """Build the figure of `draw_cloud`: the moving artists by name, and the picture."""
    figure = Figure(figsize=(7, 3.7), layout="none")
    artists = {}
    for name, left, title, points in zip(
        ("there", "back"), (0.06, 0.55), ("there: adding noise", "back: the chain"), clouds()
    ):
        axis = figure.add_axes([left, 0.1, 0.44, 0.8])
        axis.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal", title=title)
        artists[name] = axis.scatter(*points[0].T, s=9, c=_colors(points[0]), linewidths=0)
    places = arrows(1)[0].numpy()
    style = {"angles": "xy", "scale_units": "xy", "scale": 3, "width": 0.006}
    still = [0.0] * len(places)
    artists["pull"] = axis.quiver(*places.T, still, still, color=COLORS["prior"], **style)
    artists["time"] = figure.text(0.5, 0.95, "", ha="center", va="center", fontsize=12)
    return artists, LivePicture(figure, list(artists.values()))
