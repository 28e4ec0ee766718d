"""The explorers of the toy problems: notebook 04's q(z|x) and notebook 05's KL."""

import functools
import math
from typing import NamedTuple

from lecture_utils.explorers.shell import Frame, LivePicture, explorer
from lecture_utils.plotting import COLORS

import ipywidgets
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

# --- Notebook 04: q(z|x) = N(x^2 + 2, x^4), f(z) = z^2 ---

X_LIMIT, MAX_SAMPLES, N_PATHS, ESTIMATE_RANGE = 1.2, 1000, 12, (-60, 90)


class ToyGradients(NamedTuple):
    """One-sample estimates of d/dx E[z^2] for given noise, each [L]; `score_function` is NaN where
    x = 0."""

    z: torch.Tensor
    reparameterized: torch.Tensor
    score_function: torch.Tensor


def toy_gradients(x: float, epsilon: torch.Tensor) -> ToyGradients:
    """Return z = x^2 + 2 + x^2 epsilon and both estimates of d/dx E[z^2] = 8x^3 + 8x for noise
    `epsilon` [L].

    Reparameterized: 2z dz/dx. Score function: z^2 d/dx log q(z|x), with d/dx log q = 2 (epsilon^2 +
    epsilon - 1) / x. Slide "The Reparameterization Trick"; both formulas are derived in notebook
    04.
    """
    z = x**2 + 2 + x**2 * epsilon
    score = 2 * (epsilon**2 + epsilon - 1) / x if x else torch.full_like(epsilon, math.nan)
    return ToyGradients(z, 2 * z * (2 * x + 2 * x * epsilon), z**2 * score)


def draw_reparameterization(x: float, n_samples: int) -> Frame:
    """Draw the density q(z|x), samples on their paths z(x) for fixed noise, and both gradient
    estimates.

    The noise is the same whatever x is, so moving x slides each sample along its path. Raises
    ValueError for x outside [-1.2, 1.2] or n_samples outside 1..1000.
    """
    _require_range("x", x, -X_LIMIT, X_LIMIT)
    _require_range("n_samples", n_samples, 1, MAX_SAMPLES)
    noise, artists, picture = _reparameterization_picture()
    epsilon = noise[:n_samples]
    toy = toy_gradients(x, epsilon)
    shown = min(n_samples, N_PATHS)
    curve = np.linspace(-X_LIMIT, X_LIMIT, 61)
    artists["paths"].set_segments(
        [np.column_stack([curve, curve**2 * (1 + e) + 2]) for e in epsilon[:shown].tolist()]
    )
    artists["samples"].set_data(np.full(shown, x), toy.z[:shown].numpy())
    height = np.linspace(-3.5, 3.5, 81)  # in units of sigma; every density is drawn equally wide
    artists["density"].set_xy(
        np.column_stack([x + 0.3 * np.exp(-(height**2) / 2), x**2 + 2 + x**2 * height])
    )
    exact = 8 * x**3 + 8 * x
    artists["exact"].set_ydata([exact, exact])
    artists["exact label"].set(y=exact, text=f"exact {exact:.1f}")
    for name, gradients in (("trick", toy.reparameterized), ("score", toy.score_function)):
        _draw_estimate(artists, name, gradients)
    score = f"{toy.score_function.mean():.1f}" if x else "undefined"
    return Frame(
        picture.png(),
        f"Left, the density q(z|x) at x = {x:.2f} with samples on their paths z(x). Right, both "
        f"estimates of the gradient from {n_samples} samples: {toy.reparameterized.mean():.1f} "
        f"with the trick, {score} with the score function, {exact:.1f} exactly.",
    )


def reparameterization_explorer() -> ipywidgets.VBox:
    """Return notebook 04's explorer: sliders for x and the number of samples above
    `draw_reparameterization`."""
    return explorer(
        draw_reparameterization,
        {
            "x": ipywidgets.FloatSlider(1.0, min=-X_LIMIT, max=X_LIMIT, step=0.05, description="x"),
            "n_samples": ipywidgets.SelectionSlider(
                options=[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
                value=10,
                description="samples L",
            ),
        },
    )


def _draw_estimate(artists, name, gradients):
    """Place the mean of `gradients` [L], with plus or minus one standard error; say so where it is
    off the scale."""
    mean = gradients.mean().item()
    error = gradients.std().item() / len(gradients) ** 0.5 if len(gradients) > 1 else 0.0
    column, (low, high) = artists[name].get_xdata()[0], ESTIMATE_RANGE
    artists[name].set_ydata([np.clip(mean, low + 4, high - 4)])
    artists[name].set_marker("^" if mean > high else "v" if mean < low else "o")
    artists[f"{name} error"].set_segments(
        [[(column, mean - error), (column, mean + error)]] if not math.isnan(mean) else []
    )
    text = (
        "undefined"
        if math.isnan(mean)
        else f"{mean:.1f}" + (f" ± {error:.1f}" if len(gradients) > 1 else "")
    )
    artists[f"{name} label"].set_text(text)


@functools.cache
def _reparameterization_picture():
    """Build the figure of `draw_reparameterization`: the fixed noise [1000], the moving artists by
    name, the picture."""
    noise = torch.randn(
        MAX_SAMPLES, generator=torch.Generator().manual_seed(4), dtype=torch.float64
    )
    figure = Figure(figsize=(7, 3.8), layout="none")
    left, right = (
        figure.add_axes([0.085, 0.14, 0.475, 0.77]),
        figure.add_axes([0.69, 0.14, 0.29, 0.77]),
    )
    left.set(
        xlim=(-X_LIMIT - 0.05, X_LIMIT + 0.35),
        ylim=(-1, 8),
        xlabel="$x$",
        ylabel="$z$",
        title=r"$z = x^2 + 2 + x^2\,\varepsilon$ for fixed $\varepsilon$",
    )
    right.set(
        xlim=(-0.5, 1.5),
        ylim=ESTIMATE_RANGE,
        xticks=[0, 1],
        xticklabels=["trick", "score\nfunction"],
        ylabel=r"estimate of $dE[z^2]/dx$",
        title="mean of $L$ samples",
    )
    artists = {
        "density": left.fill([0], [0], color=COLORS["latent"], alpha=0.25, lw=1)[0],
        "paths": left.add_collection(LineCollection([], color=COLORS["prior"], lw=0.8)),
        "samples": left.plot([], [], "o", color=COLORS["latent"], ms=5)[0],
        "exact": right.plot([-0.5, 1.5], [0, 0], "-", color=COLORS["data"], lw=1)[0],
        "exact label": right.text(
            0.5, 0, "", color=COLORS["data"], ha="center", va="bottom", fontsize=9
        ),
    }
    for column, (name, color) in enumerate(
        [("trick", COLORS["latent"]), ("score", COLORS["prior"])]
    ):
        artists[f"{name} error"] = right.vlines([column], 0, 0, color=color, lw=5, alpha=0.4)
        artists[name] = right.plot([column], [0], "o", color=color)[0]
        artists[f"{name} label"] = right.text(
            column, ESTIMATE_RANGE[0] + 4, "", color=color, ha="center", fontsize=10
        )
    return noise, artists, LivePicture(figure, list(artists.values()))


# --- Notebook 05: KL( N(mu, sigma^2) || N(0, 1) ) ---

MU_LIMIT, SIGMA_RANGE = 2.5, (0.1, 2.5)


def kl_terms(mu: float, sigma: float) -> tuple[float, float]:
    """Return the two terms of KL( N(mu, sigma^2) || N(0, 1) ) in nats: mu^2 / 2 and (sigma^2 - 1 -
    log sigma^2) / 2.

    Both are at least 0; the first pulls the mean to 0, the second the variance to 1. Slide "The
    Second Term".
    """
    return mu**2 / 2, (sigma**2 - 1 - math.log(sigma**2)) / 2


def kl_integrand(z: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    """Return q(z) log(q(z) / p(z)) for q = N(mu, sigma^2) and p = N(0, 1), same shape as z; its
    integral is the KL."""
    log_ratio = -math.log(sigma) - ((z - mu) / sigma) ** 2 / 2 + z**2 / 2
    return _normal_density(z, mu, sigma) * log_ratio


def draw_kl(mu: float, sigma: float) -> Frame:
    """Draw q and p, the KL as the shaded area under q log(q/p), and its two terms as bars.

    Raises ValueError for mu outside [-2.5, 2.5] or sigma outside [0.1, 2.5].
    """
    _require_range("mu", mu, -MU_LIMIT, MU_LIMIT)
    _require_range("sigma", sigma, *SIGMA_RANGE)
    z, artists, picture = _kl_picture()
    density, integrand = _normal_density(z, mu, sigma), kl_integrand(z, mu, sigma)
    peak = next(limit for limit in (1.7, 4.2) if density.max() < limit)
    top = next(limit for limit in (1.2, 3.0, 9.0, 27.0) if integrand.max() < limit)
    artists["q"].axes.set_ylim(0, peak)
    artists["q"].set_ydata(density)
    artists["integrand"].axes.set_ylim(-top / 3, top)
    artists["integrand"].set_ydata(integrand)
    for name, part in (("gain", np.maximum(integrand, 0)), ("loss", np.minimum(integrand, 0))):
        artists[name].set_xy(np.column_stack([z, part]))
    mean_term, spread_term = kl_terms(mu, sigma)
    for name, height in zip(
        ("mean", "spread", "kl"), (mean_term, spread_term, mean_term + spread_term)
    ):
        artists[name].set_height(height)
        artists[f"{name} label"].set(y=height + 0.1, text=f"{height:.2f}")
    return Frame(
        picture.png(background_key=f"{peak} {top}"),
        f"Left, q with mean {mu:.2f} and standard deviation {sigma:.2f}, and p, above the "
        "integrand q log(q/p). Right, the two terms of the KL and their sum: "
        f"{mean_term:.2f} + {spread_term:.2f} = {mean_term + spread_term:.2f} nats.",
    )


def kl_explorer() -> ipywidgets.VBox:
    """Return notebook 05's explorer: sliders for mu and sigma above `draw_kl`."""
    return explorer(
        draw_kl,
        {
            "mu": ipywidgets.FloatSlider(
                1.0, min=-MU_LIMIT, max=MU_LIMIT, step=0.01, description="mu"
            ),
            "sigma": ipywidgets.FloatSlider(
                0.5, min=SIGMA_RANGE[0], max=SIGMA_RANGE[1], step=0.01, description="sigma"
            ),
        },
    )


@functools.cache
def _kl_picture():
    """Build the figure of `draw_kl`: the grid of z, the moving artists by name, the picture."""
    z = np.linspace(-6, 6, 801)  # 0.015 apart: fine for the narrowest sigma
    figure = Figure(figsize=(7, 4.2), layout="none")
    densities, integrand = (
        figure.add_axes([0.08, 0.6, 0.54, 0.33]),
        figure.add_axes([0.08, 0.12, 0.54, 0.37]),
    )
    bars = figure.add_axes([0.73, 0.12, 0.26, 0.81])
    densities.set(xlim=(-6, 6), ylim=(0, 1.7), title="densities", xticklabels=[])
    integrand.set(xlim=(-6, 6), xlabel="$z$", title=r"$q\,\log(q/p)$: its area is the KL")
    densities.plot(z, _normal_density(z, 0, 1), "--", color=COLORS["prior"])
    for y, label, name in (
        (0.86, r"$q = \mathcal{N}(\mu, \sigma^2)$", "latent"),
        (0.73, r"$p = \mathcal{N}(0, 1)$, dashed", "prior"),
    ):
        densities.text(0.02, y, label, color=COLORS[name], transform=densities.transAxes)
    integrand.axhline(0, color=COLORS["data"], lw=1)
    bars.set(
        ylim=(0, 6.5),
        ylabel="nats",
        xticks=[0, 1, 2],
        title="KL = sum of two terms",
        xticklabels=["mean", "spread", "KL"],
    )
    artists = {
        "q": densities.plot(z, 0 * z, color=COLORS["latent"])[0],
        "gain": integrand.fill([0], [0], color=COLORS["kl"], alpha=0.4, lw=0, ls="-")[0],
        "loss": integrand.fill(
            [0],
            [0],
            facecolor="none",
            edgecolor=COLORS["data"],
            hatch="////",
            lw=0,
            ls="-",
        )[0],
        "integrand": integrand.plot(z, 0 * z, color=COLORS["kl"])[0],
    }
    for column, name in enumerate(("mean", "spread", "kl")):
        artists[name] = bars.bar(column, 0, color=COLORS["kl"], alpha=1.0 if name == "kl" else 0.5)[
            0
        ]
        artists[f"{name} label"] = bars.text(column, 0, "", ha="center", fontsize=10)
    return z, artists, LivePicture(figure, list(artists.values()))


def _normal_density(z, mu, sigma):
    return np.exp(-(((z - mu) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))


def _require_range(name, value, low, high):
    """Raise ValueError unless low <= value <= high; the comparison also catches NaN."""
    if not low <= value <= high:
        raise ValueError(
            f"{name} is {value}, but must lie in [{low}, {high}], the range of its slider."
        )
