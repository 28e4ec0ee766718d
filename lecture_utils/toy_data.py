"""The toy data of notebooks 01, 02 and 09: a few digits as points in a plane, the grades of the
lecture, and a ring of eight clusters.

A module of its own, because scikit-learn takes more than a second to import, and MNIST alone does
not need it.
"""

import math
from typing import NamedTuple

from lecture_utils.data import MNIST, to_grey

import torch
from sklearn.decomposition import PCA


class PlanarDigits(NamedTuple):
    """Images of a few digits as points in a plane: float32 [N, 2] with int64 labels [N], and the
    PCA that made them."""

    train_points: torch.Tensor
    train_labels: torch.Tensor
    test_points: torch.Tensor
    test_labels: torch.Tensor
    pca: PCA


def planar_digits(mnist: MNIST, digits: tuple[int, ...] = (0, 1, 2)) -> PlanarDigits:
    """Return the first two PCA coordinates of the given digits (notebooks 01 and 02), in units of
    pixel intensity.

    PCA is fitted to the training images of these digits; `pca.inverse_transform` turns points back
    into images.
    """
    wanted = torch.tensor(digits)
    train, test = torch.isin(mnist.train_labels, wanted), torch.isin(mnist.test_labels, wanted)
    pca = PCA(2, svd_solver="covariance_eigh").fit(to_grey(mnist.train_images[train]).numpy())
    points = [
        torch.from_numpy(pca.transform(to_grey(images).numpy()))
        for images in (mnist.train_images[train], mnist.test_images[test])
    ]
    return PlanarDigits(
        points[0], mnist.train_labels[train], points[1], mnist.test_labels[test], pca
    )


# The toy of the slide "Intelligence: Math grade, Physics grade, History grade": grade = mean +
# loading * z + noise * e.
SUBJECTS = ("mathematics", "physics", "history")
GRADE_MEANS, GRADE_LOADINGS, GRADE_NOISE = (65.0, 60.0, 70.0), (12.0, 9.0, 5.0), (6.0, 8.0, 10.0)


def draw_grades(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw n students: intelligence z ~ N(0, 1), float64 [n], and three grades in points, [n, 3],
    independent given z."""
    means, loadings, noise = (
        torch.tensor(v, dtype=torch.float64) for v in (GRADE_MEANS, GRADE_LOADINGS, GRADE_NOISE)
    )
    z = torch.randn(n, generator=generator, dtype=torch.float64)
    return z, means + loadings * z[:, None] + noise * torch.randn(
        n, 3, generator=generator, dtype=torch.float64
    )


# The ring on which GANs are tried (notebook 09): eight clusters of equal size, far apart.
RING_MODES, RING_RADIUS, RING_SIGMA = 8, math.sqrt(2), 0.1


def ring_centres() -> torch.Tensor:
    """Return the eight centres, float32 [8, 2], anticlockwise from (sqrt(2), 0)."""
    angle = 2 * math.pi * torch.arange(RING_MODES) / RING_MODES
    return RING_RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)


def draw_ring(n: int, generator: torch.Generator) -> torch.Tensor:
    """Draw n points from the ring, float32 [n, 2]: N(centre, 0.1^2 I) of a random centre.

    Each coordinate has mean 0 and variance 1.01.
    """
    centres = ring_centres()[torch.randint(RING_MODES, (n,), generator=generator)]
    return centres + RING_SIGMA * torch.randn(n, 2, generator=generator)


def ring_shares(points: torch.Tensor) -> torch.Tensor:
    """Return the share of points [N, 2] within three standard deviations of each centre, [8].

    Of the ring itself, each gets (1 - exp(-9/2)) / 8 = 12.36 %; what is missing in the sum lies
    between the clusters.
    """
    apart = torch.cdist(points.cpu(), ring_centres())
    at_home = apart.amin(dim=1) < 3 * RING_SIGMA
    return torch.bincount(apart.argmin(dim=1)[at_home], minlength=RING_MODES) / len(points)


def ring_contrast(points: torch.Tensor) -> float:
    """Return the mean of cos(8 angle) over points [N, 2]: how clearly the gaps are there.

    About exp(-0.16) = 0.85 for the ring, 0 for a plain circle, 1 if all points lie on the eight
    rays through the centres. It sees gaps, not losses: one cluster alone has that of all eight.
    """
    return (RING_MODES * torch.atan2(points[:, 1], points[:, 0])).cos().mean().item()
