"""The toy data of notebooks 01 and 02 is drawn from the model that the notebooks state."""

import math

from lecture_utils import data, toy_data

import torch

from tests.tolerances import assert_near


def test_grades_have_the_mean_and_covariance_of_the_model():
    n = 100_000
    z, grades = toy_data.draw_grades(n, torch.Generator().manual_seed(0))
    w, noise = (
        torch.tensor(toy_data.GRADE_LOADINGS).double(),
        torch.tensor(toy_data.GRADE_NOISE).double(),
    )
    covariance = torch.outer(w, w) + torch.diag(noise**2)
    error = (covariance.diag() / n).sqrt()
    assert ((grades.mean(0) - torch.tensor(toy_data.GRADE_MEANS)).abs() < 4 * error).all()
    # The standard error of a covariance of normal variables is sqrt((c_ij^2 + c_ii c_jj) / n).
    c = torch.cat([torch.ones(1).double(), w])  # covariance of (z, grades)
    found = torch.cov(torch.cat([z[:, None], grades], 1).T)
    expected = torch.outer(c, c) + torch.diag(torch.cat([torch.zeros(1).double(), noise**2]))
    spread = ((expected**2 + torch.outer(expected.diag(), expected.diag())) / n).sqrt()
    assert ((found - expected).abs() < 4.5 * spread).all()


def test_planar_digits_hold_the_chosen_digits_and_map_back_to_images():
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (60, 784), generator=generator, dtype=torch.uint8)
    labels = torch.arange(60) % 10
    plane = toy_data.planar_digits(
        data.MNIST(images, labels, images[:30], labels[:30]), digits=(3, 5)
    )
    assert plane.train_points.shape == (12, 2) and plane.test_points.shape == (6, 2)
    assert set(plane.train_labels.tolist()) == {3, 5}
    assert_near(plane.train_points.mean(0), torch.zeros(2), terms=784 + 12, scale=10)
    back = torch.from_numpy(plane.pca.inverse_transform(plane.train_points.numpy()))
    direct = data.to_grey(images[torch.isin(labels, torch.tensor([3, 5]))]) - torch.from_numpy(
        plane.pca.mean_
    )
    projected = direct @ torch.from_numpy(plane.pca.components_).T
    assert_near(projected, plane.train_points, terms=784, scale=10)  # as large as an image
    assert back.shape == (12, 784)


def test_the_ring_has_eight_equal_clusters_and_variance_one_in_each_coordinate():
    points = toy_data.draw_ring(40_000, torch.Generator().manual_seed(0))
    shares = toy_data.ring_shares(points)
    exact = (1 - math.exp(-4.5)) / 8
    assert (shares - exact).abs().max() < 4 * (exact * (1 - exact) / 40_000) ** 0.5
    assert (points.var(dim=0) - 1.01).abs().max() < 0.02 and points.mean(dim=0).abs().max() < 0.02


def test_points_between_the_clusters_belong_to_none():
    centres = toy_data.ring_centres()
    between = (centres + centres.roll(1, 0)) / 2
    assert toy_data.ring_shares(between).sum() == 0
    assert toy_data.ring_shares(centres[:1].expand(5, 2)).tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


def circle(n):
    """Points evenly on a plain circle through the eight centres, [n, 2]."""
    angle = 2 * math.pi * torch.arange(n) / n
    return toy_data.RING_RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)


def test_a_plain_circle_has_draws_at_every_cluster_but_no_contrast():
    points = circle(80_000)
    exact = 2 / math.pi * math.asin(0.3 / (2 * math.sqrt(2)))  # of the circle, near each centre
    assert (toy_data.ring_shares(points) - exact).abs().max() < 1e-3
    assert abs(8 * exact - 0.54) < 0.005  # as the notebook says
    assert abs(toy_data.ring_contrast(points)) < 1e-4


def test_the_contrast_of_the_ring_is_that_of_its_density():
    # by quadrature: of N((sqrt(2), 0), 0.1^2 I), whose turns are the other clusters
    x, y = torch.meshgrid(*2 * [torch.linspace(-0.8, 0.8, 801, dtype=torch.float64)], indexing="ij")
    weight = torch.exp(-(x**2 + y**2) / (2 * toy_data.RING_SIGMA**2))
    cosine = torch.cos(8 * torch.atan2(y, toy_data.RING_RADIUS + x))
    exact = ((weight * cosine).sum() / weight.sum()).item()
    assert abs(exact - math.exp(-0.16)) < 0.005
    n = 40_000
    ring = toy_data.draw_ring(n, torch.Generator().manual_seed(0))
    assert abs(toy_data.ring_contrast(ring) - exact) < 4 / math.sqrt(n)
    one = ring[(ring - toy_data.ring_centres()[3]).norm(dim=1) < 0.5]
    assert abs(toy_data.ring_contrast(one) - exact) < 4 / math.sqrt(len(one))
    assert abs(toy_data.ring_contrast(toy_data.ring_centres()) - 1) < 1e-5
