"""The Fréchet distance on exact values, and the classifier behind it."""

import json
import math

from lecture_utils import comparison, frechet, models, pretrained, records, study
from lecture_utils.data import binarize

import numpy as np
import pytest
import scipy.linalg
import torch

from tests.tolerances import assert_near, rounding

TERMS = 25 + 16 * 25 + 32 * 49  # what the classifier's layers below the features add up


def with_moments(mean, covariance, n=200, seed=0):
    """Rows whose sample mean and covariance are exactly these, up to rounding."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return torch.tensor(x @ np.linalg.cholesky(covariance).T + np.asarray(mean))


def test_frechet_distance_of_gaussians_in_closed_form():
    """For diagonal covariances it is |mean difference|^2 + sum of (sigma_a - sigma_b)^2."""
    a = with_moments([0.0, 1.0, 2.0], np.diag([1.0, 4.0, 9.0]))
    b = with_moments([1.0, 1.0, 0.0], np.diag([4.0, 4.0, 0.25]), seed=1)
    assert frechet.frechet_distance(a, b) == pytest.approx(5 + 1 + 0 + 2.5**2, rel=1e-9)


def test_frechet_distance_against_scipys_matrix_root():
    """Covariances that do not commute, where the root of a product is not the product of roots."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 5, 5))
    cov_a, cov_b = first @ first.T + np.eye(5), second @ second.T + 0.1 * np.eye(5)
    mean = rng.normal(size=5)
    exact = mean @ mean + np.trace(cov_a + cov_b - 2 * scipy.linalg.sqrtm(cov_a @ cov_b).real)
    a, b = with_moments(np.zeros(5), cov_a), with_moments(mean, cov_b, seed=1)
    assert frechet.frechet_distance(a, b) == pytest.approx(exact, rel=1e-8)
    assert frechet.frechet_distance(b, a) == pytest.approx(exact, rel=1e-8)


def test_frechet_distance_has_a_known_zero_and_survives_singular_covariances():
    x = torch.randn(10, 30, generator=torch.Generator().manual_seed(0))  # fewer rows than features
    # The root of an eigenvalue that is 0 but for rounding is as large as the root of eps.
    of_a_root = 30 * math.sqrt(rounding(30, scale=10, dtype=torch.float64))
    assert frechet.frechet_distance(x, x) == pytest.approx(0, abs=of_a_root)
    assert frechet.frechet_distance(x, x.flip(0)) == pytest.approx(0, abs=of_a_root)
    assert frechet.frechet_distance(x, x + 2) == pytest.approx(4 * 30, rel=1e-5)
    assert frechet.frechet_distance(x, x.mean(dim=0).expand(10, -1)) == pytest.approx(
        x.var(dim=0).sum().item(), rel=1e-5
    )


def test_frechet_distance_refuses_what_it_cannot_compare():
    with pytest.raises(ValueError, match=r"\[N, F\]"):
        frechet.frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4))
    with pytest.raises(ValueError, match="at least 2 rows"):
        frechet.frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))


def test_digit_features_tell_digits_apart(mnist):
    features = frechet.digit_features(mnist.test_images)
    assert (
        features.shape == (10_000, 64) and features.dtype == torch.float32 and (features >= 0).all()
    )
    with torch.no_grad():
        logits = frechet.digit_classifier()[-1](features)
    accuracy = (logits.argmax(dim=1) == mnist.test_labels).double().mean()
    record = json.loads((pretrained.FOLDER / "digit_classifier.json").read_text(encoding="utf-8"))
    # Rounding may decide a digit or two that two classes claim alike.
    assert accuracy == pytest.approx(record["test accuracy"], abs=3e-4) and accuracy > 0.98


def test_the_record_of_09_was_measured_in_these_features():
    """Trained on two threads instead of one it was another classifier: 1.29 instead of 1.27."""
    import benchmarks.previews as script

    recorded = records.load("previews")["runs"]["frame"]["real images"]
    for seed in (1, 3):
        real = script.Data().real(seed)["test"]
        found, kept = script.judged(real.images, real), recorded[seed]["test"]
        assert found["frechet"] == pytest.approx(kept["frechet"], abs=0.011)  # rounded to 0.01
        few = 3 / len(real.images)  # digits that rounding decides
        assert found["digits"] == pytest.approx(kept["digits"], abs=few)


@pytest.mark.slow
def test_the_record_of_07_was_measured_in_these_features(mnist):
    """That other classifier sees PCA's images 419.1 instead of 417.6 from real ones."""
    (cell,) = {cell for cell, *_ in study.read() if cell.kind == "PCA" and cell.latent == 20}
    images = comparison.images(mnist)
    found = comparison.measure_pca(images, 20)["frechet N(0, I)"].mean()
    # float32's rounding turns components of nearly equal variance by some 1e-4.
    assert found == pytest.approx(study.Study().means(cell, "frechet N(0, I)")[0], rel=5e-4)


def test_a_missing_classifier_is_named_with_its_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    frechet.digit_classifier.cache_clear()
    with pytest.raises(OSError, match=r"(?s)digit_classifier.*git checkout.*python benchmarks"):
        frechet.digit_features(torch.zeros(2, 784))


def test_digit_features_take_uint8_and_floats_alike_and_one_by_one(mnist):
    images = mnist.test_images[:1003]
    features = frechet.digit_features(images)
    assert_near(features, frechet.digit_features(images / 255), TERMS)
    assert_near(features[-1:], frechet.digit_features(images[-1:]), TERMS)


def test_digit_features_refuse_logits_and_wrong_shapes():
    with pytest.raises(ValueError, match="sigmoid"):
        frechet.digit_features(torch.full((2, 784), 3.0))
    with pytest.raises(ValueError, match="784"):
        frechet.digit_features(torch.zeros(2, 1, 28, 28))


def test_frechet_distance_grows_with_what_is_wrong_with_the_images(mnist):
    """Two halves of real digits are near each other; binarising, noise and a missing class each
    move them apart.
    """
    real, other = mnist.train_images[:5000], mnist.train_images[5000:10_000]
    reference = frechet.digit_features(real)

    def distance(images):
        return frechet.frechet_distance(reference, frechet.digit_features(images))

    floor = distance(other)
    g = torch.Generator().manual_seed(0)
    light, heavy = (distance(models.corrupt(other / 255, noise, g)) for noise in (0.05, 0.3))
    assert floor < distance(binarize(other, g)) < heavy
    assert floor < light < heavy
    assert floor < distance(other[mnist.train_labels[5000:10_000] != 3])


# Two measures without a network


def disc(radius, softness):
    """A dot in the middle of 28 x 28 pixels, its edge a ramp of 2 `softness` pixels; [1, 784]."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    apart = ((x - 13.5) ** 2 + (y - 13.5) ** 2).sqrt()
    return ((radius - apart) / (2 * softness) + 0.5).clamp(0, 1).reshape(1, -1)


def test_the_grey_share_is_that_of_the_inked_pixels():
    image = torch.zeros(1, 16)
    image[0, :5] = torch.tensor([0.05, 0.5, 0.8, 0.95, 1.0])
    assert frechet.grey_share(image).item() == 0.5
    assert torch.isnan(frechet.grey_share(torch.zeros(1, 16))).all()


def test_blur_has_more_grey_than_a_sharp_edge_and_a_threshold_none():
    sharp, soft = disc(6, 0.5), disc(6, 3.0)
    assert frechet.grey_share(soft) > 2 * frechet.grey_share(sharp)
    assert frechet.grey_share((soft > 0.5).float()) == 0


def test_specks_and_broken_strokes_are_pieces():
    image = torch.zeros(4, 10, 10)
    image[1:, 2:4, 2:4] = 1
    image[2, 4, 4] = 1  # touches at a corner
    image[3, 8, 8] = 1  # a speck
    image[3, 0, 9] = 0.4  # too faint
    assert frechet.pieces(image.flatten(1)).tolist() == [0, 1, 1, 2]
    with pytest.raises(ValueError, match="side"):
        frechet.pieces(torch.zeros(2, 15))


@pytest.mark.slow
def test_most_real_digits_are_one_piece_and_their_neighbours_in_a_stack_do_not_count(mnist):
    images = mnist.test_images[:500] / 255
    counts = frechet.pieces(images)
    assert (counts == 1).float().mean() > 0.9
    assert torch.equal(counts[250:], frechet.pieces(images[250:]))
