"""One model under all measures of notebook 07, as its recorded study and its live run take them.

Each measure is ten values, [10], one for each tenth of the test images: their mean is the measure,
their scatter says what other images would have changed (`verdicts.effect`).
"""

import functools
from dataclasses import dataclass

from lecture_utils import data, evaluation, frechet, models
from lecture_utils.objectives import (
    bernoulli_log_likelihood,
    gaussian_kl,
    reparameterize,
    standard_normal_log_density,
)

import numpy as np
import sklearn
import torch
from scipy.special import hyp1f1, loggamma
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

N_BLOCKS = 10
N_LABELLED = 10_000  # training images, for probes and fitted densities
N_PAIRS = 2000  # test images in what needs all their distances, and in the curve
N_SAMPLES = 5000  # decoded codes in a Fréchet distance
LEVELS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9)  # of noise, in the curve
SOURCES = ("N(0, I)", "Gaussian", "mixture")


@dataclass(frozen=True, eq=False)
class Images:
    """What models are measured on: binary pixels [N, 784], labels [N]; the test set in a random
    order, so that image i belongs to tenth i % 10, and any first rows are a sample."""

    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor
    grey_test: torch.Tensor  # the same images, uint8 [N, 784]

    @functools.cached_property
    def test_features(self) -> torch.Tensor:
        """What a digit classifier sees in the test images, [N, 64] (`frechet.digit_features`)."""
        return frechet.digit_features(self.grey_test)


def images(mnist: data.MNIST) -> Images:
    """Return 10,000 training images at random, and all test images in random order."""
    rows = torch.randperm(len(mnist.train_images), generator=_seeded(7))[:N_LABELLED]
    order = data.test_subset(data.TEST_SIZE)
    return Images(
        data.binarize(mnist.train_images[rows], _seeded(7)),
        mnist.train_labels[rows],
        data.binary_test_set(mnist)[order],
        mnist.test_labels[order],
        mnist.test_images[order],
    )


def tenths(values: torch.Tensor) -> np.ndarray:
    """Return the means of values [N] over the tenths of the images, [10]; N is a multiple of 10."""
    return values.double().view(-1, N_BLOCKS).mean(dim=0).numpy()


def jackknifed(full: float, without: np.ndarray) -> np.ndarray:
    """Return ten values whose mean is `full`, from the estimates [10] without one tenth each.

    For a mean over images they are the means of the tenths; for others the jackknife's
    pseudo-values (Tukey 1958), shifted to the mean `full`.
    """
    without = np.asarray(without)
    return full + (N_BLOCKS - 1) * (without.mean() - without)


def energy_distance(z: torch.Tensor) -> np.ndarray:
    """Return `code_metrics.distance_to_normal` of z [N, J] as ten values."""
    z, dim = z.double(), z.shape[1]
    distances = torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist")
    pairs = _by_block(distances).numpy()  # [10, 10]: sums over pairs of images
    mean_norm = np.sqrt(2) * np.exp(loggamma(dim / 2 + 0.5) - loggamma(dim / 2))
    to_normal = mean_norm * hyp1f1(-0.5, dim / 2, -z.square().sum(dim=1).numpy() / 2)
    to_normal = to_normal.reshape(-1, N_BLOCKS).mean(axis=0)

    def estimate(kept):
        n = len(z) // N_BLOCKS * kept.sum()
        between = pairs[np.ix_(kept, kept)].sum() / (n * (n - 1))
        return 2 * to_normal[kept].mean() - between - np.sqrt(2) * mean_norm

    return _from_subsets(estimate)


def silhouette(z: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Return the mean silhouette of the classes (`code_metrics.silhouette`) on all of z [N, J], as
    ten values."""
    distances = torch.cdist(z.double(), z.double(), compute_mode="donot_use_mm_for_euclid_dist")
    block = torch.arange(len(z)) % N_BLOCKS
    n_classes = int(labels.max()) + 1
    member = torch.zeros(len(z), n_classes * N_BLOCKS, dtype=torch.float64)
    member[torch.arange(len(z)), labels * N_BLOCKS + block] = 1
    sums = (distances @ member).view(-1, n_classes, N_BLOCKS)  # distances to each class and block
    counts = member.sum(dim=0).view(n_classes, N_BLOCKS)

    def estimate(kept):
        kept = torch.from_numpy(kept)
        total, count = sums[..., kept].sum(dim=2), counts[:, kept].sum(dim=1)
        own = labels[:, None]
        inside = total.gather(1, own)[:, 0] / (count[labels] - 1).clamp(min=1)
        outside = (total / count.clamp(min=1)).masked_fill(count == 0, torch.inf)
        outside = outside.scatter(1, own, torch.inf).amin(dim=1)
        scores = (outside - inside) / torch.maximum(outside, inside)
        scores[count[labels] < 2] = 0
        return scores[kept[block]].mean().item()

    return _from_subsets(estimate)


def frechet_distance(samples: torch.Tensor, real_features: torch.Tensor) -> np.ndarray:
    """Return the Fréchet distance of samples [N, 784] to the test images, as ten values."""
    features = frechet.digit_features(samples)
    block = np.arange(len(real_features)) % N_BLOCKS
    return _from_subsets(
        lambda kept: frechet.frechet_distance(features, real_features[kept[block]])
    )


def density(z: torch.Tensor, components: int = 10, seed: int = 0) -> GaussianMixture:
    """Fit a Gaussian mixture to codes [N, J]; one component is a single Gaussian."""
    g = GaussianMixture(components, max_iter=30, tol=1e-2, random_state=seed)
    return g.fit(z.double().numpy())


def draw(g: GaussianMixture, n: int, seed: int) -> torch.Tensor:
    """Return n draws [n, J] from a fitted density, in random order (g.sample sorts them)."""
    g.random_state = np.random.RandomState(seed)
    return torch.tensor(g.sample(n)[0], dtype=torch.float32)[
        torch.randperm(n, generator=_seeded(seed))
    ]


def distribution(z, test_z, g, gaussian) -> dict[str, np.ndarray]:
    """How far are codes from N(0, I)? Fitted densities g and gaussian, codes [N, J] of new images.

    Whitened: after the affine map that gives the codes `z` mean 0 and covariance I. In nats that is
    what the mixture gains over the single Gaussian.
    """
    log_g, log_gaussian = (
        torch.from_numpy(each.score_samples(test_z.double().numpy())) for each in (g, gaussian)
    )
    return {
        "nats": tenths(log_g - standard_normal_log_density(test_z.double())),
        "nats whitened": tenths(log_g - log_gaussian),
        "energy": energy_distance(test_z[:N_PAIRS]),
        "energy whitened": energy_distance(whitened(z, test_z[:N_PAIRS])),
    }


def separation(z, labels, test_z, test_labels) -> dict[str, np.ndarray]:
    """How well do codes separate the classes? Codes [N, J], labels [N]."""
    return {
        "probe": tenths(_correct(_probe(), z, labels, test_z, test_labels)),
        "knn": tenths(_correct(_neighbours(), z, labels, test_z, test_labels)),
        "silhouette": silhouette(test_z[:N_PAIRS], test_labels[:N_PAIRS]),
        "silhouette whitened": silhouette(whitened(z, test_z[:N_PAIRS]), test_labels[:N_PAIRS]),
    }


def whitened(z: torch.Tensor, test_z: torch.Tensor) -> torch.Tensor:
    """Apply to test_z the affine map that gives z [N, J] mean 0 and covariance I; float64."""
    z, test_z = z.double(), test_z.double()
    root = torch.linalg.cholesky(torch.cov(z.T).reshape(z.shape[1], -1))
    return torch.linalg.solve_triangular(root, (test_z - z.mean(dim=0)).T, upper=False).T


@torch.no_grad()
def measure(model: models.EncoderDecoder, images: Images, seed: int) -> dict[str, np.ndarray]:
    """Return {measure: ten values [10]} of a trained AE, DAE or VAE that is on the CPU.

    `seed` fixes all that is drawn. A DAE is measured on three kinds of input: clean, corrupted as
    in its training, and the expected corruption (1 - nu) x + nu / 2; its names end accordingly.
    """
    found = {}
    for kind, views in views_of(model, images, seed).items():
        (z, test_z), (drawn, test_drawn) = views
        ending = "" if kind == "clean" else f" {kind}"
        g, gaussian = density(drawn, 10, seed), density(drawn, 1, seed)
        values = distribution(drawn, test_drawn, g, gaussian)
        values |= separation(z, images.train_labels, test_z, images.test_labels)
        found |= {name + ending: value for name, value in values.items()}
        if kind == "corrupted" or not isinstance(model, models.DenoisingAutoencoder):
            found |= generation(model, g, gaussian, images, seed)  # codes as the decoder knows them
    return found | reconstruction(model, images, seed)


@torch.no_grad()
def views_of(model, images: Images, seed: int) -> dict:
    """Return {kind of input: ((codes, test codes), (draws, test draws))}, each [N, J]; `model` is
    on the CPU.

    The code is the draw in AE and DAE; in the VAE it is the mean, and the draw is from q(z|x).
    """
    inputs = {"clean": lambda x: x}
    if isinstance(model, models.DenoisingAutoencoder):
        generator = _seeded(1000 + seed)
        inputs["corrupted"] = lambda x: models.corrupt(x, model.noise, generator)
        inputs["expected"] = lambda x: expected_corruption(x, model.noise)
    views = {}
    for kind, prepared in inputs.items():
        codes = [_codes(model, prepared, x) for x in (images.train, images.test)]
        views[kind] = (codes, codes)
    if isinstance(model, models.VAE):
        generator = _seeded(1000 + seed)
        draws = [
            reparameterize(*_encoded(model, x), generator) for x in (images.train, images.test)
        ]
        views["clean"] = (views["clean"][0], draws)
    return views


def _codes(model, prepared, x):
    """The codes [N, J] of prepared(x) for images x [N, D]."""
    return evaluation.in_parts(lambda part: model.code(prepared(part)), x)


def _encoded(model, x):
    """mu and logvar [N, J] of images [N, D]."""
    return evaluation.in_parts(lambda part: torch.stack(model.encode(part), dim=1), x).unbind(1)


def expected_corruption(x: torch.Tensor, noise: float) -> torch.Tensor:
    """Return the mean of corrupt(x, noise) over its noise."""
    return (1 - noise) * x + noise / 2


@torch.no_grad()
def generation(model, g, gaussian, images: Images, seed: int) -> dict[str, np.ndarray]:
    """Fréchet distances of decoded codes from N(0, I), from a fitted Gaussian and a mixture."""
    dim = g.means_.shape[1]
    codes = {
        "N(0, I)": torch.randn(N_SAMPLES, dim, generator=_seeded(2000 + seed)),
        "Gaussian": draw(gaussian, N_SAMPLES, 2000 + seed),
        "mixture": draw(g, N_SAMPLES, 2000 + seed),
    }
    return {
        f"frechet {source}": frechet_distance(_decoded(model, z), images.test_features)
        for source, z in codes.items()
    }


@torch.no_grad()
def reconstruction(model, images: Images, seed: int) -> dict[str, np.ndarray]:
    """-log p(x|z) in nats: at the code of the clean image, as trained, against noise; the KL; and
    the squared error at the code, in squared intensities."""
    x, generator = images.test, _seeded(3000 + seed)
    each = {}
    for rows in torch.arange(len(x)).split(1000):  # parts and filled tensors: `in_parts` says why
        for name, values in _reconstructed(model, x[rows], generator).items():
            each.setdefault(name, torch.empty(len(x)))[rows] = values
    found = {name: tenths(values) for name, values in each.items()}
    few = x[:N_PAIRS]
    for level in LEVELS:
        z = model.code(models.corrupt(few, level, _seeded(4000 + seed)))
        found[f"noise {level}"] = tenths(-model.log_likelihood(z, few))
    return found


def _reconstructed(model, x, generator):
    """The measures of reconstruction by name, of each image x [B, D], each [B]."""
    logits = model.decode(model.code(x))
    found = {
        "nats at code": -bernoulli_log_likelihood(logits, x),
        "squared error": (torch.sigmoid(logits) - x).square().sum(dim=1),
        "nats as trained": model.loss_terms(x, generator).reconstruction,
    }
    if isinstance(model, models.VAE):
        found["kl"] = gaussian_kl(*model.encode(x))
    if isinstance(model, models.DenoisingAutoencoder):
        z = model.code(expected_corruption(x, model.noise))
        found["nats at code expected"] = -model.log_likelihood(z, x)
    return found


def measure_pca(images: Images, dim: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The same measures for the first `dim` principal components, as far as PCA has them."""
    pca = PCA(dim, random_state=seed, svd_solver="covariance_eigh").fit(images.train.numpy())
    z, test_z = (
        torch.tensor(pca.transform(x.numpy())).float() for x in (images.train, images.test)
    )
    g, gaussian = density(z, 10, seed), density(z, 1, seed)
    back = torch.tensor(pca.inverse_transform(test_z.numpy()))
    return (
        distribution(z, test_z, g, gaussian)
        | separation(z, images.train_labels, test_z, images.test_labels)
        | generation(pca, g, gaussian, images, seed)
        | {"squared error": tenths((back - images.test).square().sum(dim=1))}
    )


def measure_pixels(images: Images) -> dict[str, np.ndarray]:
    """Separation by the 784 binary pixels themselves; whitening them is impossible (some never
    vary)."""
    sets = images.train, images.train_labels, images.test, images.test_labels
    return {
        "probe": tenths(_correct(_probe(), *sets)),
        "knn": tenths(_correct(_neighbours(), *sets)),
        "silhouette": silhouette(images.test[:N_PAIRS], images.test_labels[:N_PAIRS]),
    }


def _decoded(model, z):
    """Pixel probabilities [N, 784] of codes [N, J]; PCA's are cut to [0, 1]."""
    if isinstance(model, PCA):
        return torch.tensor(model.inverse_transform(z.numpy())).float().clamp(0, 1)
    return evaluation.in_parts(lambda part: torch.sigmoid(model.decode(part)), z)


def _probe():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _neighbours():
    return KNeighborsClassifier(10, algorithm="brute")


def _correct(classifier, z, labels, test_z, test_labels):
    """1 where the classifier, fitted to z [N, J] and labels [N], is right about test_z; float64."""
    with sklearn.config_context(working_memory=64):
        guess = classifier.fit(z.numpy(), labels.numpy()).predict(test_z.numpy())
    return torch.from_numpy(guess == test_labels.numpy()).double()


def _by_block(matrix):
    """Sums of a matrix [N, N] over the pairs of tenths, [10, 10]."""
    n = len(matrix) // N_BLOCKS
    return matrix.view(n, N_BLOCKS, n, N_BLOCKS).sum(dim=(0, 2))


def _from_subsets(estimate):
    """Ten values of an estimate that takes a mask of the tenths to keep, bool [10]."""
    everything = np.ones(N_BLOCKS, dtype=bool)
    without = [estimate(np.arange(N_BLOCKS) != block) for block in range(N_BLOCKS)]
    return jackknifed(estimate(everything), without)


def _seeded(seed):
    return torch.Generator().manual_seed(seed)
