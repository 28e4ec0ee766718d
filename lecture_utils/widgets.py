"""Explorers: sliders that redraw a picture. Each is a thin shell round a plain function that needs no browser."""

from collections.abc import Callable

import ipywidgets


def explorer(draw: Callable[..., bytes], controls: dict[str, ipywidgets.Widget], alt: str) -> ipywidgets.VBox:
    """Return `controls` above a picture that is redrawn by ``draw(**values) -> PNG bytes`` when one of them moves.

    `controls` maps the parameters of `draw` to widgets with a `value`. `alt` describes the picture for screen readers.
    An Image widget is updated in place: unlike `interact`, it does not flicker and leaves nothing in the outputs.
    """
    picture = ipywidgets.Image(format="png", tooltip=alt)

    def update(_change=None):
        picture.value = draw(**{name: control.value for name, control in controls.items()})

    for control in controls.values():
        control.observe(update, names="value")
    update()
    return ipywidgets.VBox([*controls.values(), picture])
