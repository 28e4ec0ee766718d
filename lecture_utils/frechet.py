"""How far are invented digits from real ones? A Fréchet distance in a digit classifier's
features, and two measures that need no network: grey where strokes should be black, and specks."""

import functools

from lecture_utils import data, evaluation, pretrained

import numpy as np
import torch
from scipy import ndimage
from torch import nn


def digit_features(images: torch.Tensor) -> torch.Tensor:
    """Return what a digit classifier sees in [N, 784] grey pixels: float32 [N, 64] on the CPU.

    `images` is uint8 0..255 or float in [0, 1] (pixel probabilities count as grey values). The
    features are the last hidden layer of a convolutional network trained on grey MNIST.
    Raises ValueError for other shapes and pixels.
    """
    if images.dim() != 2 or images.shape[1] != 784:
        raise ValueError(
            f"images have shape {list(images.shape)}, expected [N, 784]. Use images.flatten(1)."
        )
    is_grey = images.is_floating_point() and images.min() >= 0 and images.max() <= 1
    if images.dtype != torch.uint8 and not is_grey:
        raise ValueError(
            "Pixels must be uint8, or float in [0, 1]. Apply torch.sigmoid to a decoder's logits."
        )
    body = digit_classifier()[:-1]
    with torch.no_grad():
        # small parts: within the convolutions an image takes several times its memory
        return evaluation.in_parts(lambda part: body(data.to_grey(part.cpu())), images, 250)


@functools.cache
def digit_classifier() -> nn.Sequential:
    """Return the network, grey [B, 784] -> logits [B, 10] on the CPU, whose last hidden layer has
    the features.

    It comes trained, since distances are comparable only in the same features: trained anew, with
    another rounding, it would be another network. And it stays on the CPU, since a GPU may round
    more. Raises OSError for a missing or damaged file (`pretrained.restored`).
    """
    network = untrained_classifier()
    command = "python benchmarks/digit_classifier.py, and measure the records anew"
    return pretrained.restored(network, "digit_classifier", command)


def untrained_classifier() -> nn.Sequential:
    """Return the architecture of `digit_classifier`, with random weights."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 16, 5, stride=2, padding=2),  # [B, 16, 14, 14]
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),  # [B, 32, 7, 7]
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def frechet_distance(features_a: torch.Tensor, features_b: torch.Tensor) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to two sets of features, [N, F]
    and [M, F].

    `|mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)` with the covariances A and B (Dowson
    and Landau 1982; Heusel et al. 2017 on Inception features is the FID). It is 0 if means and
    covariances agree, and biased upwards by the sampling of N and M: compare sets of the same size.
    Raises ValueError for unequal F and fewer than 2 rows.
    """
    if features_a.dim() != 2 or features_b.dim() != 2 or features_a.shape[1] != features_b.shape[1]:
        raise ValueError(
            f"Features have shapes {list(features_a.shape)} and {list(features_b.shape)}, "
            "expected [N, F], [M, F]."
        )
    if min(len(features_a), len(features_b)) < 2:
        raise ValueError("A covariance needs at least 2 rows of features.")
    a, b = features_a.double().numpy(), features_b.double().numpy()
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    # Symmetric: no complex square roots, and singular matrices do no harm.
    values, vectors = np.linalg.eigh(cov_a)
    root_a = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root_a @ cov_b @ root_a).clip(min=0)).sum()
    difference = a.mean(axis=0) - b.mean(axis=0)
    return float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def grey_share(images: torch.Tensor) -> torch.Tensor:
    """Return the share of each image's ink that is grey, [N, D] in [0, 1] -> [N].

    Of the pixels above 0.1, those below 0.9. Blurred strokes have more of it than real ones,
    thresholded images none: neither is like a real image, so compare with the value of real ones.
    It is NaN for an empty image.
    """
    ink = images > 0.1
    return (ink & (images < 0.9)).sum(dim=1) / ink.sum(dim=1)


def pieces(images: torch.Tensor) -> torch.Tensor:
    """Return the number of connected pieces of ink in each image, [N, D] in [0, 1] -> int64 [N].

    Ink is what lies above 1/2, and pixels that touch at a corner are connected. Most real digits
    are one piece; specks and broken strokes are more. Raises ValueError if D is no square.
    """
    side = round(images.shape[-1] ** 0.5)
    if images.dim() != 2 or side * side != images.shape[1]:
        raise ValueError(f"images have shape {list(images.shape)}, expected [N, side * side].")
    ink = (images.reshape(-1, side, side) > 0.5).cpu().numpy()
    return torch.tensor([ndimage.label(image, np.ones((3, 3)))[1] for image in ink])
