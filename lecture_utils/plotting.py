"""One style for all figures, the palette with its fixed meanings, and the figures that are used
often or would be long on a page.

Each figure function takes data and returns a matplotlib Figure; `show` displays it with its
alternative text.
"""

import base64
import io
import itertools
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display
from matplotlib import patheffects, ticker
from matplotlib.collections import EllipseCollection
from matplotlib.textpath import TextPath
from PIL import Image

# Colours near those of Okabe and Ito (2008), moved so that labels can be written in them (contrast
# with white at least 4.5:1) and so that all pairs stay apart in each kind of colour blindness;
# tests/notebooks/test_accessibility.py asserts both.
COLORS = {
    "data": "#333333",  # observed data, truth, exact values
    "latent": "#0072E3",  # codes z, the encoder q(z|x)
    "reconstruction": "#BD4600",  # log p(x|z) and what the decoder makes
    "kl": "#22834E",  # the KL term
    "bound": "#93377A",  # ELBO and importance-weighted bounds
    "prior": "#767676",  # p(z), baselines, what others published
}
# One colour a digit, of the same contrast. They only help: digits are always drawn as their own
# glyph.
DIGIT_COLORS = [
    "#332288",
    "#BD4600",
    "#22834E",
    "#93377A",
    "#0072E3",
    "#8A7500",
    "#882255",
    "#4D4D4D",
    "#507D00",
    "#C0392B",
]
# The axis of a difference, in `effects` and `effect_maps`.
WORSE_OR_BETTER = (
    "worse  \N{LEFTWARDS ARROW}  in units of what matters  \N{RIGHTWARDS ARROW}  better"
)
STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.figsize": (7, 3.6),
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "axes.axisbelow": True,
    "lines.linewidth": 2,
    "image.cmap": "gray_r",
    "axes.prop_cycle": plt.cycler(
        color=list(COLORS.values()), linestyle=["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))]
    ),
}
plt.rcParams.update(STYLE)  # importing this module is what gives every notebook the same look


def show(figure: plt.Figure, alt: str) -> None:
    """Display a figure as PNG with alternative text `alt`, what it shows, and close it.

    It is drawn with twice as many pixels as it is wide on the page, for high-resolution screens.
    Raises ValueError for an empty `alt`.
    """
    if not alt.strip():
        raise ValueError(
            "alt is empty: say in a sentence what the figure shows, for readers who cannot see it."
        )
    png = to_png(figure, scale=2)
    width, height = (round(inches * STYLE["figure.dpi"]) for inches in figure.get_size_inches())
    plt.close(figure)
    metadata = {"image/png": {"alt": alt, "width": width, "height": height}}
    content = {"image/png": base64.b64encode(png).decode(), "text/plain": alt}
    display(content, metadata=metadata, raw=True)


def to_png(figure: plt.Figure, scale: int = 1) -> bytes:
    """Return the figure as PNG bytes with 256 colours, `scale` times the pixels of its page size.

    A palette makes the file a third as large, and no figure of the series shows the difference.
    """
    whole, small = io.BytesIO(), io.BytesIO()
    dpi = scale * STYLE["figure.dpi"]
    figure.savefig(whole, format="png", dpi=dpi, pil_kwargs={"compress_level": 0})
    palette = Image.open(whole).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    # The strongest compression takes four times as long, for a file that is a tenth smaller.
    palette.save(small, format="png", compress_level=7)
    return small.getvalue()


def tile(images: torch.Tensor, columns: int) -> np.ndarray:
    """Arrange square images [N, D], values in [0, 1], in rows of `columns`; returns one array
    [height, width]. Raises ValueError if D is no square."""
    side = round(images.shape[-1] ** 0.5)
    if images.dim() != 2 or side * side != images.shape[1]:
        raise ValueError(f"images have shape {list(images.shape)}, expected [N, side * side].")
    pictures = images.detach().cpu().float().reshape(-1, side, side)
    if len(pictures) == 1:
        return pictures[0].numpy()
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    grid = torch.full([1 + rows * (side + 1), 1 + columns * (side + 1)], 0.25)  # a grey grid
    for place, picture in enumerate(pictures):
        top, left = (1 + (side + 1) * number for number in divmod(place, columns))
        grid[top : top + side, left : left + side] = picture
    return grid.numpy()


def digit_rows(rows: dict[str, torch.Tensor], columns: int = 10) -> plt.Figure:
    """Draw labelled rows of digits: {label: probabilities or pixels [>= columns, D]}.

    The rows fill the width that the labels leave, and the figure is as high as they are then.
    Raises ValueError if there is no row.
    """
    if not rows:
        raise ValueError("there are no images to draw")
    pictures = [tile(images[:columns], columns) for images in rows.values()]
    lines = [line for label in rows for line in label.split("\n")]
    label_width = max(TextPath((0, 0), line, size=11).get_extents().width for line in lines) / 72
    left, gap = label_width + 0.2, 0.06  # inches
    high, wide = pictures[0].shape
    height = (7 - left) * high / wide
    whole = (height + gap) * len(rows) + gap
    figure = plt.figure(figsize=(7, whole), layout="none")
    for row, (label, picture) in enumerate(zip(rows, pictures)):
        bottom = whole - (row + 1) * (height + gap)
        place = [left / 7, bottom / whole, 1 - left / 7 - 0.005, height / whole]
        axis = figure.add_axes(place)
        axis.imshow(picture, vmin=0, vmax=1)
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
        _hide_ticks(axis)
    return figure


def digit_grid(images: torch.Tensor, columns: int = 10, title: str = "") -> plt.Figure:
    """Draw digits [N, D] with values in [0, 1] as one grid."""
    picture = tile(images, columns)
    figure, axis = plt.subplots(figsize=(6, 6 * picture.shape[0] / picture.shape[1] + 0.3))
    axis.imshow(picture, vmin=0, vmax=1, interpolation="nearest")  # a third of the bytes
    axis.set_title(title)
    _hide_ticks(axis)
    return figure


def latent_scatter(
    codes: dict[str, torch.Tensor] | torch.Tensor,
    labels: torch.Tensor,
    n: int = 700,
    prior_circle: bool = True,
) -> plt.Figure:
    """Draw 2-D codes [N, 2] with digit labels [N], each code as its digit, and a large digit at
    each class's median.

    `codes` may be a dict {panel title: codes}: up to two panels a row, each on its own scale (a
    code may be several times wider than another). The first n codes are drawn. `prior_circle` marks
    the circle that holds 95 % of N(0, I). Raises ValueError if there are no panels.
    """
    panels = codes if isinstance(codes, dict) else {"": codes}
    if not panels:
        raise ValueError("there are no codes to draw")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    size = 7 / columns if columns > 1 else 5.5
    figure, axes = plt.subplots(rows, columns, figsize=(size * columns, size * rows), squeeze=False)
    for axis, (title, z) in zip(axes.flat, panels.items()):
        digit_panel(axis, z.detach().cpu(), labels.cpu(), n, circle=prior_circle)
        axis.set_title(title)
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_axis_off()
    return figure


def digit_panel(
    axis: plt.Axes,
    z: torch.Tensor,
    labels: torch.Tensor,
    n: int = 700,
    *,
    limit: float | None = None,
    circle: bool = True,
    fontsize: int = 20,
) -> None:
    """Draw 2-D codes [N, 2] with digit labels [N] on `axis`: the first n as small glyphs, and a
    large glyph with a white rim at (or close to) the median of each class. `limit` frames the
    square [-limit, limit]^2 instead of the cloud of codes; `circle` marks the circle that holds 95
    % of N(0, I)."""
    # Leave the outermost half per cent out of the frame: a few far codes would shrink all others.
    low, high = torch.quantile(z, torch.tensor([0.005, 0.995]), dim=0)
    (x, y), half = (
        (((low + high) / 2).tolist(), 0.56 * (high - low).max().item())
        if limit is None
        else ((0, 0), limit)
    )
    axis.set(
        xlim=(x - half, x + half),
        ylim=(y - half, y + half),
        aspect="equal",
        xlabel="$z_1$",
        ylabel="$z_2$",
    )
    if circle:
        axis.add_patch(
            plt.Circle(
                (0, 0),
                math.sqrt(-2 * math.log(0.05)),
                fill=False,
                color="black",
                lw=1.5,
                ls="--",
                zorder=5,  # above the large digits, which would hide it
                path_effects=[patheffects.withStroke(linewidth=3.5, foreground="white")],
            )
        )
    digits = labels.unique().tolist()
    medians = torch.stack([z[labels == digit].median(dim=0).values for digit in digits])
    rim = [patheffects.withStroke(linewidth=3, foreground="white")]
    for digit, (x, y) in zip(digits, _spread(medians, 0.0085 * fontsize * half).tolist()):
        own = z[:n][labels[:n] == digit]
        axis.scatter(
            own[:, 0],
            own[:, 1],
            marker=f"${digit}$",
            s=1.3 * fontsize,
            color=DIGIT_COLORS[digit],
            linewidths=0.2,
        )
        axis.text(
            x,
            y,
            str(digit),
            color=DIGIT_COLORS[digit],
            fontsize=fontsize,
            weight="bold",
            ha="center",
            va="center",
            path_effects=rim,
            zorder=4,
        )


def _spread(points, distance):
    """Move points [K, 2] apart until (nearly) all pairs are `distance` apart, so that their labels
    can be read."""
    points = points.double().clone()
    for _ in range(100):
        gaps = points[:, None] - points
        lengths = gaps.norm(dim=2) + torch.eye(len(points)) * distance
        push = (distance - lengths).clamp(min=0) / 2
        points += (push / lengths.clamp(min=1e-9)).unsqueeze(2).mul(gaps).sum(dim=1)
    return points


def computation_graph(panels: dict[str, tuple[dict, list]]) -> plt.Figure:
    """Draw computation graphs one below the other: how values flow forward, and which gradients
    flow back.

    `panels` maps titles to (nodes, edges). A node is {name: (column, row, label, kind)}, kind
    "value" (a box), "random" (an ellipse) or "parameter" (no frame). An edge is (from, to,
    gradient), gradient "passes", "blocked" (the step has no derivative) or "none" (none arrives, or
    none is asked for). Values are dark arrows, gradients dashed orange ones.
    """
    heights = [1.3 + 0.8 * max(node[1] for node in nodes.values()) for nodes, _ in panels.values()]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(7, 1.15 * sum(heights) + 0.3),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )
    for axis, height, (title, (nodes, edges)) in zip(axes[:, 0], heights, panels.items()):
        boxes = {name: _graph_node(axis, *node) for name, node in nodes.items()}
        for start, end, gradient in edges:
            _graph_edge(axis, boxes[start], boxes[end], gradient)
        columns = [node[0] for node in nodes.values()]
        axis.set(
            xlim=(min(columns) - 0.35, max(columns) + 0.35), ylim=(-0.8, height - 0.8), title=title
        )
        axis.set_axis_off()
    return figure


def _graph_node(axis, column, row, label, kind):
    frame = {
        "value": {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": COLORS["data"]},
        "random": {
            "boxstyle": "ellipse,pad=0.3",
            "facecolor": "#E3EEF6",
            "edgecolor": COLORS["latent"],
        },
        "parameter": {"boxstyle": "round,pad=0.3", "facecolor": "none", "edgecolor": "none"},
    }[kind]
    return axis.text(
        column,
        row,
        label,
        fontsize=13 if kind == "parameter" else 11,
        ha="center",
        va="center",
        bbox=frame,
    )


def _graph_edge(axis, start, end, gradient):
    """A dark arrow forward and, below it, a dashed orange one back; a blocked one is pale and
    crossed out."""
    (x_start, y_start), (x_end, y_end) = start.get_position(), end.get_position()

    def arrow(tail, head, **style):
        axis.annotate(
            "",
            xy=head.get_position(),
            xytext=tail.get_position(),
            arrowprops={
                "arrowstyle": "-|>",
                "patchA": tail.get_bbox_patch(),
                "patchB": head.get_bbox_patch(),
                "shrinkA": 2,
                "shrinkB": 2,
            }
            | style,
        )

    arrow(start, end, color=COLORS["data"], lw=1.5)
    if gradient == "none":
        return
    bend = 0.45 if x_start > x_end else -0.45  # always below the forward arrow
    arrow(
        end,
        start,
        color=COLORS["reconstruction"],
        lw=2,
        linestyle=(0, (4, 2)),
        connectionstyle=f"arc3,rad={bend}",
        alpha=1 if gradient == "passes" else 0.35,
    )
    if gradient == "blocked":
        middle = (x_start + x_end) / 2
        axis.plot(
            middle,
            (y_start + y_end) / 2 - 0.37,
            "X",
            color=COLORS["reconstruction"],
            ms=13,
            markeredgecolor="white",
        )
        axis.text(
            middle,
            (y_start + y_end) / 2 - 0.5,
            "no gradient",
            color=COLORS["reconstruction"],
            ha="center",
            va="top",
            fontsize=10,
        )


def nat_axis(computed: dict, published: dict[str, float] | None = None) -> plt.Figure:
    """Draw test log-likelihoods in nats per image on the one axis of the thread "what a nat is
    worth".

    `computed` maps labels to `evaluation.Estimate` (mean and standard error over the images of the
    seeded binary test set), from top to bottom; filled dots, each with its gain over the one above.
    `published` maps labels to others' figures, log-likelihoods (negative) too: hollow grey diamonds
    below a line, since they are not on the same draw of the pixels. The axis is the same in every
    notebook; it grows only for a value beyond -215 nats. Raises ValueError if a value is positive:
    a log-probability of binary pixels cannot be.
    """
    published = published or {}
    values = [estimate.mean for estimate in computed.values()] + list(published.values())
    if not values or max(values) > 0:
        raise ValueError(
            f"Log-likelihoods of binary pixels are at most 0 nats, got {values}. Pass log p, not "
            "its negative."
        )
    left = min(-215.0, min(values) - 5)
    heights = list(range(len(computed))) + [len(computed) + 0.4 + i for i in range(len(published))]
    figure, axis = plt.subplots(figsize=(7, 1.0 + 0.45 * len(values) + 0.2 * bool(published)))
    above = None
    for y, estimate in zip(heights, computed.values()):
        axis.plot(
            [left, estimate.mean],
            [y, y],
            color=COLORS["bound"],
            linestyle="-",
            linewidth=5,
            solid_capstyle="butt",
            alpha=0.35,
        )
        axis.plot(estimate.mean, y, "o", color=COLORS["bound"], markersize=8)
        gain = "" if above is None else f"  ({estimate.mean - above:+.1f})"
        axis.text(
            estimate.mean + 3.5,
            y,
            f"{estimate.mean:.1f} ± {estimate.standard_error:.1f}{gain}".replace("-", "\u2212"),
            va="center",
            fontsize=10,
        )
        above = estimate.mean
    for y, value in zip(heights[len(computed) :], published.values()):
        axis.plot([left, value], [y, y], color=COLORS["prior"], linestyle=":", linewidth=1.5)
        axis.plot(value, y, "D", color=COLORS["prior"], markerfacecolor="white", markersize=7)
        axis.text(
            value + 4.5,
            y,
            f"{value:.1f}".replace("-", "\u2212"),
            va="center",
            fontsize=10,
            color=COLORS["prior"],
        )
    if published:
        axis.axhline(len(computed) - 0.3, color=COLORS["prior"], linestyle="-", linewidth=0.8)
        axis.text(
            left + 1,
            len(computed) - 0.24,
            "published, not computed here",
            va="top",
            fontsize=9,
            color=COLORS["prior"],
        )
    axis.set(
        yticks=heights,
        ylim=(heights[-1] + 0.6, -0.6),
        xlim=(left, -25),
        yticklabels=[textwrap.fill(label, 22) for label in [*computed, *published]],
        xticks=[t for t in range(-1000, -39, 40) if t > left],
        xlabel="test log-likelihood (nats per image)",
    )
    for label in axis.get_yticklabels()[len(computed) :]:
        label.set(color=COLORS["prior"], style="italic")
    axis.grid(axis="y", visible=False)
    return figure


def patient_chart(
    losses: dict[str, list[float]],
    rows: dict[str, torch.Tensor],
    columns: int = 7,
    scale: str = "linear",
) -> plt.Figure:
    """Draw training curves beside labelled rows of digits: the chart of a patient in notebook 10.

    `losses` is {label: loss of each epoch, in nats}, the healthy twin first; `rows` is {label:
    pixels or probabilities [>= columns, D]}. `scale` is that of the loss axis, "linear" or "log".
    """
    figure = plt.figure(figsize=(7, 2.9))
    left, right = figure.subfigures(1, 2, width_ratios=(3, 4))
    axis = left.subplots()
    for (label, loss), color, marker, line in zip(
        losses.items(), (COLORS["prior"], COLORS["bound"]), "os", ("--", "-")
    ):
        axis.plot(
            range(1, len(loss) + 1), loss, color=color, marker=marker, linestyle=line, label=label
        )
    axis.set(
        xlabel="epoch",
        ylabel="training loss it prints (nats)",
        yscale=scale,
        xticks=range(1, len(loss) + 1),
    )
    axis.legend()
    for panel, (label, images) in zip(np.atleast_1d(right.subplots(len(rows), 1)), rows.items()):
        panel.imshow(tile(images[:columns], columns), vmin=0, vmax=1)
        panel.set_title(label, fontsize=11, pad=3)
        _hide_ticks(panel)
    return figure


MODEL_STYLE = {  # colour and marker of each model where several are compared
    "PCA": (COLORS["prior"], "^"),
    "AE": (COLORS["data"], "o"),
    "DAE": (COLORS["reconstruction"], "s"),
    "VAE": (COLORS["latent"], "D"),
}


def seed_panels(
    panels: dict[str, dict[str, list[float]]],
    log: tuple[str, ...] = (),
    columns: int = 2,
    references: dict[str, dict[str, float]] | None = None,
    yours: dict[str, dict[str, float]] | None = None,
) -> plt.Figure:
    """Draw one panel a quantity, one row a model, one dot a seed and a bar at their mean.

    `panels` is {axis label: {row label: values}}; a row's first word chooses its colour in
    MODEL_STYLE. Panels named in `log` get a logarithmic axis. `references` is
    {axis label: {text: value}}: a dashed line with its text above. `yours` is
    {axis label: {row label: value}}: one more run, drawn as a filled diamond.
    """
    import seaborn  # takes half a second to import, and few notebooks draw this figure

    rows = -(-len(panels) // columns)
    longest = max(len(values) for values in panels.values())
    size = (7, rows * (0.9 + 0.3 * longest))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis, (label, values) in zip(axes.flat, panels.items()):
        names = [name for name, seeds in values.items() for _ in seeds]
        colors = {name: MODEL_STYLE.get(_model(name), MODEL_STYLE["AE"])[0] for name in values}
        long = {"x": [value for seeds in values.values() for value in seeds], "y": names}
        style = {"hue": names, "palette": colors, "legend": False, "ax": axis}
        seaborn.stripplot(**long, **style, jitter=False, marker="$\\circ$", size=9)
        seaborn.pointplot(**long, **style, errorbar=None, linestyle="none", marker="|", ms=20)
        limits = axis.get_ylim()
        for name, value in (yours or {}).get(label, {}).items():
            row = list(values).index(name)
            axis.plot(value, row, "D", ms=7, color=COLORS["data"], mec="white", zorder=5)
        axis.set_ylim(limits)
        axis.set(xlabel=label, ylabel="")
        axis.margins(x=0.1)
        if label in log:
            axis.set_xscale("log")
            low, high = axis.get_xlim()
            subs = (1, 2, 5) if high / low > 10 else (1, 2, 3, 5)
            axis.xaxis.set_major_locator(ticker.LogLocator(subs=subs))
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        else:
            axis.locator_params(axis="x", nbins=4)
        for text, value in (references or {}).get(label, {}).items():
            axis.axvline(value, color=COLORS["prior"], ls="--", lw=1.5)
            axis.annotate(
                text,
                (value, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=9,
            )
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_axis_off()
    return figure


def effects(
    panels: dict[str, dict[str, tuple[float, float, float, bool]]], log: bool = False
) -> plt.Figure:
    """Draw differences with their intervals, one panel a condition, one row a comparison.

    `panels` is {title: {row label: (effect, low, high, decided)}}, in units of the smallest
    difference that matters and with "better" to the right; the grey band is what does not matter.
    A comparison is drawn filled if it is decided, hollow if not. With `log` the axis is symmetric
    and logarithmic beyond the band. The panels share the axis and the rows.
    """
    titles, labels = list(panels), list(next(iter(panels.values())))
    size = (7, 1.1 + 0.3 * len(labels))
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharex=True, sharey=True)
    for axis, title in zip(np.atleast_1d(axes), titles):
        axis.axvspan(-1, 1, color="#E5E5E5", lw=0)
        axis.axvline(0, color=COLORS["prior"], lw=1)
        for row, (mean, low, high, decided) in enumerate(panels[title].values()):
            if not math.isfinite(mean):
                continue
            color = COLORS["latent"] if mean > 0 else COLORS["reconstruction"]
            if math.isfinite(low):
                axis.plot([low, high], [row, row], color=color, lw=2, ls="-")
            marker = "o" if mean > 0 else "s"
            face = color if decided else "white"
            axis.plot(mean, row, marker, ms=7, color=color, markerfacecolor=face)
        axis.set(title=title, yticks=range(len(labels)), yticklabels=labels)
        if log:
            axis.set_xscale("symlog", linthresh=1, linscale=0.5)
            axis.set_xticks([-10, 0, 10, 100])
            axis.xaxis.set_major_formatter("{x:g}")
            axis.margins(x=0.08)  # whole marks, also the farthest
    axes = np.atleast_1d(axes)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)
    figure.supxlabel(WORSE_OR_BETTER, fontsize=11)
    return figure


def effect_maps(
    maps: dict[tuple[str, str], np.ndarray],
    signs: dict[tuple[str, str], np.ndarray],
    rows: list[str],
    columns: list[str],
    xlabel: str = "",
) -> plt.Figure:
    """Draw a grid of small maps of differences, in units of what matters, better positive.

    `maps` is {(row title, column title): effects [R, C]}, gaps as NaN; `signs` holds a text for
    each cell, written into it; `rows` and `columns` label the cells' axes, `xlabel` says what
    changes across.
    """
    down, across = (list(dict.fromkeys(key[i] for key in maps)) for i in (0, 1))
    size = (7, 0.6 + 1.45 * len(down))
    figure, axes = plt.subplots(len(down), len(across), figsize=size, squeeze=False,
                                sharex=True, sharey=True)  # fmt: skip
    for (i, title), (j, measure) in itertools.product(enumerate(down), enumerate(across)):
        axis, values = axes[i, j], maps[title, measure]
        image = axis.imshow(values, vmin=-4, vmax=4, cmap="PuOr", aspect="auto")
        for (row, column), sign in np.ndenumerate(signs[title, measure]):
            color = "white" if abs(values[row, column]) > 2.5 else "black"
            axis.text(column, row, sign, ha="center", va="center", color=color)
        axis.set(xticks=range(len(columns)), yticks=range(len(rows)))
        axis.set_xticklabels(columns, fontsize=9)
        axis.set_yticklabels(rows, fontsize=9)
        axis.grid(False)
        if i == 0:
            axis.set_title(measure, fontsize=10)
        if i == len(down) - 1:
            axis.set_xlabel(xlabel, fontsize=10)
        if j == 0:
            axis.set_ylabel(title, fontsize=10)
    bar = figure.colorbar(image, ax=axes, extend="both")
    bar.set_label(WORSE_OR_BETTER, fontsize=9)
    return figure


def noise_curves(
    levels: tuple[float, ...], curves: dict[str, np.ndarray], reference: dict[str, float]
) -> plt.Figure:
    """Draw {model: nats [L, n seeds]} against the noise of the input [L], the mean as a line, the
    range over seeds as a band; a model's first word chooses its colour. `reference` is
    {text: nats}: a dashed line."""
    figure, axis = plt.subplots(figsize=(7, 4.2))
    fills = itertools.cycle(("full", "none", "left"))
    for name, curve in curves.items():
        color, marker = MODEL_STYLE[_model(name)]
        line = {"AE": "-", "VAE": "--"}.get(name, ":")
        fill = "full" if name in ("AE", "VAE") else next(fills)
        mean = curve.mean(axis=1)
        axis.plot(levels, mean, color=color, marker=marker, ls=line, fillstyle=fill, label=name)
        band = curve.min(axis=1), curve.max(axis=1)
        axis.fill_between(levels, *band, color=color, alpha=0.2, lw=0)
    for text, value in reference.items():
        axis.axhline(value, color=COLORS["prior"], ls="--", lw=1.5)
        place = {"xytext": (0, 5), "textcoords": "offset points"}
        axis.annotate(text, (0, value), color=COLORS["prior"], **place)
    label = "\N{MINUS SIGN}log p(clean x | code), nats per image"
    axis.set(xlabel="noise \N{GREEK SMALL LETTER NU} of the input", ylabel=label)
    axis.legend()
    return figure


def plane_strip(codes: dict[str, torch.Tensor], labels: torch.Tensor, n: int = 300) -> plt.Figure:
    """Draw 2-D codes {title: [N, 2]} with digit labels [N] side by side on one common scale, with
    the circle that holds 95 % of N(0, I)."""
    figure, axes = plt.subplots(1, len(codes), figsize=(7, 7 / len(codes) + 0.35), sharey=True)
    limit = max(torch.quantile(z.abs(), 0.99).item() for z in codes.values())
    for axis, (title, z) in zip(axes, codes.items()):
        digit_panel(axis, z.cpu(), labels.cpu(), n, limit=limit, fontsize=11)
        axis.set_title(title)
    return figure


def _model(row):
    """The model that a row's label begins with."""
    return row.split()[0].rstrip(",")


def show_table(rows: dict[str, dict[str, str]], corner: str) -> None:
    """Display {row: {column: text}} as a table with header row and column; `corner` names the rows.
    Gaps are left empty, and a "|" within a text, as in p(x|z), does not end its cell."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [[corner, *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(row.get(column, "") for column in columns)] for name, row in rows.items()]
    escaped = [[text.replace("|", r"\|") for text in line] for line in lines]
    plain, markdown = (
        "\n".join("| " + " | ".join(line) + " |" for line in each) for each in (lines, escaped)
    )
    display({"text/markdown": markdown, "text/plain": plain}, raw=True)


def show_text(markdown: str) -> None:
    """Display text that code has written, as Markdown."""
    display({"text/markdown": markdown, "text/plain": markdown}, raw=True)


def _hide_ticks(axis):
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    axis.spines[:].set_visible(False)


def posterior_panel(
    axis: plt.Axes,
    mu: torch.Tensor,
    logvar: torch.Tensor,
    labels: torch.Tensor,
    limit: float,
    glyphs: bool = True,
) -> None:
    """Draw q(z|x) of images with two latents: the ellipse of two standard deviations of each.

    `mu` and `logvar` are [N, 2], `labels` the digits [N], which choose the colour; with `glyphs`,
    each digit is written at (or close to) the median of its means. The frame is [-limit, limit]^2,
    and the dashed circle holds 95 % of the prior N(0, I). Raises ValueError for codes of another
    dimension.
    """
    if mu.dim() != 2 or mu.shape[1] != 2 or mu.shape != logvar.shape:
        raise ValueError(
            f"mu is {list(mu.shape)} and logvar {list(logvar.shape)}, but a plane needs [N, 2] of "
            "both: build the model with latent_dim=2."
        )
    axis.add_collection(posterior_ellipses(axis, mu, logvar, labels))
    radius = math.sqrt(-2 * math.log(0.05))
    axis.add_patch(plt.Circle((0, 0), radius, fill=False, color="black", lw=1.2, ls="--", zorder=3))
    axis.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    if glyphs:
        _write_digits(axis, mu, labels, distance=0.13 * limit)


def _write_digits(axis, mu, labels, distance):
    """Write each digit near the median of its means [N, 2], at least `distance` from the others."""
    rim = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    style = {"fontsize": 12, "weight": "bold", "ha": "center", "va": "center", "zorder": 4}
    digits = labels.unique().tolist()
    medians = torch.stack([mu[labels == digit].median(dim=0).values for digit in digits])
    for digit, (x, y) in zip(digits, _spread(medians, distance).tolist()):
        color = DIGIT_COLORS[digit]
        axis.text(x, y, str(digit), color=color, path_effects=rim, clip_on=True, **style)


def posterior_ellipses(
    axis: plt.Axes, mu: torch.Tensor, logvar: torch.Tensor, labels: torch.Tensor
) -> EllipseCollection:
    """Return the ellipses of two standard deviations of N(mu, exp(logvar)), [N, 2], by digit."""
    width, height = (4 * torch.exp(logvar / 2)).T.tolist()  # from -2 to +2 standard deviations
    colors = [DIGIT_COLORS[digit] for digit in labels.tolist()]
    return EllipseCollection(
        width,
        height,
        [0] * len(mu),
        units="xy",
        offsets=mu.tolist(),
        offset_transform=axis.transData,
        facecolor=[(color, 0.3) for color in colors],
        edgecolor=colors,
        linewidth=0.8,
    )


VAE_BOXES = {  # of the data flow in `vae_diagram`: column, row, label, colour, shape
    "x": (0, 1, r"$\mathbf{x}$", "data", "round"),
    "encoder": (1, 1, "encoder\n$\\phi$", "latent", "round"),
    "q": (
        2.15,
        1,
        r"$\boldsymbol{\mu},\ \log\boldsymbol{\sigma}^2$"
        + "\n"
        + r"$q_\phi(\mathbf{z}|\mathbf{x})$",
        "latent",
        "round",
    ),
    "z": (3.2, 1, r"$\mathbf{z}$", "latent", "circle"),
    "decoder": (4.15, 1, "decoder\n$\\theta$", "reconstruction", "round"),
    "p": (
        5.3,
        1,
        r"logits, $\mathbf{x}'$" + "\n" + r"$p_\theta(\mathbf{x}|\mathbf{z})$",
        "reconstruction",
        "round",
    ),
    "prior": (0.75, -0.35, r"prior $p(\mathbf{z})$", "prior", "round"),
    "KL": (2.15, -0.35, r"KL$(q\,\|\,p)$", "kl", "round"),
    "x again": (4.15, -0.35, r"$\mathbf{x}$", "data", "round"),
    "log p": (5.3, -0.35, r"$\log p_\theta(\mathbf{x}|\mathbf{z})$", "reconstruction", "round"),
}
VAE_ARROWS = [
    "x encoder",
    "encoder q",
    "q z",
    "z decoder",
    "decoder p",
    "prior KL",
    "q KL",
    "p log p",
]


def vae_diagram() -> plt.Figure:
    """Draw the VAE twice: how data flow to both terms of the objective, and the graphical model."""
    figure, (flow, graph) = plt.subplots(1, 2, figsize=(7, 3.1), width_ratios=[3.4, 1])
    boxes = {name: _diagram_box(flow, *box) for name, box in VAE_BOXES.items()}
    for arrow in VAE_ARROWS:
        start, end = arrow.split(" ", 1)
        _diagram_arrow(flow, boxes[start], boxes[end])
    _diagram_arrow(flow, boxes["x again"], boxes["log p"])
    flow.text(2.86, 0.62, "draw", ha="center", fontsize=10)
    flow.text(2.15, -0.95, "second term: the price", ha="center", color=COLORS["kl"], fontsize=10)
    flow.text(
        5, -0.95, "first term: the gain", ha="center", color=COLORS["reconstruction"], fontsize=10
    )
    flow.set(xlim=(-0.3, 5.95), ylim=(-1.2, 1.7), title="data flow")
    _graphical_model(graph)
    for axis in (flow, graph):
        axis.set_axis_off()
    return figure


def _graphical_model(axis):
    """Draw z -> x with theta, x -> z dashed with phi, inside the plate of the N images."""
    z = _diagram_box(axis, 0.5, 1, r"$\mathbf{z}$", "data", "circle")
    x = _diagram_box(axis, 0.5, -0.35, r"$\mathbf{x}$", "data", "circle", face="#D5D5D5")
    model, encoder = COLORS["reconstruction"], COLORS["latent"]
    bent = "arc3,rad=-0.35"
    _diagram_arrow(axis, z, x, color=model, connectionstyle=bent)
    _diagram_arrow(axis, x, z, color=encoder, connectionstyle=bent, linestyle="--")
    axis.text(0.85, 0.33, r"$\theta$", color=model, ha="center", va="center", fontsize=13)
    axis.text(0.15, 0.33, r"$\phi$", color=encoder, ha="center", va="center", fontsize=13)
    axis.add_patch(plt.Rectangle((-0.1, -0.95), 1.2, 2.35, fill=False, color=COLORS["data"]))
    axis.text(1.03, -0.87, "$N$", ha="right", fontsize=11)
    axis.set(xlim=(-0.15, 1.15), ylim=(-1.2, 1.7), title="graphical model")


def _diagram_box(axis, x, y, label, color, shape, face="white"):
    """Write a label in a frame; return the text, which knows its frame."""
    frame = {
        "boxstyle": f"{shape},pad=0.35",
        "facecolor": face,
        "edgecolor": COLORS[color],
        "linewidth": 1.5,
    }
    return axis.text(x, y, label, ha="center", va="center", fontsize=10, bbox=frame)


def _diagram_arrow(axis, start, end, color=COLORS["data"], **style):
    """Draw an arrow from the frame of one text to that of another."""
    axis.annotate(
        "",
        xy=end.get_position(),
        xytext=start.get_position(),
        arrowprops={
            "arrowstyle": "-|>",
            "color": color,
            "linewidth": 1.5,
            "shrinkA": 1,
            "shrinkB": 1,
            "patchA": start.get_bbox_patch(),
            "patchB": end.get_bbox_patch(),
        }
        | style,
    )


def digit_blocks(blocks: dict[str, torch.Tensor], columns: int = 6) -> plt.Figure:
    """Draw blocks of digits side by side, {title: pixels or probabilities [N, D]}."""
    figure, axes = plt.subplots(1, len(blocks), figsize=(7, 7 / len(blocks) + 0.3), squeeze=False)
    for axis, (title, images) in zip(axes[0], blocks.items()):
        axis.imshow(tile(images, columns), vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=11)
        _hide_ticks(axis)
    return figure
