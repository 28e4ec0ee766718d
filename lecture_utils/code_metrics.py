"""What codes are worth: do they separate the classes, and how far is the aggregate posterior from
the prior?

A module of its own, because scikit-learn takes more than a second to import, and most notebooks
train without it.
"""

import math

import sklearn
import torch
from scipy.special import hyp1f1
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def linear_probe(
    codes: torch.Tensor, labels: torch.Tensor, test_codes: torch.Tensor, test_labels: torch.Tensor
) -> float:
    """Return the test accuracy of a logistic regression on standardised codes [N, J] with labels
    [N] (Alain and Bengio 2016).

    It asks whether flat boundaries separate the classes. Standardising makes it blind to the scale
    of each coordinate.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return probe.fit(codes.numpy(), labels.numpy()).score(test_codes.numpy(), test_labels.numpy())


def knn_accuracy(
    codes: torch.Tensor,
    labels: torch.Tensor,
    test_codes: torch.Tensor,
    test_labels: torch.Tensor,
    n_neighbors: int = 10,
) -> float:
    """Return the test accuracy of the majority among the nearest codes [N, J] (Euclidean) with
    labels [N]."""
    neighbours = KNeighborsClassifier(n_neighbors, algorithm="brute")
    # All distances at once would fill a gigabyte.
    with sklearn.config_context(working_memory=64):
        return neighbours.fit(codes.numpy(), labels.numpy()).score(
            test_codes.numpy(), test_labels.numpy()
        )


def silhouette(codes: torch.Tensor, labels: torch.Tensor, n: int = 2000, seed: int = 0) -> float:
    """Return the mean silhouette of the classes on n codes drawn by `seed` from codes [N, J],
    labels [N] (Rousseeuw 1987).

    Each code scores (b - a) / max(a, b) in [-1, 1]: a is its mean Euclidean distance to its own
    class, b to the nearest other class. 1: tight classes far apart; 0: they touch; below 0: another
    class is nearer. Uses all codes if N <= n.
    """
    rows = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))[:n]
    return float(silhouette_score(codes[rows].numpy(), labels[rows].numpy()))


def distance_to_normal(z: torch.Tensor) -> float:
    """Return the energy distance between draws z [N, J] and N(0, I), an unbiased estimate (Szekely
    and Rizzo 2005).

    With Z, Z' from the distribution of z and Y, Y' from N(0, I), all independent, it is::

        2 E|Z - Y| - E|Z - Z'| - E|Y - Y'|,

    at least 0, and 0 only if z is N(0, I). The unit is that of z. Both expectations over Y are
    exact (closed form), the others are averages over all draws and all pairs of different draws;
    the estimate scatters about 0 for normal draws. Raises ValueError unless z is [N, J] with N >= 2
    and finite.
    """
    z = z.double()
    if z.dim() != 2 or len(z) < 2 or not torch.isfinite(z).all():
        raise ValueError(f"z must be finite and of shape [N, J] with N >= 2, got {list(z.shape)}.")
    half = z.shape[1] / 2
    # E|Y|; E|Y - Y'| is sqrt(2) of it.
    mean_norm = math.sqrt(2) * math.exp(math.lgamma(half + 0.5) - math.lgamma(half))
    # E|z - Y|, a mean of noncentral chi laws.
    to_normal = mean_norm * hyp1f1(-0.5, half, -z.square().sum(dim=1).numpy() / 2).mean()
    return float(2 * to_normal - torch.pdist(z).mean().item() - math.sqrt(2) * mean_norm)
