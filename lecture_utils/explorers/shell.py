"""Explorers: controls that redraw a picture, each a thin shell round a plain function.

The plain functions need no browser. What a browser computes is in `lecture_utils.playground`.
"""

import contextlib
import html
import io
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

import ipywidgets
import matplotlib.pyplot as plt
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


class Frame(NamedTuple):
    """What an explorer shows for one setting of its controls: a picture as PNG bytes, and the same
    in words."""

    png: bytes
    words: str


def explorer(draw: Callable[..., Frame], controls: dict[str, ipywidgets.Widget]) -> ipywidgets.VBox:
    """Return `controls` above a picture and its words, both replaced by ``draw(**values)`` when one
    of them moves.

    `controls` maps the parameters of `draw` to widgets with a `value`. The words stand below the
    picture as text, since an Image widget has no alternative text (and its `tooltip` makes
    JupyterLab fail to draw it). An Image widget is updated in place: unlike `interact`, it does not
    flicker and leaves nothing in the outputs. No throttle is needed here: JupyterLab sends a
    control's next value, the newest one, only when the kernel is done with the last, so a fast drag
    skips values instead of queueing them.
    """
    # Not stretched to the column.
    picture = ipywidgets.Image(
        format="png", layout={"align_self": "flex-start", "max_width": "100%"}
    )
    words = ipywidgets.HTML()
    for control in controls.values():
        control.style.description_width = "12em"  # the default cuts descriptions off
        control.layout.width, control.layout.max_width = "100%", "700px"  # as wide as the picture

    def update(_change=None):
        with _one_thread():
            frame = draw(**{name: control.value for name, control in controls.items()})
        picture.value, words.value = frame.png, html.escape(frame.words)

    for control in controls.values():
        control.observe(update, names="value")
    update()
    return ipywidgets.VBox([*controls.values(), picture, words])


def tabulated(
    draw: Callable[..., Frame], options: dict[str, list], colors: int = 24
) -> dict[tuple[int, ...], tuple[bytes, str]]:
    """Return ``draw(**values)`` for every choice of one of the `options` of each parameter.

    The web edition, which has no kernel, shows these pictures instead. A key holds the place of
    each value in its list; the picture is a WebP of `colors` colours, a tenth of the PNG's size.
    Raises ValueError for more than 200 choices.
    """
    places = list(product(*(range(len(values)) for values in options.values())))
    if len(places) > 200:
        raise ValueError(f"There are {len(places)} choices, too many for a table: at most 200.")
    table = {}
    for place in places:
        chosen = {name: values[i] for (name, values), i in zip(options.items(), place)}
        frame = draw(**chosen)
        picture = Image.open(io.BytesIO(frame.png)).convert("RGB").quantize(colors, dither=0)
        file = io.BytesIO()
        picture.convert("RGB").save(file, "webp", lossless=True)
        table[place] = file.getvalue(), frame.words
    return table


def write_table(folder: Path, name: str, table: dict, controls: list[dict]) -> dict:
    """Write the pictures of a table of `tabulated` into a folder; return the rest for the page."""
    for place, (picture, _) in table.items():
        (folder / f"{name}_{_key(place)}.webp").write_bytes(picture)
    size = Image.open(io.BytesIO(next(iter(table.values()))[0])).size
    words = {_key(place): words for place, (_, words) in table.items()}
    return {"controls": controls, "size": size, "words": words}


def _key(place):
    return "_".join(map(str, place))


@contextlib.contextmanager
def _one_thread():
    """Let torch compute on one thread: for a handful of digits, waking a second one takes longer
    than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class LivePicture:
    """A figure that is drawn once; after that only its `moving` artists are, which takes
    milliseconds.

    Build it with matplotlib's own `Figure`, not with pyplot, which would keep a reference to it for
    ever.
    """

    def __init__(self, figure: Figure, moving: list):
        self.canvas, self.moving, self.backgrounds = FigureCanvasAgg(figure), moving, {}
        for artist in moving:
            artist.set_animated(True)  # left out of the background

    def png(self, background_key: float | str = "") -> bytes:
        """Return the picture with the moving artists where they are now, as PNG bytes.

        `background_key` names the state of everything else, such as the axis limits: each state's
        background is drawn only once.
        """
        if background_key not in self.backgrounds:
            self.canvas.draw()
            self.backgrounds[background_key] = self.canvas.copy_from_bbox(self.canvas.figure.bbox)
        self.canvas.restore_region(self.backgrounds[background_key])
        for artist in self.moving:
            self.canvas.figure.draw_artist(artist)
        buffer = io.BytesIO()
        plt.imsave(
            buffer, self.canvas.buffer_rgba(), format="png", pil_kwargs={"compress_level": 1}
        )
        return buffer.getvalue()
