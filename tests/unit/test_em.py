"""EM in the plane: its steps against scikit-learn, and what its explorer shows."""

import io

from lecture_utils.explorers import em

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from sklearn.mixture import GaussianMixture


@pytest.fixture(scope="module")
def groups():
    """Three groups of 200 points in the plane, float64 [600, 2], and which is which, [600]."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(200)
    centres = torch.tensor([(-4.0, -1.0), (3.5, -1.0), (0.0, 2.5)], dtype=torch.float64)
    noise = torch.randn(600, 2, generator=generator, dtype=torch.float64)
    return centres[labels] + 0.7 * noise, labels


def log_likelihoods(points, path):
    return np.array([torch.logsumexp(m.joint(points), dim=1).mean().item() for m in path])


@pytest.mark.parametrize("start", em.STARTS.values(), ids=em.STARTS)
def test_the_log_likelihood_never_falls(groups, start):
    assert (np.diff(log_likelihoods(groups[0], em.em_path(groups[0], start, 60))) > -1e-10).all()


def test_ends_where_scikit_learn_ends(groups):
    points, _ = groups
    path = em.em_path(points, em.STARTS["one point on each digit"], 300)
    referee = GaussianMixture(
        3,
        tol=1e-12,
        reg_covar=0,
        max_iter=2000,
        means_init=em.STARTS["one point on each digit"].means,
    ).fit(points.numpy())
    assert abs(log_likelihoods(points, path[-1:])[0] - referee.score(points.numpy())) < 1e-8
    np.testing.assert_allclose(path[-1].means, referee.means_, atol=1e-4)
    np.testing.assert_allclose(path[-1].covariances, referee.covariances_, atol=1e-4)


def test_an_m_step_with_certain_responsibilities_is_gda(groups):
    """Far apart, no point is in doubt: EM counts, averages and takes covariances."""
    points, labels = groups
    apart = points + 1000.0 * labels[:, None]
    means = [(x, y) for x, y in [apart[labels == c].mean(dim=0).tolist() for c in range(3)]]
    after = em.em_step(apart, em.round_clusters(means))
    for c in range(3):
        own = apart[labels == c]
        torch.testing.assert_close(after.means[c], own.mean(dim=0))
        torch.testing.assert_close(after.covariances[c], own.T.cov(correction=0))
    torch.testing.assert_close(after.sizes, torch.full((3,), 1 / 3, dtype=torch.float64))


def test_the_ellipse_is_two_standard_deviations_from_the_mean():
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    covariance = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    apart = em.ellipse(mean, covariance) - mean.numpy()
    distance = np.einsum("ni,ij,nj->n", apart, np.linalg.inv(covariance.numpy()), apart)
    np.testing.assert_allclose(distance, 4.0)


def test_a_certain_point_has_its_clusters_colour():
    np.testing.assert_allclose(
        em.blend(torch.eye(3, dtype=torch.float64)),
        [plt.matplotlib.colors.to_rgb(color) for color in em.CLUSTER_COLORS],
    )


def test_each_step_is_another_picture_and_says_its_log_likelihood(groups):
    points, labels = groups
    draw = em.em_drawing(points, labels)
    start = "three points in a corner"
    first, last = draw(start, 0), draw(start, em.N_STEPS)
    shapes = [plt.imread(io.BytesIO(frame.png)).shape for frame in (first, last)]
    assert first.png != last.png and shapes[0] == shapes[1]  # the page does not jump
    assert shapes[0][1:] == (700, 4)  # the height, 4.6 inches, is rounded to 459 or 460 pixels
    value = log_likelihoods(points, em.em_path(points, em.STARTS[start], em.N_STEPS)[-1:])[0]
    assert f"Step {em.N_STEPS}: mean log-likelihood {value:.3f} nats" in last.words


@pytest.mark.parametrize("values", [("nowhere", 0), ("one point on each digit", 101)])
def test_names_the_starts_and_steps_that_there_are(groups, values):
    with pytest.raises(ValueError, match="starts are three points in a corner.*0 to 100"):
        em.em_drawing(*groups)(*values)
