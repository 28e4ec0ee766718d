"""The explorers of notebook 07: the right digits and numbers, a picture of them, quickly,
and no browser needed.
"""

import gc
import html
import io
import statistics
import time

from lecture_utils import latent_space
from lecture_utils.explorers import mnist as mnist_explorers

import ipywidgets
import matplotlib.pyplot as plt
import psutil
import pytest
import torch
from PIL import Image

from tests.mnist_sized import CODES, IMAGES, LABELS, MODELS, TERMS
from tests.tolerances import assert_near

EXPLORERS = {
    "decoders": lambda: mnist_explorers.decoders_explorer(MODELS, CODES, LABELS),
    "noise": lambda: mnist_explorers.noise_explorer(MODELS, IMAGES, LABELS),
}
every_explorer = pytest.mark.parametrize("name", EXPLORERS)


def sweep(controls, moves):
    """Move all controls back and forth, one after the other; every move is a change."""
    for move in range(moves):
        control = controls[move % len(controls)]
        if hasattr(control, "options"):
            control.index = (control.index + 1) % len(control.options)
        else:
            there = control.min + (control.max - control.min) * ((0.37 * move) % 1)
            control.value = there if abs(there - control.value) > 1e-9 else control.max
        yield


# --- What is computed ---


# --- What is shown ---


def test_the_marker_stands_at_z_in_every_plane_and_the_digits_are_those_of_z():
    picture = mnist_explorers.PlanePicture(MODELS, CODES, LABELS, limit=9)
    words = picture.draw(1.5, -2.5).words
    assert "z = (1.5, -2.5) decoded" in words
    for part, (name, model) in zip(picture.parts, MODELS.items()):
        assert [list(part.ring.get_xdata()), list(part.ring.get_ydata())] == [[1.5], [-2.5]]
        assert part.ring.axes.get_xlim() == part.ring.axes.get_ylim() == (-9, 9)
        shown = torch.tensor(part.digit.get_array().data).flatten()
        assert_near(shown, torch.sigmoid(model.decode(torch.tensor([1.5, -2.5]))), TERMS, scale=1)
        digit, distance = latent_space.nearest_code(CODES[name], LABELS, torch.tensor([1.5, -2.5]))
        assert (
            part.words.get_text() == f"nearest code: a {digit}, {distance:.1f} away"
            and f"{name}: {part.words.get_text()}" in words
        )


def test_the_sliders_of_the_decoders_reach_as_far_as_the_widest_cloud():
    z1, z2, *_ = EXPLORERS["decoders"]().children
    far = max(codes.abs().quantile(0.995).item() for codes in CODES.values())
    assert z1.max == z2.max == -z1.min == -z2.min and far <= z1.max < far + 1


def test_the_noise_picture_states_the_nats_of_each_model():
    picture = mnist_explorers.NoisePicture(MODELS, IMAGES, LABELS)
    words = picture.draw(2, 0.5).words
    for text, (name, nats) in zip(
        picture.nats, zip(MODELS, latent_space.denoise_with_each(MODELS, IMAGES[2], 0.5)[1])
    ):
        assert text.get_text() == f"{nats:.0f} nats" and f"{name} {nats:.0f}" in words


# --- How it behaves ---


@every_explorer
def test_every_move_redraws_one_picture_of_one_size_and_its_words(name):
    *controls, picture, words = EXPLORERS[name]().children
    size, before, said = Image.open(io.BytesIO(picture.value)).size, picture.value, {words.value}
    assert size[0] == 700
    for _ in sweep(controls, 12):
        image = Image.open(io.BytesIO(picture.value))
        assert image.format == "PNG" and image.size == size and picture.value != before
        before = picture.value
        said.add(words.value)
    assert len(said) > 6 and all(len(html.unescape(each)) > 80 for each in said)


@every_explorer
def test_a_control_moved_there_and_back_gives_the_first_picture_again(name):
    *controls, picture, _ = EXPLORERS[name]().children
    first = picture.value
    for control in controls:
        key = "index" if hasattr(control, "options") else "value"
        at = getattr(control, key)
        setattr(control, key, (at + 1) if key == "index" else control.max)
        assert picture.value != first
        setattr(control, key, at)
        assert picture.value == first


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "noise" else [pytest.mark.slow]) for name in EXPLORERS],
)
def test_each_of_200_moves_costs_less_than_50_ms_and_no_memory_is_left_behind(name):
    *controls, _, _ = EXPLORERS[name]().children
    figures = len(plt.get_fignums())
    for _ in sweep(controls, 10):  # warm-up: fonts, buffers
        pass
    gc.collect()
    process = psutil.Process()
    before, seconds, start = process.memory_info().rss, [], time.thread_time()
    for _ in sweep(controls, 200):
        seconds.append(
            time.thread_time() - start
        )  # not wall time: another process on the machine must not fail this test
        start = time.thread_time()
    gc.collect()
    assert statistics.median(seconds) < 0.05, f"median {statistics.median(seconds):.3f} s"
    assert len(plt.get_fignums()) == figures
    assert (
        process.memory_info().rss - before < 30e6
    )  # one frame is 0.6 to 1.4 MB of pixels: keeping them would be 120 to 280 MB


@every_explorer
def test_every_control_is_a_labelled_slider_that_reacts_while_it_is_dragged(name):
    *controls, picture, _ = EXPLORERS[name]().children
    labels = [control.description for control in controls]
    assert all(labels) and len(set(labels)) == len(labels)
    assert all(control.continuous_update for control in controls)
    # JupyterLab takes the arrow keys (and the digits) of a menu or a button for shortcuts of its
    # own, those of a slider it leaves.
    assert all(
        isinstance(control, (ipywidgets.FloatSlider, ipywidgets.SelectionSlider))
        for control in controls
    )
    assert picture.tooltip is None  # a tooltip on an Image stops JupyterLab from drawing it
