"""The shell of the explorers, and those of the toy problems: the right numbers, quickly, without
growth. No browser needed.
"""

import functools
import gc
import io
import math
import statistics
import time

from lecture_utils import objectives
from lecture_utils.explorers import toy

import matplotlib.pyplot as plt
import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch.distributions import Normal, kl_divergence

from tests.tolerances import assert_near

DRAWINGS = {
    "reparameterization": (
        toy.draw_reparameterization,
        [(x / 20, n) for x in range(-24, 25, 3) for n in (1, 10, 1000)],
    ),
    "kl": (
        toy.draw_kl,
        [(mu / 2, sigma) for mu in range(-5, 6) for sigma in (0.1, 0.25, 0.5, 1.0, 2.5)],
    ),
}
every_drawing = pytest.mark.parametrize("name", DRAWINGS)
EXPLORERS = {"reparameterization": toy.reparameterization_explorer, "kl": toy.kl_explorer}


@functools.cache
def gaussian_nodes():
    """Nodes and weights that integrate polynomials against N(0, 1) exactly."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    return torch.tensor(nodes), torch.tensor(weights / weights.sum())


@pytest.mark.parametrize("x", [-1.2, -0.5, 0.05, 1.0, 1.2])
def test_toy_gradients_have_the_exact_mean_and_variance(x):
    epsilon, weights = gaussian_nodes()
    draws = toy.toy_gradients(x, epsilon)
    exact = 8 * x**3 + 8 * x
    variances = {
        "reparameterized": 32 * x**2 * (3 * x**4 + 4 * x**2 + 2),
        "score_function": 8 * (135 * x**8 + 296 * x**6 + 280 * x**4 + 112 * x**2 + 24) / x**2,
    }
    for name, variance in variances.items():
        gradients = getattr(draws, name)
        assert (weights * gradients).sum().item() == pytest.approx(exact)
        assert (weights * (gradients - exact) ** 2).sum().item() == pytest.approx(variance)
    assert (weights * draws.z).sum().item() == pytest.approx(x**2 + 2)


@pytest.mark.parametrize("x", [-0.7, 1.0])
def test_toy_gradients_agree_with_autograd_sample_by_sample(x):
    epsilon = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = toy.toy_gradients(x, epsilon)
    x_each = torch.full_like(epsilon, x, requires_grad=True)
    z = x_each**2 + 2 + x_each**2 * epsilon
    assert torch.allclose(torch.autograd.grad((z**2).sum(), x_each)[0], draws.reparameterized)
    log_q = Normal(x_each**2 + 2, x_each**2).log_prob(z.detach())
    assert torch.allclose(
        torch.autograd.grad((z.detach() ** 2 * log_q).sum(), x_each)[0], draws.score_function
    )
    assert torch.allclose(z.detach(), draws.z)


def test_at_zero_the_trick_is_exact_and_the_score_function_undefined():
    draws = toy.toy_gradients(0.0, torch.linspace(-3, 3, 7).double())
    assert (
        (draws.z == 2).all()
        and (draws.reparameterized == 0).all()
        and draws.score_function.isnan().all()
    )
    toy.draw_reparameterization(0.0, 10)
    artists = toy._reparameterization_picture()[1]
    assert (
        artists["trick label"].get_text().startswith("0.0")
        and artists["score label"].get_text() == "undefined"
    )


@pytest.mark.parametrize("mu, sigma", [(0, 1), (1, 0.5), (-2.5, 2.5), (0.3, 0.25), (0.3, 0.1)])
def test_kl_terms_sum_to_the_kl(mu, sigma):
    terms = toy.kl_terms(mu, sigma)
    assert min(terms) >= 0
    logvar = torch.tensor([[2 * math.log(sigma)]])
    kl = objectives.gaussian_kl(torch.tensor([[float(mu)]]), logvar)[0]
    assert_near(sum(terms), kl, terms=4, scale=5)  # of 1, log sigma^2, mu^2 and sigma^2
    z = np.linspace(mu - 12 * sigma, mu + 12 * sigma, 20_001)
    area = toy.kl_integrand(z, mu, sigma).sum() * (z[1] - z[0])
    referee = kl_divergence(
        Normal(torch.tensor(float(mu)).double(), float(sigma)),
        Normal(torch.tensor(0.0).double(), 1.0),
    )
    assert area == pytest.approx(referee.item(), abs=1e-7) and sum(terms) == pytest.approx(
        referee.item(), abs=1e-7
    )


def test_the_pictures_show_these_numbers():
    toy.draw_kl(1.0, 0.5)
    artists = toy._kl_picture()[1]
    mean_term, spread_term = toy.kl_terms(1.0, 0.5)
    for name, value in (
        ("mean", mean_term),
        ("spread", spread_term),
        ("kl", mean_term + spread_term),
    ):
        assert (
            artists[name].get_height() == value
            and artists[f"{name} label"].get_text() == f"{value:.2f}"
        )

    toy.draw_reparameterization(1.0, 100)
    noise, artists, _ = toy._reparameterization_picture()
    draws = toy.toy_gradients(1.0, noise[:100])
    for name, gradients in (("trick", draws.reparameterized), ("score", draws.score_function)):
        assert (
            artists[f"{name} label"].get_text()
            == f"{gradients.mean():.1f} ± {gradients.std() / 10:.1f}"
        )
        assert artists[name].get_ydata()[0] == pytest.approx(gradients.mean().item())
    assert artists["exact label"].get_text() == "exact 16.0"
    assert artists["samples"].get_ydata() == pytest.approx(draws.z[: toy.N_PATHS].numpy())


def test_an_estimate_off_the_scale_is_marked_as_such():
    noise, artists, _ = toy._reparameterization_picture()
    n, low, high = 1, *toy.ESTIMATE_RANGE
    small = next(
        x
        for x in (0.05, -0.05, 0.01, -0.01)
        if not low <= toy.toy_gradients(x, noise[:n]).score_function.mean() <= high
    )
    toy.draw_reparameterization(small, n)
    assert artists["score"].get_marker() in "^v" and low < artists["score"].get_ydata()[0] < high
    toy.draw_reparameterization(1.0, 1000)
    assert artists["score"].get_marker() == "o"


def test_the_noise_stays_the_same_when_x_moves():
    toy.draw_reparameterization(0.5, 12)
    noise, artists, _ = toy._reparameterization_picture()
    first = (artists["samples"].get_ydata() - 2 - 0.5**2) / 0.5**2
    toy.draw_reparameterization(1.0, 12)
    second = (artists["samples"].get_ydata() - 2 - 1.0**2) / 1.0**2
    assert first == pytest.approx(second) and second == pytest.approx(noise[:12].numpy())


@every_drawing
def test_returns_a_png_that_depends_on_the_values_alone(name):
    draw, moves = DRAWINGS[name]
    first = draw(*moves[0])
    picture = Image.open(io.BytesIO(first.png))
    assert picture.format == "PNG" and picture.width == 700 and 300 < picture.height < 500
    others = [draw(*move) for move in moves]
    assert len(set(others)) == len(moves)  # every move changes the picture
    assert draw(*moves[0]) == first  # and coming back gives the same one: nothing is left behind


@every_drawing
def test_each_of_200_moves_costs_less_than_50_ms_and_no_memory_is_left_behind(name):
    draw, moves = DRAWINGS[name]
    for move in moves[:10]:  # warm-up: the first calls build the figure and its backgrounds
        draw(*move)
    figures = len(plt.get_fignums())
    gc.collect()
    process = psutil.Process()
    before, seconds = process.memory_info().rss, []
    for i in range(200):
        start = (
            time.thread_time()
        )  # not wall time: another process on the machine must not fail this test
        draw(*moves[i % len(moves)])
        seconds.append(time.thread_time() - start)
    gc.collect()
    assert statistics.median(seconds) < 0.05, f"median {statistics.median(seconds):.3f} s"
    assert len(plt.get_fignums()) == figures
    assert (
        process.memory_info().rss - before < 30e6
    )  # one picture is 1 MB of pixels: keeping them would be 200 MB


@pytest.mark.parametrize(
    "draw, values, message",
    [
        (toy.draw_reparameterization, (1.3, 10), r"x is 1.3, but must lie in \[-1.2, 1.2\]"),
        (toy.draw_reparameterization, (math.nan, 10), r"x is nan"),
        (toy.draw_reparameterization, (1.0, 0), r"n_samples is 0, but must lie in \[1, 1000\]"),
        (toy.draw_reparameterization, (1.0, 1001), r"n_samples is 1001"),
        (toy.draw_kl, (2.6, 1.0), r"mu is 2.6, but must lie in \[-2.5, 2.5\]"),
        (toy.draw_kl, (0.0, 0.0), r"sigma is 0.0, but must lie in \[0.1, 2.5\]"),
        (toy.draw_kl, (0.0, -1.0), r"sigma is -1.0"),
        (toy.draw_kl, (0.0, math.nan), r"sigma is nan"),
    ],
)
def test_out_of_range_input_gives_a_clear_error(draw, values, message):
    with pytest.raises(ValueError, match=message):
        draw(*values)


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_explorer_redraws_when_a_slider_moves_and_covers_its_whole_range(name):
    explorer = EXPLORERS[name]()
    *sliders, picture, words = explorer.children
    for slider in sliders:
        ends = (
            [slider.options[0], slider.options[-1]]
            if hasattr(slider, "options")
            else [slider.min, slider.max]
        )
        for end in [v[1] if isinstance(v, tuple) else v for v in ends]:
            before, said = bytes(picture.value), words.value
            slider.value = end
            after = bytes(picture.value)
            assert after != before and after.startswith(b"\x89PNG") and words.value != said
    assert picture.tooltip is None  # a tooltip on an Image stops JupyterLab from drawing it


def test_the_words_state_the_numbers_of_the_picture():
    assert "0.50 + 0.32 = 0.82 nats" in toy.draw_kl(1.0, 0.5).words
    noise = toy._reparameterization_picture()[0]
    draws = toy.toy_gradients(1.0, noise[:100])
    words = toy.draw_reparameterization(1.0, 100).words
    trick, score = (f"{each.mean():.1f}" for each in (draws.reparameterized, draws.score_function))
    assert f"{trick} with the trick, {score} with the score function, 16.0 exactly" in words
    assert "undefined with the score function" in toy.draw_reparameterization(0.0, 10).words
