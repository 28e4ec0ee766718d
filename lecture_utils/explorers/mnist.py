"""The explorers of notebook 07: move a code, an input's noise.

Each has a plain function in `latent_space` that computes what is shown, a class whose `draw` makes
a picture of it in milliseconds (and says the same in words), and a shell of controls.
"""

import math

from lecture_utils.explorers.shell import Frame, LivePicture, explorer
from lecture_utils.latent_space import (
    decoded,
    denoise_with_each,
    first_of_each_digit,
    nearest_code,
)
from lecture_utils.plotting import digit_panel

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure

# --- Notebook 07: latent planes -> digits ---


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
