"""The explorers of notebook 07: the right digits, a picture of them, quickly, and no browser needed."""

import io
import statistics
import time

import pytest
import torch
from PIL import Image

from lecture_utils import models, widgets

MODELS = {"AE": models.Autoencoder(latent_dim=2, seed=1), "DAE": models.DenoisingAutoencoder(latent_dim=2, seed=2),
          "VAE": models.VAE(latent_dim=2, seed=3)}
IMAGES = torch.rand(3, 784, generator=torch.Generator().manual_seed(0)).round()


def size_of(png):
    return Image.open(io.BytesIO(png)).size


def test_each_model_decodes_the_same_code():
    decoded = widgets.decode_with_each(MODELS, [0.5, -1.0])
    for row, model in zip(decoded, MODELS.values()):
        assert torch.allclose(row, torch.sigmoid(model.decode(torch.tensor([0.5, -1.0]))))


def test_each_model_reconstructs_the_same_noisy_image():
    digits = widgets.denoise_with_each(MODELS, IMAGES[0], noise=0.4)
    assert torch.equal(digits[0], IMAGES[0])
    share = (digits[1] != IMAGES[0]).double().mean().item()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 784) ** 0.5
    for row, model in zip(digits[2:], MODELS.values()):
        assert torch.allclose(row, model.reconstruct(digits[1:2])[0], atol=1e-6)


def test_without_noise_nothing_is_corrupted_and_the_noise_is_the_same_each_time():
    assert torch.equal(widgets.denoise_with_each(MODELS, IMAGES[1], noise=0.0)[1], IMAGES[1])
    once, again = (widgets.denoise_with_each(MODELS, IMAGES[1], noise=0.5)[1] for _ in range(2))
    assert torch.equal(once, again) and not torch.equal(once, IMAGES[1])


@pytest.mark.parametrize("explorer", [lambda: widgets.decoders_explorer(MODELS),
                                      lambda: widgets.noise_explorer(MODELS, IMAGES)], ids=["decoders", "noise"])
def test_moving_a_slider_redraws_one_picture_quickly(explorer):
    box = explorer()
    *sliders, picture, _ = box.children
    seen, seconds = {picture.value}, []
    for slider in sliders:
        for step in (1, 2):
            start = time.perf_counter()
            slider.value += step * slider.step
            seconds.append(time.perf_counter() - start)
            seen.add(picture.value)
    assert len(seen) == 5 and len({size_of(png) for png in seen}) == 1
    assert statistics.median(seconds) < 0.5


def test_a_strip_refuses_digits_that_do_not_fit_its_titles():
    with pytest.raises(ValueError, match="2 digits do not fit 3 titles"):
        widgets.DigitStrip(["a", "b", "c"]).png(torch.zeros(2, 784))
