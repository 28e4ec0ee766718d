"""The cloud there and back: what it computes, and what its explorer shows."""

import io
import math
import statistics
import time

from lecture_utils import toy_data
from lecture_utils.explorers import cloud

import pytest
import torch
from matplotlib import pyplot as plt


def test_the_chain_brings_noise_home_and_the_forward_process_makes_noise():
    there, back = cloud.clouds()
    assert there.shape == back.shape == (101, 500, 2)
    home = 1 - math.exp(-4.5)  # share within three standard deviations, in the plane
    error = (home * (1 - home) / 500) ** 0.5
    for points in (there[0], back[0]):
        assert abs(toy_data.ring_shares(points).sum() - home) < 4 * error + 0.01
    for points in (there[100], back[100]):
        assert (points.var(dim=0) - 1).abs().max() < 4 * (2 / 500) ** 0.5
    assert (toy_data.ring_shares(back[0]) > 0.06).all()  # every cluster is found again


def test_both_clouds_have_the_same_distribution_on_the_way():
    there, back = cloud.clouds()
    for t in (5, 20, 50):
        means = [points[t].norm(dim=1).mean().item() for points in (there, back)]
        spread = there[t].norm(dim=1).std().item()
        assert abs(means[0] - means[1]) < 4 * spread * (2 / 500) ** 0.5


def test_the_arrows_lead_from_the_point_to_the_mean_of_what_it_may_have_been():
    """(1 - bar) times the score is sqrt(bar) E[z_0|z_t] - z_t; near t = 100 that is -z_t."""
    places, pull = cloud.arrows(100)
    torch.testing.assert_close(pull, -places, rtol=0.01, atol=0.02)
    places, pull = cloud.arrows(1)  # hardly any noise: to the nearest centre, but for its own width
    ends = places + pull
    assert torch.cdist(ends, toy_data.ring_centres()).amin(dim=1).max() < 2.8 * math.sqrt(2)


def test_each_time_is_another_picture_and_says_what_is_seen():
    near, far = cloud.draw_cloud(0), cloud.draw_cloud(100)
    assert near.png != far.png and plt.imread(io.BytesIO(far.png)).shape == (370, 700, 4)
    assert near.words.startswith("Time 0: each point is 1.00 of where it started plus 0.00")
    home = toy_data.ring_shares(cloud.clouds()[0][0]).sum()
    assert home > 0.97 and f"{home:.0%} of the points on the left" in near.words
    assert cloud.draw_cloud(0) == near  # nothing is left of the time before


def test_drawing_takes_less_than_50_milliseconds():
    cloud.draw_cloud(1)
    times = []
    for t in range(2, 22):
        start = time.process_time()
        cloud.draw_cloud(t)
        times.append(time.process_time() - start)
    assert statistics.median(times) < 0.05


def test_there_is_no_time_beyond_the_schedule():
    with pytest.raises(ValueError, match="times 0 to 100"):
        cloud.draw_cloud(101)


def test_the_static_figure_shows_both_ways():
    figure = cloud.cloud_figure((0, 50, 100))
    assert len(figure.axes) == 6
    assert [axis.get_title() for axis in figure.axes[:3]] == ["$t$ = 0", "$t$ = 50", "$t$ = 100"]


def test_the_slider_redraws():
    slider, picture, words = cloud.cloud_explorer().children
    slider.value = 77
    assert picture.value == cloud.draw_cloud(77).png and words.value.startswith("Time 77")
