"""The explorers of notebook 08: the bound of a model with four pixels, and of a diffusion chain."""

import functools
import math
from itertools import pairwise
from typing import NamedTuple

from lecture_utils.explorers.shell import Frame, LivePicture, explorer
from lecture_utils.plotting import COLORS

import ipywidgets
import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import quad
from scipy.special import erfcx, log_ndtr, ndtr

# --- The importance-weighted bound of four pixels: p(x=1|z) = Phi(z), x = (1, 1, 1, 0) ---

LOG_P_X = math.log(1 / 20)  # the integral of u^3 (1 - u), u = Phi(z) uniform on (0, 1)
MEAN_LIMIT, SD_RANGE = 2.0, (0.2, 2.0)
KS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
NODES = np.linspace(-9, 9, 361)  # of (z - mean) / sd
MASS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()


def bound_of_k(log_weights: np.ndarray, mass: np.ndarray, ks: tuple[int, ...]) -> np.ndarray:
    """Return L_k = E[log(1/k sum_l w_l)] in nats for independent weights, one value for each k.

    The weights have the values exp(`log_weights`) [n] with the probabilities `mass` [n]. No sample
    is drawn: log S is the integral of (exp(-t) - exp(-t S)) / t over t > 0 (Frullani), and the
    mean of exp(-t S) for a sum of k independent weights is the k-th power of that for one.
    """
    step = 0.25  # of log t: the integrand is analytic, and the trapezoid rule exact to rounding
    log_t = np.arange(-60.0, 45.0 - log_weights.min(), step)
    most = 700  # exp(-exp(700)) is 0, and exp(700) no overflow
    laplace = np.exp(-np.exp(np.minimum(log_t[:, None] + log_weights, most))) @ mass
    one = np.exp(-np.exp(np.minimum(log_t, most)))
    return np.array([(one - laplace**k).sum() * step - math.log(k) for k in ks])


def four_pixels_log_joint(z: np.ndarray) -> np.ndarray:
    """Return log p(x|z) + log p(z) of x = (1, 1, 1, 0) in nats, same shape as z."""
    log_prior = -(z**2) / 2 - math.log(2 * math.pi) / 2
    return 3 * log_ndtr(z) + log_ndtr(-z) + log_prior


class Bounds(NamedTuple):
    """L_k in nats for each k of KS, and chi2 = Var(w) / p(x)^2, infinite for a q too narrow."""

    of_k: np.ndarray
    chi2: float


def four_pixels_bounds(mean: float, sd: float) -> Bounds:
    """Return L_k of the four pixels for q(z|x) = N(mean, sd^2), exact to about 1e-9 nats."""
    z = mean + sd * NODES
    log_q = -(NODES**2) / 2 - math.log(sd * math.sqrt(2 * math.pi))
    log_weights = four_pixels_log_joint(z) - log_q
    return Bounds(bound_of_k(log_weights, MASS, KS), _four_pixels_chi2(mean, sd))


def _four_pixels_chi2(mean, sd):
    """Var(w) / p(x)^2 = E_q[w^2] / p(x)^2 - 1, by quadrature.

    Far to the right 1 - Phi(z) is nearly exp(-z^2/2) / (z sqrt(2 pi)), so the posterior falls like
    exp(-z^2) / z, and w^2 q like exp(-a z^2 - b z) / z^2 with the a and b below. The integral is
    finite for a > 0, and for a = 0, which is sd = 1/2, if b >= 0. A value beyond a float's range (a
    near 0 and b < 0) is infinite, too.
    """
    a, b = 2 - 1 / (2 * sd**2), mean / sd**2
    if a < 0 or (a == 0 and b < 0):
        return math.inf

    def integrand(z):  # w^2 q / p(x)^2, the right tail of 1 - Phi factored out of it
        joint = 20 * ndtr(z) ** 3 * erfcx(z / math.sqrt(2)) / math.sqrt(8 * math.pi)
        one_over_q = sd * math.sqrt(2 * math.pi) * np.exp(-a * z**2 - b * z + mean * b / 2)
        return joint**2 * one_over_q

    peak = -b / (2 * a) if b < 0 else 1.0  # of the last factor, which may lie far to the right
    ends = (-12, 0, peak, math.inf)  # below -12 nothing is left
    with np.errstate(over="ignore"):
        parts = [
            quad(integrand, *part, epsabs=0, epsrel=1e-10, limit=200)[0] for part in pairwise(ends)
        ]
    return sum(parts) - 1


def draw_bound(mean: float, sd: float, k: int) -> Frame:
    """Draw prior, likelihood, posterior and q, and beside them the gap log p(x) - L_k against k.

    Raises ValueError for a mean outside [-2, 2], an sd outside [0.2, 2] or a k not in KS.
    """
    _require("mean", mean, -MEAN_LIMIT, MEAN_LIMIT)
    _require("sd", sd, *SD_RANGE)
    if k not in KS:
        raise ValueError(f"k is {k}, but must be one of {', '.join(map(str, KS))}.")
    z, artists, picture = _bound_picture()
    bounds = four_pixels_bounds(mean, sd)
    gaps = LOG_P_X - bounds.of_k
    gap = gaps[KS.index(k)]
    artists["q"].set_ydata(np.exp(-(((z - mean) / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi)))
    artists["gaps"].set_ydata(gaps)
    artists["here"].set_data([k], [gap])
    artists["here label"].set_text(f"$k$ = {k}: {gap:.2g} nats short")
    spread = "infinite" if math.isinf(bounds.chi2) else f"{bounds.chi2:.2g} times p(x) squared"
    return Frame(
        picture.png(),
        f"Left, q with mean {mean:.2f} and standard deviation {sd:.2f} over the posterior. Right, "
        f"the bound is short of log p(x) = {LOG_P_X:.3f} by {gaps[0]:.2g} nats at k = 1 (the "
        f"ELBO), and by {gap:.2g} nats at k = {k}. The variance of a weight is {spread}.",
    )


def bound_explorer() -> ipywidgets.VBox:
    """Return notebook 08's first explorer: q's mean and standard deviation, and k."""
    return explorer(
        draw_bound,
        {
            "mean": ipywidgets.FloatSlider(
                0.5, min=-MEAN_LIMIT, max=MEAN_LIMIT, step=0.05, description="mean of q"
            ),
            "sd": ipywidgets.FloatSlider(
                0.6, min=SD_RANGE[0], max=SD_RANGE[1], step=0.05, description="sd of q"
            ),
            "k": ipywidgets.SelectionSlider(options=KS, value=1, description="samples k"),
        },
    )


@functools.cache
def _bound_picture():
    """Build the figure of `draw_bound`: the grid of z, the moving artists by name, the picture."""
    z = np.linspace(-3.5, 3.5, 351)
    figure = Figure(figsize=(7, 3.8), layout="none")
    left = figure.add_axes([0.08, 0.14, 0.48, 0.76])
    right = figure.add_axes([0.68, 0.14, 0.30, 0.76])
    draw_densities(left, z)
    left.set(ylim=(0, 2.1), title=r"$p(z)$, $p(\mathbf{x}|z)$, $p(z|\mathbf{x})$, and $q$")
    right.set(
        xscale="log",
        yscale="log",
        xlim=(0.7, 1500),
        ylim=(1e-7, 100),
        xlabel="samples $k$",
        ylabel="nats",
        title=r"gap $\log p(\mathbf{x}) - \mathcal{L}_k$",
    )
    artists = {
        "q": left.plot(z, 0 * z, color=COLORS["latent"], ls="--")[0],
        "gaps": right.plot(KS, np.ones(len(KS)), "-", color=COLORS["bound"])[0],
        "here": right.plot([1], [1], "o", ms=9, color=COLORS["bound"])[0],
        "here label": right.text(
            0.03, 0.04, "", transform=right.transAxes, color=COLORS["bound"], fontsize=10
        ),
    }
    left.text(0.02, 0.72, r"$q(z|\mathbf{x})$, dashed", color=COLORS["latent"],
              transform=left.transAxes)  # fmt: skip
    return z, artists, LivePicture(figure, list(artists.values()))


def draw_densities(axis, z: np.ndarray) -> None:
    """Draw prior, likelihood (divided by p(x)) and posterior of the four pixels over z [n]."""
    joint = four_pixels_log_joint(z)
    prior = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    axis.plot(z, prior, ":", color=COLORS["prior"])
    axis.plot(z, np.exp(joint - LOG_P_X) / prior, "-.", color=COLORS["reconstruction"], lw=1.5)
    axis.plot(z, np.exp(joint - LOG_P_X), "-", color=COLORS["data"])
    axis.set(xlabel="$z$", xlim=(z[0], z[-1]))
    for y, text, name in (
        (0.93, r"prior $p(z)$, dotted", "prior"),
        (0.86, r"likelihood$/p(\mathbf{x})$, dash-dot", "reconstruction"),
        (0.79, r"posterior, solid", "data"),
    ):
        axis.text(0.02, y, text, color=COLORS[name], transform=axis.transAxes)


# --- The bound of a diffusion chain, data N(1, s^2), best guess of the noise ---

DATA_MEAN = 1.0
STEPS = (30, 50, 100, 200, 500, 1000, 2000, 3000)
SDS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 1.5)


class Chain(NamedTuple):
    """For t = 1..T, float64 [T]: the variances beta_t, beta tilde_t, and that of q(z_{t-1}|z_t);
    and KL(q(z_T) || p(z_T)) in nats."""

    beta: np.ndarray
    beta_tilde: np.ndarray
    exact: np.ndarray
    prior_kl: float

    def gap(self, variance: np.ndarray) -> float:
        """Return the mean of log q(x) - bound in nats for sigma_t^2 = `variance` [T]."""
        ratio = self.exact / variance
        return self.prior_kl + float((ratio - 1 - np.log(ratio)).sum() / 2)


def diffusion_chain(s: float, n_steps: int) -> Chain:
    """Return the chain of `n_steps` for data N(1, s^2), linear schedule of Ho et al. (2020) scaled
    by 1000/T. As is usual, beta tilde_1 = 0, which is no variance, is replaced by beta tilde_2.

    Raises ValueError for fewer than 30 steps (at 20, beta_T reaches 1) or s <= 0.
    """
    if n_steps < STEPS[0] or not s > 0:
        raise ValueError(f"n_steps is {n_steps} and s {s}: at least {STEPS[0]}, and above 0.")
    beta = np.linspace(1e-4, 0.02, n_steps) * 1000 / n_steps
    bar = np.cumprod(1 - beta)
    before = np.concatenate([[1.0], bar[:-1]])
    v, v_before = bar * s**2 + 1 - bar, before * s**2 + 1 - before
    beta_tilde = beta * (1 - before) / (1 - bar)
    beta_tilde[0] = beta_tilde[1]
    prior_kl = (v[-1] + bar[-1] * DATA_MEAN**2 - 1 - math.log(v[-1])) / 2
    return Chain(beta, beta_tilde, beta * v_before / v, float(prior_kl))


def draw_steps(s: float, n_steps: int) -> Frame:
    """Draw the gap of a diffusion model's bound against T for both variances, and which variance
    each step would need.

    Raises ValueError for an s not in SDS or a number of steps not in STEPS.
    """
    if s not in SDS or n_steps not in STEPS:
        raise ValueError(f"s is {s} and T {n_steps}: choose from {SDS} and {STEPS}.")
    artists, picture = _steps_picture()
    chains = {steps: diffusion_chain(s, steps) for steps in STEPS}
    here, t = chains[n_steps], np.arange(1, n_steps + 1) / n_steps
    gaps = {}
    for name in ("beta", "beta_tilde"):
        curve = [chain.gap(getattr(chain, name)) for chain in chains.values()]
        gaps[name] = here.gap(getattr(here, name))
        artists[name].set_ydata(curve)
        artists[f"{name} here"].set_data([n_steps], [gaps[name]])
        artists[f"{name} ratio"].set_data(t, getattr(here, name) / here.exact)
    return Frame(
        picture.png(),
        f"Data with standard deviation {s}, T = {n_steps}: the bound is short of log q(x) by "
        f"{gaps['beta']:.2g} nats with the variance beta_t and by {gaps['beta_tilde']:.2g} with "
        "beta tilde_t. Right, both variances over the one that the data's own step back has.",
    )


def steps_explorer() -> ipywidgets.VBox:
    """Return notebook 08's second explorer: the data's standard deviation s, and T."""
    return explorer(
        draw_steps,
        {
            "s": ipywidgets.SelectionSlider(options=SDS, value=0.5, description="sd of the data s"),
            "n_steps": ipywidgets.SelectionSlider(options=STEPS, value=1000, description="steps T"),
        },
    )


@functools.cache
def _steps_picture():
    """Build the figure of `draw_steps`: the moving artists by name, and the picture."""
    figure = Figure(figsize=(7, 3.8), layout="none")
    left = figure.add_axes([0.10, 0.14, 0.36, 0.76])
    right = figure.add_axes([0.60, 0.14, 0.38, 0.76])
    left.set(
        xscale="log",
        yscale="log",
        xlim=(25, 3600),
        ylim=(1e-6, 10),
        xlabel="number of steps $T$",
        ylabel="gap (nats)",
        title="short of the data's own",
    )
    right.set(
        xscale="log",
        yscale="log",
        xlim=(3e-4, 1),
        ylim=(0.02, 60),
        xlabel="$t/T$ (0 is the image)",
        ylabel=r"$\sigma_t^2$ over the exact variance",
        title="1 would be right",
    )
    right.axhline(1, color=COLORS["data"], lw=1, ls="-")
    artists = {}
    for name, label, color, line, mark, y in (
        ("beta", r"$\beta_t$, solid, circle", "bound", "-", "o", 0.93),
        ("beta_tilde", r"$\tilde\beta_t$, dashed, square", "prior", "--", "s", 0.86),
    ):
        style = {"color": COLORS[color], "ls": line}
        artists[name] = left.plot(STEPS, np.ones(len(STEPS)), **style)[0]
        artists[f"{name} here"] = left.plot([1], [1], mark, ms=8, color=COLORS[color])[0]
        artists[f"{name} ratio"] = right.plot([0], [1], **style)[0]
        right.text(0.35, y, label, color=COLORS[color], transform=right.transAxes)
    return artists, LivePicture(figure, list(artists.values()))


def _require(name, value, low, high):
    """Raise ValueError unless low <= value <= high; the comparison also catches NaN."""
    if not low <= value <= high:
        raise ValueError(
            f"{name} is {value}, but must lie in [{low}, {high}], the range of its slider."
        )
