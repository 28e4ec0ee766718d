"""The explorers of notebooks 06 and 07: the right digits and numbers, a picture of them, quickly, and no browser needed."""

import gc
import html
import io
import statistics
import time

import ipywidgets
import matplotlib.pyplot as plt
import psutil
import pytest
import torch
from PIL import Image

from lecture_utils import mnist_widgets, models, objectives

MODELS = {"AE": models.Autoencoder(latent_dim=2, seed=1), "DAE": models.DenoisingAutoencoder(latent_dim=2, seed=2),
          "VAE": models.VAE(latent_dim=2, seed=3)}
IMAGES = torch.rand(40, 784, generator=torch.Generator().manual_seed(0)).round()
LABELS = torch.arange(40) % 10
CODES = {name: scale * torch.randn(40, 2, generator=torch.Generator().manual_seed(1)) for name, scale in (("AE", 2.0), ("DAE", 4.0), ("VAE", 1.0))}
DEAD, LIVE = 2, 1  # units of the VAE below


def wide_vae():
    """A VAE of 4 units: unit 2 is dead, as in posterior collapse (N(0, 1) for every image, and the decoder ignores it)."""
    model = models.VAE(latent_dim=4, seed=4)
    with torch.no_grad():
        for layer in (model.to_mu, model.to_logvar):
            layer.weight[DEAD], layer.bias[DEAD] = 0, 0
        model.to_mu.weight *= 20  # the others do move with the image
        model.decoder[0].weight[:, DEAD] = 0
        model.decoder[0].weight *= 10
    return model


VAE = wide_vae()
EXPLORERS = {
    "latent plane": lambda: mnist_explorers.latent_plane_explorer(MODELS["VAE"], CODES["VAE"], LABELS),
    "traversal": lambda: mnist_explorers.traversal_explorer(VAE, IMAGES, LABELS),
    "interpolation": lambda: mnist_explorers.interpolation_explorer(VAE, IMAGES, LABELS),
    "decoders": lambda: mnist_explorers.decoders_explorer(MODELS, CODES, LABELS),
    "noise": lambda: mnist_explorers.noise_explorer(MODELS, IMAGES, LABELS),
}
every_explorer = pytest.mark.parametrize("name", EXPLORERS)


def sweep(controls, moves):
    """Move all controls back and forth, one after the other, `moves` times; every move is a change."""
    for move in range(moves):
        control = controls[move % len(controls)]
        if hasattr(control, "options"):
            control.index = (control.index + 1) % len(control.options)
        else:
            there = control.min + (control.max - control.min) * ((0.37 * move) % 1)
            control.value = there if abs(there - control.value) > 1e-9 else control.max
        yield


# --- What is computed ---

def test_the_nearest_code_is_found_with_its_label_and_distance():
    codes = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert latent_space.nearest_code(codes, torch.tensor([7, 2]), torch.tensor([3.0, 3.0])) == (2, 1.0)
    assert latent_space.nearest_code(codes, torch.tensor([7, 2]), torch.tensor([-3.0, -4.0])) == (7, 5.0)


def test_a_traversal_changes_one_coordinate_and_decodes():
    start, values = torch.tensor([1.0, -1.0, 0.5, 2.0]), torch.tensor([-3.0, 0.0, 3.0])
    expected = torch.tensor([[1.0, v, 0.5, 2.0] for v in values])
    assert torch.equal(latent_space.traverse(VAE, start, 1, values), torch.sigmoid(VAE.decode(expected)).detach())
    assert torch.equal(start, torch.tensor([1.0, -1.0, 0.5, 2.0]))


def test_an_inactive_unit_changes_nothing_and_an_active_one_does():
    start = VAE.code(IMAGES[:1])[0].detach()
    still, moving = (latent_space.traverse(VAE, start, unit, mnist_explorers.TRAVERSAL) for unit in (DEAD, LIVE))
    assert torch.equal(still, still[:1].expand_as(still))
    assert (moving[0] - moving[-1]).abs().max() > 0.1


def test_the_units_are_sorted_by_their_kl_and_named_active_or_inactive():
    units = latent_space.named_units(VAE, IMAGES)
    mu, logvar = VAE.encode(IMAGES)
    kl = (objectives.gaussian_kl(mu.reshape(-1, 1), logvar.reshape(-1, 1)).reshape(mu.shape)).mean(dim=0)
    assert [unit for _, unit in units] == kl.argsort(descending=True).tolist()
    assert units[-1] == (f"{DEAD}: 0.00 nats, inactive", DEAD)
    assert all(text == f"{unit}: {kl[unit]:.2f} nats, active" for text, unit in units[:-1])


def test_an_interpolation_starts_and_ends_at_the_two_images_and_is_straight_in_each_space():
    pair, t = IMAGES[:2], torch.tensor([0.0, 0.25, 1.0])
    codes, pixels = latent_space.interpolate(VAE, pair, t)
    assert torch.allclose(codes[[0, 2]], VAE.reconstruct(pair), atol=1e-6) and torch.equal(pixels[[0, 2]], pair)
    a, b = VAE.encode(pair)[0]
    assert torch.allclose(codes[1], torch.sigmoid(VAE.decode(0.75 * a + 0.25 * b)), atol=1e-6)
    assert torch.allclose(pixels[1], 0.75 * pair[0] + 0.25 * pair[1])


def test_each_model_reconstructs_the_same_noisy_image_and_is_charged_for_the_clean_one():
    digits, nats = latent_space.denoise_with_each(MODELS, IMAGES[0], noise=0.4)
    assert torch.equal(digits[0], IMAGES[0])
    share = (digits[1] != IMAGES[0]).double().mean().item()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 784) ** 0.5
    for row, cost, model in zip(digits[2:], nats, MODELS.values()):
        assert torch.allclose(row, model.reconstruct(digits[1:2])[0], atol=1e-6)
        logits = model.decode(model.code(digits[1:2]))
        assert cost == pytest.approx(-objectives.bernoulli_log_likelihood(logits, IMAGES[:1]).item(), rel=1e-5)


def test_without_noise_nothing_is_corrupted_and_the_noise_is_the_same_each_time():
    assert torch.equal(latent_space.denoise_with_each(MODELS, IMAGES[1], noise=0.0)[0][1], IMAGES[1])
    once, again = (latent_space.denoise_with_each(MODELS, IMAGES[1], noise=0.5)[0][1] for _ in range(2))
    assert torch.equal(once, again) and not torch.equal(once, IMAGES[1])


# --- What is shown ---

def test_the_marker_stands_at_z_in_every_plane_and_the_digits_are_those_of_z():
    picture = mnist_explorers.PlanePicture(MODELS, CODES, LABELS, limit=9)
    words = picture.draw(1.5, -2.5).words
    assert "z = (1.5, -2.5) decoded" in words
    for part, (name, model) in zip(picture.parts, MODELS.items()):
        assert [list(part.ring.get_xdata()), list(part.ring.get_ydata())] == [[1.5], [-2.5]]
        assert part.ring.axes.get_xlim() == part.ring.axes.get_ylim() == (-9, 9)
        shown = torch.tensor(part.digit.get_array().data).flatten()
        assert torch.allclose(shown, torch.sigmoid(model.decode(torch.tensor([1.5, -2.5]))), atol=1e-6)
        digit, distance = latent_space.nearest_code(CODES[name], LABELS, torch.tensor([1.5, -2.5]))
        assert part.words.get_text() == f"nearest code: a {digit}, {distance:.1f} away" and f"{name}: {part.words.get_text()}" in words


def test_the_sliders_of_the_decoders_reach_as_far_as_the_widest_cloud():
    z1, z2, *_ = EXPLORERS["decoders"]().children
    far = max(codes.abs().quantile(0.995).item() for codes in CODES.values())
    assert z1.max == z2.max == -z1.min == -z2.min and far <= z1.max < far + 1


def test_a_traversal_shows_the_whole_strip_with_a_frame_at_the_present_value():
    picture = mnist_explorers.TraversalPicture(VAE, IMAGES, LABELS)
    picture.draw(3, LIVE, 1.5)
    assert picture.frame.get_x() + picture.frame.get_width() / 2 == 1.5
    digit_under_frame = int((1.5 + 3.25) / 0.5)
    strip = torch.tensor(picture.strip.get_array().data)
    start = VAE.encode(IMAGES[3:4])[0][0]
    expected = latent_space.traverse(VAE, start, LIVE, torch.tensor([1.5]))[0].reshape(28, 28)
    assert torch.allclose(strip[:, 28 * digit_under_frame:28 * (digit_under_frame + 1)], expected, atol=1e-6)
    assert torch.allclose(torch.tensor(picture.images[1].get_array().data), expected, atol=1e-6)
    mean, sigma = start[LIVE].item(), (VAE.encode(IMAGES[3:4])[1][0, LIVE] / 2).exp().item()
    assert list(picture.posterior.get_xdata()) == pytest.approx([mean - sigma, mean + sigma])


def test_moving_an_inactive_unit_leaves_the_panel_of_changes_blank():
    picture = mnist_explorers.TraversalPicture(VAE, IMAGES, LABELS)
    assert "0 of 784 in sum" in picture.draw(0, DEAD, 3.0).words and picture.images[2].get_array().max() == 0
    picture.draw(0, LIVE, 3.0)
    assert picture.images[2].get_array().max() > 0.1


def test_an_interpolation_shows_both_paths_with_a_frame_at_t():
    picture = mnist_explorers.InterpolationPicture(VAE, IMAGES, LABELS)
    picture.draw(4, 7, 0.3)
    codes, pixels = latent_space.interpolate(VAE, IMAGES[[4, 7]], torch.tensor([0.3]))
    for frame, strip, digit, expected in zip(picture.frames, picture.strips, picture.digits[1:3], (codes, pixels)):
        assert frame.get_x() + frame.get_width() / 2 == pytest.approx(0.3)
        for shown in (strip.get_array().data[:, 28 * 3:28 * 4], digit.get_array().data):
            assert torch.allclose(torch.tensor(shown).float(), expected[0].reshape(28, 28), atol=1e-6)


def test_the_noise_picture_states_the_nats_of_each_model():
    picture = mnist_explorers.NoisePicture(MODELS, IMAGES, LABELS)
    words = picture.draw(2, 0.5).words
    for text, (name, nats) in zip(picture.nats, zip(MODELS, latent_space.denoise_with_each(MODELS, IMAGES[2], 0.5)[1])):
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


@every_explorer
def test_each_of_200_moves_costs_less_than_50_ms_and_no_memory_is_left_behind(name):
    *controls, _, _ = EXPLORERS[name]().children
    figures = len(plt.get_fignums())
    for _ in sweep(controls, 10):  # warm-up: fonts, buffers
        pass
    gc.collect()
    process = psutil.Process()
    before, seconds, start = process.memory_info().rss, [], time.process_time()
    for _ in sweep(controls, 200):
        seconds.append(time.process_time() - start)  # not wall time: another process on the machine must not fail this test
        start = time.process_time()
    gc.collect()
    assert statistics.median(seconds) < 0.05, f"median {statistics.median(seconds):.3f} s"
    assert len(plt.get_fignums()) == figures
    assert process.memory_info().rss - before < 30e6  # one frame is 0.6 to 1.4 MB of pixels: keeping them would be 120 to 280 MB


@every_explorer
def test_every_control_is_a_labelled_slider_that_reacts_while_it_is_dragged(name):
    *controls, picture, _ = EXPLORERS[name]().children
    labels = [control.description for control in controls]
    assert all(labels) and len(set(labels)) == len(labels)
    assert all(control.continuous_update for control in controls)
    # JupyterLab takes the arrow keys (and the digits) of a menu or a button for shortcuts of its own, those of a slider it leaves.
    assert all(isinstance(control, (ipywidgets.FloatSlider, ipywidgets.SelectionSlider)) for control in controls)
    assert picture.tooltip is None  # a tooltip on an Image stops JupyterLab from drawing it
