"""One style for all figures, the palette with its fixed meanings, and the figures that two notebooks share.

Each figure function takes data and returns a matplotlib Figure; `show` displays it with its alternative text.
"""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display
from torchvision.utils import make_grid

# Colours after Okabe and Ito (2008), safe for colour-blind readers, each at least 3:1 against white.
COLORS = {
    "data": "#333333",            # observed data, truth, exact values
    "latent": "#0072B2",          # codes z, the encoder q(z|x)
    "reconstruction": "#D55E00",  # log p(x|z) and what the decoder makes
    "kl": "#007E5D",              # the KL term
    "bound": "#A8487F",           # ELBO and importance-weighted bounds
    "prior": "#767676",           # p(z), baselines, what others published
}
STYLE = {
    "figure.dpi": 100, "savefig.dpi": 100, "figure.figsize": (7, 3.6), "figure.constrained_layout.use": True,
    "font.size": 11, "axes.titlesize": 12, "axes.labelsize": 11, "xtick.labelsize": 10, "ytick.labelsize": 10,
    "legend.fontsize": 10, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#E5E5E5", "axes.axisbelow": True, "lines.linewidth": 2, "image.cmap": "gray_r",
    "axes.prop_cycle": plt.cycler(color=list(COLORS.values()), linestyle=["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))]),
}
plt.rcParams.update(STYLE)  # importing this module is what gives every notebook the same look


def show(figure: plt.Figure, alt: str) -> None:
    """Display a figure as PNG with alternative text `alt` (what it shows, not "plot"), and close it."""
    if not alt.strip():
        raise ValueError("alt is empty: say in a sentence what the figure shows, for readers who cannot see it.")
    png = base64.b64encode(to_png(figure)).decode()
    plt.close(figure)
    display({"image/png": png, "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True)


def to_png(figure: plt.Figure) -> bytes:
    """Return the figure as PNG bytes, at the size at which it is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def tile(images: torch.Tensor, columns: int) -> np.ndarray:
    """Arrange square images [N, D], values in [0, 1], in rows of `columns`; returns one array [height, width]."""
    side = round(images.shape[-1] ** 0.5)
    if images.dim() != 2 or side * side != images.shape[1]:
        raise ValueError(f"images have shape {list(images.shape)}, expected [N, side * side].")
    grid = make_grid(images.detach().cpu().float().reshape(-1, 1, side, side), nrow=columns, padding=1, pad_value=0.25)
    return grid[0].numpy()


def digit_rows(rows: dict[str, torch.Tensor], columns: int = 10) -> plt.Figure:
    """Draw labelled rows of digits, one above the other: {label: probabilities or pixels [>= columns, D]}."""
    figure, axes = plt.subplots(len(rows), 1, figsize=(7, 0.95 * len(rows)), squeeze=False)
    for axis, (label, images) in zip(axes[:, 0], rows.items()):
        axis.imshow(tile(images[:columns], columns), vmin=0, vmax=1)
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
        _hide_ticks(axis)
    return figure


def digit_grid(images: torch.Tensor, columns: int = 10, title: str = "") -> plt.Figure:
    """Draw digits [N, D] with values in [0, 1] as one grid."""
    picture = tile(images, columns)
    figure, axis = plt.subplots(figsize=(6, 6 * picture.shape[0] / picture.shape[1] + 0.3))
    axis.imshow(picture, vmin=0, vmax=1)
    axis.set_title(title)
    _hide_ticks(axis)
    return figure


def _hide_ticks(axis):
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    axis.spines[:].set_visible(False)
