"""The figures: what they show, and what they refuse."""

import base64
import io

from lecture_utils import plotting
from lecture_utils.evaluation import Estimate

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import seeded


def test_nat_axis_keeps_one_scale_and_sets_published_figures_apart():
    bars = {"independent pixels": Estimate(-206.5, 0.4), "mixture": Estimate(-131.7, 0.3)}
    alone, beside = plotting.nat_axis(bars), plotting.nat_axis(bars, {"VAE elsewhere": -86.76})
    assert alone.axes[0].get_xlim() == beside.axes[0].get_xlim()
    texts = [text.get_text() for text in beside.axes[0].texts]
    assert (
        "−131.7 ± 0.3  (+74.8)" in texts
        and "−86.8" in texts
        and "published, not computed here" in texts
    )
    assert not any("published" in text.get_text() for text in alone.axes[0].texts)
    plt.close("all")
    with pytest.raises(ValueError, match="negative"):
        plotting.nat_axis({"error": Estimate(131.7, 0.3)})


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (1, 5), (3, 5), (5, 5), (7, 3), (6, 1)])
def test_images_are_tiled_as_torchvision_does(n, columns):
    from torchvision.utils import make_grid  # takes seconds

    images = torch.rand(n, 16, generator=torch.Generator().manual_seed(0))
    grid = make_grid(images.view(-1, 1, 4, 4), nrow=columns, padding=1, pad_value=0.25)
    np.testing.assert_array_equal(plotting.tile(images, columns), grid[0])


def test_a_scatter_of_codes_has_a_panel_for_each_and_refuses_none():
    codes = {name: torch.randn(20, 2, generator=seeded(i)) for i, name in enumerate("ABC")}
    figure = plotting.latent_scatter(codes, torch.arange(20) % 10, n=15)
    assert [axis.get_title() for axis in figure.axes if axis.axison] == ["A", "B", "C"]
    assert len(figure.axes) == 4
    (circle,) = figure.axes[0].patches
    assert all(circle.zorder > text.zorder for text in figure.axes[0].texts)  # and is seen
    plt.close(figure)
    with pytest.raises(ValueError, match="no codes"):
        plotting.latent_scatter({}, torch.zeros(0))


def ellipses_of(axis):
    (collection,) = axis.collections
    return collection


def test_posterior_panel_draws_two_standard_deviations_round_each_mean():
    mu, sigma = torch.tensor([[1.0, 0.0], [-1.0, 2.0]]), torch.tensor([[0.5, 0.1], [0.2, 1.0]])
    figure, axis = plt.subplots()
    plotting.posterior_panel(axis, mu, 2 * sigma.log(), torch.tensor([3, 7]), limit=4)
    drawn = ellipses_of(axis)
    np.testing.assert_allclose(drawn.get_offsets(), mu)
    # Full axes: from -2 to +2 standard deviations. Matplotlib keeps the halves.
    np.testing.assert_allclose(2 * drawn._widths, 4 * sigma[:, 0], rtol=1e-6)
    np.testing.assert_allclose(2 * drawn._heights, 4 * sigma[:, 1], rtol=1e-6)
    assert {text.get_text() for text in axis.texts} == {"3", "7"}
    plt.close(figure)


def test_no_rows_of_digits_are_refused_in_words():
    with pytest.raises(ValueError, match="no images to draw"):
        plotting.digit_rows({})


def test_posterior_panel_needs_a_plane():
    figure, axis = plt.subplots()
    with pytest.raises(ValueError, match="latent_dim=2"):
        plotting.posterior_panel(axis, torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(4), 3)
    plt.close(figure)


def test_vae_diagram_names_both_networks_and_both_terms():
    figure = plotting.vae_diagram()
    flow, graph = figure.axes
    texts = " ".join(text.get_text() for text in flow.texts)
    for word in ("encoder", r"\phi", "decoder", r"\theta", "KL", "prior", "first term", "second"):
        assert word in texts, word
    assert {r"$\theta$", r"$\phi$", "$N$"} <= {text.get_text() for text in graph.texts}
    plt.close(figure)


def test_blocks_of_digits_stand_side_by_side_under_their_titles():
    blocks = {"real": torch.zeros(36, 784), "fake": torch.ones(36, 784)}
    figure = plotting.digit_blocks(blocks)
    assert [axis.get_title() for axis in figure.axes] == ["real", "fake"]
    pictures = [np.asarray(axis.images[0].get_array()) for axis in figure.axes]
    assert all(picture.shape == (6 * 29 + 1, 6 * 29 + 1) for picture in pictures)
    assert pictures[0][1:29, 1:29].max() == 0 and pictures[1][1:29, 1:29].min() == 1
    plotting.plt.close(figure)


def test_your_own_run_is_one_more_mark_and_moves_no_row():
    panels = {"nats": {"AE": [1.0, 2.0], "VAE": [3.0, 4.0]}}
    plain = plotting.seed_panels(panels, log=("nats",))
    mine = plotting.seed_panels(panels, log=("nats",), yours={"nats": {"VAE": 9.0}})
    assert mine.axes[0].get_ylim() == plain.axes[0].get_ylim()
    (mark,) = [line for line in mine.axes[0].lines if line.get_marker() == "D"]
    assert list(mark.get_xydata()[0]) == [9.0, 1.0]
    plt.close("all")


def test_effects_share_their_axis_and_fill_what_is_decided():
    rows = {"probe, than AE": (2.0, 1.0, 3.0, True), "kNN, than AE": (-0.5, -2.0, 1.0, False)}
    gap = {name: (float("nan"), -float("inf"), float("inf"), False) for name in rows}
    figure = plotting.effects({"2 epochs": rows, "20 epochs": gap}, log=True)
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()
    marks = [line for line in first.lines if line.get_marker() in "os"]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, True]
    assert [line.get_marker() for line in marks] == ["o", "s"]
    assert not [line for line in second.lines if line.get_marker() in "os"]
    assert [text.get_text() for text in first.get_yticklabels()] == list(rows)
    plt.close(figure)


def test_maps_of_effects_write_a_sign_into_each_cell():
    values = {("than AE", "kNN"): np.array([[3.5, 0.1], [np.nan, -1.0]])}
    signs = {("than AE", "kNN"): np.array([["+", "="], ["", "?"]])}
    figure = plotting.effect_maps(values, signs, ["J = 2", "J = 5"], ["0.1", "0.3"])
    texts = figure.axes[0].texts
    assert [text.get_text() for text in texts] == ["+", "=", "", "?"]
    assert [text.get_color() for text in texts] == ["white", "black", "black", "black"]
    plt.close(figure)


def test_planes_in_a_strip_have_one_scale():
    labels = torch.arange(10).repeat(10)
    narrow = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    figure = plotting.plane_strip({"VAE": narrow, "AE": 5 * narrow}, labels)
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert figure.axes[0].get_xlim()[1] > 5
    plt.close(figure)


def test_curves_against_noise_have_a_band_over_seeds_and_a_line_of_reference():
    curves = {"AE": np.array([[60.0, 64.0], [90.0, 100.0]]), "DAE, ν = 0.3": np.ones((2, 3))}
    figure = plotting.noise_curves((0.0, 0.3), curves, {"mean image": 206.0})
    (axis,) = figure.axes
    assert list(axis.lines[0].get_ydata()) == [62, 95] and len(axis.collections) == 2
    assert 206 in [line.get_ydata()[0] for line in axis.lines]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list(curves)
    plt.close(figure)


def test_a_bar_in_a_table_does_not_end_its_cell(monkeypatch):
    shown = []
    monkeypatch.setattr(plotting, "display", lambda data, raw: shown.append(data))
    plotting.show_table({"p(x|z)": {"AE": "1"}}, "nats")
    assert shown[0]["text/markdown"].splitlines()[-1] == r"| p(x\|z) | 1 |"
    assert shown[0]["text/plain"].splitlines()[-1] == "| p(x|z) | 1 |"


def test_rows_of_digits_stand_close_together_and_fill_the_width():
    rows = {"a": torch.rand(9, 784), "b,\nlong": torch.rand(9, 784)}
    figure = plotting.digit_rows(rows, columns=9)
    wide, high = figure.get_size_inches()
    above, below = (axis.get_position() for axis in figure.axes)
    assert 0 < above.y0 - below.y1 < 0.2 * above.height and above.x1 > 0.99
    for axis in figure.axes:  # a pixel is as high as it is wide: no white beside or below
        box, (pixel_rows, pixels) = axis.get_position(), axis.images[0].get_array().shape
        assert box.height * high * pixels == pytest.approx(box.width * wide * pixel_rows)
    plt.close(figure)


def test_a_figure_has_twice_the_pixels_of_its_width_on_the_page(monkeypatch):
    shown = []
    monkeypatch.setattr(
        plotting, "display", lambda content, **options: shown.append((content, options))
    )
    plotting.show(plt.figure(figsize=(7, 3)), alt="a figure of nothing at all")
    ((content, options),) = shown
    png = Image.open(io.BytesIO(base64.b64decode(content["image/png"])))
    page = options["metadata"]["image/png"]
    assert png.size == (2 * page["width"], 2 * page["height"]) == (1400, 600)
