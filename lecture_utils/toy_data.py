"""The toy data of notebooks 01 and 02: a few digits as points in a plane, and the grades of the
lecture.

A module of its own, because scikit-learn takes more than a second to import, and MNIST alone does
not need it.
"""

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
