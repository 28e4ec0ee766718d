"""The explorers of notebooks 06 and 07: move a code, a path between two digits, an input's noise.

Each has a plain function in `latent_space` that computes what is shown, a class whose `draw` makes
a picture of it in milliseconds (and says the same in words), and a shell of controls.
"""

import math

from lecture_utils.explorers.shell import Frame, LivePicture, explorer
from lecture_utils.latent_space import (
    decoded,
    denoise_with_each,
    first_of_each_digit,
    interpolate,
    named_units,
    nearest_code,
    traverse,
)
from lecture_utils.plotting import COLORS, digit_panel

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

TRAVERSAL = torch.linspace(-3, 3, 13)  # positions of the digits in the strip of a traversal
PATH = torch.linspace(0, 1, 11)  # and in those of an interpolation


# --- Notebook 06: latent plane -> digit ---


class PlanePicture:
    """The latent plane with a marker at z, and what each of one or more decoders with such a plane
    makes of z.

    `models` and `codes` are dicts with the same names; the codes [N, 2] with labels [N] show where
    each model puts images. All planes have the same scale, [-limit, limit] in both coordinates.
    """

    def __init__(self, models: dict, codes: dict, labels: torch.Tensor, limit: float):
        self.models, self.codes, self.labels = models, codes, labels
        several = len(models) > 1
        figure = Figure(figsize=(7, 5) if several else (7, 4), layout="none")
        self.parts = []
        for column, (name, z) in enumerate(codes.items()):
            left = column / len(models)
            if several:  # a column each: the plane above, its digit below
                plane, digit = (
                    figure.add_axes([left + 0.06, 0.53, 0.25, 0.35]),
                    figure.add_axes([left + 0.075, 0.08, 0.22, 0.308]),
                )
                digit_panel(plane, z, labels, n=150, limit=limit, fontsize=11)
                plane.set_title(name)
                if column:
                    plane.set(ylabel="", yticklabels=[])
            else:
                plane, digit = (
                    figure.add_axes([0.08, 0.13, 0.46, 0.805]),
                    figure.add_axes([0.63, 0.3, 0.32, 0.56]),
                )
                digit_panel(plane, z, labels, limit=limit)
                plane.set_title("where test images lie")
                digit.set_title("what the decoder makes of z")
            self.parts.append(_MarkedPlane(plane, digit, size=10 if several else 15))
        self.picture = LivePicture(
            figure, [artist for part in self.parts for artist in part.moving]
        )

    def draw(self, z1: float, z2: float) -> Frame:
        """Draw the plane or planes with the marker at z = (z1, z2), and z decoded."""
        z, found = torch.tensor([z1, z2]), []
        for part, (name, model) in zip(self.parts, self.models.items()):
            digit, distance = nearest_code(self.codes[name], self.labels, z)
            found.append(f"nearest code: a {digit}, {distance:.1f} away")
            part.move(z1, z2, decoded(model, z), found[-1])
        where = (
            "Left, the latent plane"
            if len(self.parts) == 1
            else "Top, each model's latent plane, all on one scale,"
        )
        return Frame(
            self.picture.png(),
            f"{where} with codes of test digits, a ring at z and a dashed circle round 95 % of "
            "N(0, I). "
            f"{'Right' if len(self.parts) == 1 else 'Below'}, z = ({z1:.1f}, {z2:.1f}) decoded. "
            + ". ".join(f"{name}: {text}" for name, text in zip(self.models, found))
            + ".",
        )


class _MarkedPlane:
    """The artists of one plane that move: cross-hairs with a ring at z, the digit, the words below
    it."""

    def __init__(self, plane, digit, size):
        self.lines = (
            plane.axhline(0, color="black", lw=1, ls=":"),
            plane.axvline(0, color="black", lw=1, ls=":"),
        )
        (self.ring,) = plane.plot([0], [0], "o", ms=size, mfc="none", mec="black", mew=size / 6)
        (self.halo,) = plane.plot([0], [0], "o", ms=size, mfc="none", mec="white", mew=size / 2.5)
        self.digit = _digit_image(digit)
        self.words = digit.text(
            0.5, -0.06, "", transform=digit.transAxes, ha="center", va="top", fontsize=10
        )
        self.moving = [*self.lines, self.halo, self.ring, self.digit, self.words]

    def move(self, z1, z2, probabilities, words):
        self.lines[0].set_ydata([z2, z2])
        self.lines[1].set_xdata([z1, z1])
        for circle in (self.halo, self.ring):
            circle.set_data([z1], [z2])
        self.digit.set_data(_square(probabilities))
        self.words.set_text(words)


def latent_plane_explorer(model, codes: torch.Tensor, labels: torch.Tensor) -> ipywidgets.VBox:
    """Return sliders for both coordinates of a 2-D latent space above the codes [N, 2] with a
    marker at z, and z decoded."""
    return explorer(
        PlanePicture({"VAE": model}, {"VAE": codes}, labels, limit=4.3).draw, _plane_sliders(4)
    )


def decoders_explorer(models: dict, codes: dict, labels: torch.Tensor) -> ipywidgets.VBox:
    """Return sliders for a code of the latent plane above each 2-D model's plane, all on one scale,
    and its decoded digit.

    `codes` {name: [N, 2]} with labels [N] show where each model puts the test images; the sliders
    reach as far as the widest of these clouds.
    """
    limit = math.ceil(max(z.abs().quantile(0.995).item() for z in codes.values()))
    return explorer(PlanePicture(models, codes, labels, limit).draw, _plane_sliders(limit))


def _plane_sliders(limit):
    return {
        name: ipywidgets.FloatSlider(
            value=0, min=-limit, max=limit, step=0.1, readout_format=".1f", description=label
        )
        for name, label in (("z1", "z₁, horizontal"), ("z2", "z₂, vertical"))
    }


# --- Notebook 06: traversals ---


class TraversalPicture:
    """One coordinate of the code of an image moved from -3 to 3: the digit, its change, the whole
    strip, and q(z_j|x).

    `images` [N, D] are binary, with labels [N].
    """

    def __init__(self, model, images: torch.Tensor, labels: torch.Tensor):
        self.model, self.labels = model, labels
        with torch.no_grad():
            self.mu, self.logvar = (
                part.cpu() for part in model.encode(images.to(model.to_logits.weight.device))
            )
        figure = Figure(figsize=(7, 4.1), layout="none")
        axes = [figure.add_axes([left, 0.515, 0.235, 0.401]) for left in (0.08, 0.3825, 0.685)]
        for axis, title in zip(
            axes, ("decoded from its code", "with $z_j$ moved", "pixels that changed")
        ):
            axis.set_title(title, fontsize=11)
        self.images = [_digit_image(axis) for axis in axes]
        strip = figure.add_axes([0.08, 0.315, 0.84, 0.115])
        self.strip = strip.imshow(
            np.zeros((28, 28 * len(TRAVERSAL))),
            extent=(-3.25, 3.25, 0, 1),
            aspect="auto",
            vmin=0,
            vmax=1,
        )
        strip.set_axis_off()
        self.frame = strip.add_patch(
            Rectangle((0, 0), 0.5, 1, fill=False, ec=COLORS["reconstruction"], lw=3, clip_on=False)
        )
        line = figure.add_axes([0.08, 0.12, 0.84, 0.165])
        line.set(xlim=(-3.25, 3.25), ylim=(0, 3), yticks=[], xlabel="$z_j$", xticks=range(-3, 4))
        line.plot([-1, 1], [0.7, 0.7], "--|", color=COLORS["prior"], mew=2)
        line.text(1.1, 0.7, "prior, 0 ± 1", color=COLORS["prior"], va="center", fontsize=10)
        (self.posterior,) = line.plot([], [], "-|", color=COLORS["latent"], lw=4, ms=12, mew=2)
        self.label = line.text(
            0,
            2,
            "",
            color=COLORS["latent"],
            va="center",
            fontsize=10,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
        (self.here,) = line.plot([0, 0], [0, 3], ":", color="black", lw=1.5)
        self.picture = LivePicture(
            figure, [*self.images, self.strip, self.frame, self.here, self.posterior, self.label]
        )

    def draw(self, digit: int, unit: int, z: float) -> Frame:
        """Draw row `digit` of the images with coordinate `unit` moved to z, and its whole
        traversal."""
        mean, sigma = self.mu[digit, unit].item(), (self.logvar[digit, unit] / 2).exp().item()
        start, moved, *whole = traverse(
            self.model, self.mu[digit], unit, torch.cat([torch.tensor([mean, z]), TRAVERSAL])
        )
        change = (moved - start).abs()
        for image, pixels in zip(self.images, (start, moved, change)):
            image.set_data(_square(pixels))
        self.strip.set_data(_row(torch.stack(whole)))
        self.frame.set_x(z - 0.25)
        self.here.set_xdata([z, z])
        self.posterior.set_data([mean - sigma, mean + sigma], [2, 2])
        where = f"{mean:.1f} ± {sigma:.1f}".replace("-", "\u2212")
        self.label.set(x=min(max(mean + sigma, -3.1), 1.3) + 0.12, text=f"q(z|x): {where}")
        return Frame(
            self.picture.png(),
            f"Top: a {self.labels[digit]} decoded from its code, the same with unit {unit} at "
            f"{z:.1f}, and the pixels that "
            f"changed, {change.sum():.0f} of {len(change)} in sum. Below: the whole traversal "
            "from \u22123 to 3 with a frame at the "
            f"present value, and q(z|x) of this unit, {where}, above the prior, 0 ± 1.",
        )


def traversal_explorer(model, images: torch.Tensor, labels: torch.Tensor) -> ipywidgets.VBox:
    """Return controls for a digit, a latent unit of a VAE and its value above the
    `TraversalPicture`.

    The units are sorted by their mean KL over the binary images [N, D] with labels [N]; their names
    state it in nats, and whether they are active.
    """
    rows, units = first_of_each_digit(labels), named_units(model, images)
    return explorer(
        TraversalPicture(model, images[rows], labels[rows]).draw,
        {
            "digit": _digit_choice(labels, rows, 3, "start from"),
            "unit": _choice(units, units[0][1], "latent unit j"),
            "z": ipywidgets.FloatSlider(
                value=0, min=-3, max=3, step=0.1, readout_format=".1f", description="its value, z_j"
            ),
        },
    )


# --- Notebook 06: interpolation ---


class InterpolationPicture:
    """Two of the binary images [N, D] with labels [N], their blend at t by codes and by pixels,
    both ways with a frame at t."""

    def __init__(self, model, images: torch.Tensor, labels: torch.Tensor):
        self.model, self.images, self.labels = model, images, labels
        figure = Figure(figsize=(7, 3.9), layout="none")
        axes = [figure.add_axes([left, 0.5, 0.205, 0.368]) for left in (0.08, 0.305, 0.53, 0.755)]
        for axis, title in zip(
            axes, ("from ($t = 0$)", "codes blended", "pixels blended", "to ($t = 1$)")
        ):
            axis.set_title(title, fontsize=11)
        self.digits = [_digit_image(axis) for axis in axes]
        self.strips, self.frames = [], []
        for bottom, name in ((0.305, "codes"), (0.155, "pixels")):
            axis = figure.add_axes([0.1, bottom, 0.86, 0.14])
            self.strips.append(
                axis.imshow(
                    np.zeros((28, 28 * len(PATH))),
                    extent=(-0.05, 1.05, 0, 1),
                    aspect="auto",
                    vmin=0,
                    vmax=1,
                )
            )
            axis.set(yticks=[], xticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(False)
            axis.set_ylabel(name, fontsize=11)
            self.frames.append(
                axis.add_patch(
                    Rectangle(
                        (0, 0), 0.1, 1, fill=False, ec=COLORS["reconstruction"], lw=3, clip_on=False
                    )
                )
            )
        axis.set(xticks=[0, 0.5, 1], xlabel="$t$")
        self.picture = LivePicture(figure, [*self.digits, *self.strips, *self.frames])

    def draw(self, start: int, end: int, t: float) -> Frame:
        """Draw the way from row `start` to row `end` of the images, at the share t of the
        second."""
        pair = self.images[[start, end]]
        codes, pixels = interpolate(self.model, pair, torch.cat([PATH, torch.tensor([t])]))
        for image, digit in zip(self.digits, (pair[0], codes[-1], pixels[-1], pair[1])):
            image.set_data(_square(digit))
        for strip, frame, path in zip(self.strips, self.frames, (codes, pixels)):
            strip.set_data(_row(path[:-1]))
            frame.set_x(t - 0.05)
        return Frame(
            self.picture.png(),
            f"Top: a {self.labels[start]}, the blend of both codes at t = {t:.2f} decoded, the "
            f"blend of both images' pixels, and a {self.labels[end]}. Below: both ways from t = 0 "
            "to 1, with a frame at the present t.",
        )


def interpolation_explorer(model, images: torch.Tensor, labels: torch.Tensor) -> ipywidgets.VBox:
    """Return controls for two of the binary images [N, D] with labels [N], and for t, above the
    `InterpolationPicture`."""
    rows = [int(row) for digit in range(10) for row in (labels == digit).nonzero()[:2]]
    return explorer(
        InterpolationPicture(model, images[rows], labels[rows]).draw,
        {
            "start": _digit_choice(labels, rows, 6, "from"),
            "end": _digit_choice(labels, rows, 0, "to"),
            "t": ipywidgets.FloatSlider(
                value=0.5, min=0, max=1, step=0.05, description="share of the second, t"
            ),
        },
    )


# --- Notebook 07: one noisy digit in several models ---


class NoisePicture:
    """One of the binary images [N, D] with labels [N], the same corrupted, and each model's
    reconstruction with its nats."""

    def __init__(self, models: dict, images: torch.Tensor, labels: torch.Tensor):
        self.models, self.images, self.labels = models, images, labels
        titles = ["clean", "input", *models]
        figure = Figure(figsize=(7, 2.1), layout="none")
        width = 1 / len(titles)
        axes = [
            figure.add_axes([i * width + 0.01, 0.2, width - 0.02, 0.65]) for i in range(len(titles))
        ]
        for axis, title in zip(axes, titles):
            axis.set_title(title)
        self.digits = [_digit_image(axis) for axis in axes]
        self.nats = [
            axis.text(0.5, -0.06, "", transform=axis.transAxes, ha="center", va="top", fontsize=11)
            for axis in axes[2:]
        ]
        self.picture = LivePicture(figure, [*self.digits, *self.nats])

    def draw(self, digit: int, noise: float) -> Frame:
        """Draw row `digit` of the images at the given noise, with each model's reconstruction."""
        pictures, nats = denoise_with_each(self.models, self.images[digit], noise)
        for image, pixels in zip(self.digits, pictures):
            image.set_data(_square(pixels))
        for text, value in zip(self.nats, nats):
            text.set_text(f"{value:.0f} nats")
        return Frame(
            self.picture.png(),
            f"A {self.labels[digit]}, the same image at noise {noise:.2f}, and its "
            "reconstructions, with the nats that the clean image "
            "costs, \u2212log p(clean | code): "
            + ", ".join(f"{name} {value:.0f}" for name, value in zip(self.models, nats))
            + ".",
        )


def noise_explorer(models: dict, images: torch.Tensor, labels: torch.Tensor) -> ipywidgets.VBox:
    """Return controls for a digit of the binary images [N, D] with labels [N] and for the noise,
    above the `NoisePicture`."""
    rows = first_of_each_digit(labels)
    return explorer(
        NoisePicture(models, images[rows], labels[rows]).draw,
        {
            "digit": _digit_choice(labels, rows, 7, "digit"),
            "noise": ipywidgets.FloatSlider(
                value=0.3, min=0, max=1, step=0.05, description="noise of the input, ν"
            ),
        },
    )


def _digit_choice(labels, rows, value, description):
    """A slider over images whose values are positions in `rows`."""
    options = [(f"{labels[row]} (test image {row})", position) for position, row in enumerate(rows)]
    return _choice(options, value, description)


def _choice(options, value, description):
    """A slider over named options. In a Dropdown JupyterLab takes the arrow keys and digits for
    shortcuts of its own."""
    return ipywidgets.SelectionSlider(options=options, value=value, description=description)


def _digit_image(axis):
    """An empty square picture on `axis`, which loses its frame."""
    axis.set_axis_off()
    return axis.imshow(np.zeros((28, 28)), cmap="gray_r", vmin=0, vmax=1)


def _square(pixels):
    return pixels.reshape(28, 28).numpy()


def _row(digits):
    """Join digits [K, 784] side by side to one picture [28, 28 K]."""
    return digits.reshape(-1, 28, 28).permute(1, 0, 2).reshape(28, -1).numpy()
