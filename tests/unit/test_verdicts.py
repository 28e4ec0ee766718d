"""The rule of notebook 07: what counts as a difference, and when a sentence holds."""

import itertools
import math

from lecture_utils import verdicts

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def test_the_variance_is_that_of_a_bootstrap_that_resamples_seeds_and_images_together():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 1)) + rng.normal(size=(1, 8)) + rng.normal(size=(6, 8))
    rows = rng.integers(6, size=(40_000, 6))
    columns = rng.integers(8, size=(40_000, 8))
    means = values[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))
    rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    parts = values.mean(1).var() / 6, values.mean(0).var() / 8, (rest**2).mean() / 48
    assert sum(parts) == pytest.approx(means.var(), rel=5 * math.sqrt(2 / 40_000))
    larger = parts[0] * 6 / 5 + parts[1] * 8 / 7 + parts[2] * 6 / 5 * 8 / 7
    assert verdicts.bootstrap_variance(values) == pytest.approx(larger, rel=1e-12)


def test_the_interval_covers_the_truth_whatever_chance_comes_from():
    """Of seeds, of images, of both together: 95 % at least, but for simulation error."""
    rng = np.random.default_rng(1)
    n_trials = 1500
    for seed_sd, image_sd, both_sd in ((1, 0, 0.1), (0, 1, 0.1), (0, 0, 1), (1, 1, 1)):
        for n in (3, 10):
            covered = 0
            for _ in range(n_trials):
                values = seed_sd * rng.normal(size=(n, 1)) + image_sd * rng.normal(size=(1, 10))
                effect = verdicts.effect(values + both_sd * rng.normal(size=(n, 10)))
                covered += effect.low < 0 < effect.high
            assert covered / n_trials > 0.95 - 4 * math.sqrt(0.95 * 0.05 / n_trials)


def test_resampling_seeds_alone_would_be_too_sure():
    """The reason for the images: where they are what varies, seeds alone say nothing of it."""
    rng = np.random.default_rng(2)
    alone = together = 0
    for _ in range(300):
        values = rng.normal(size=(1, 10)) + 0.1 * rng.normal(size=(10, 10))
        means = values.mean(axis=1)
        alone += abs(means.mean()) < 2.26 * means.std(ddof=1) / math.sqrt(10)
        effect = verdicts.effect(values)
        together += effect.low < 0 < effect.high
    assert alone < 100 and together > 270


def test_an_effect_is_paired_by_seed():
    rng = np.random.default_rng(3)
    luck = 5 * rng.normal(size=(10, 1))
    ours, theirs = 1 + luck + 0.01 * rng.normal(size=(2, 10, 10))
    assert verdicts.effect(ours + 0.1, theirs).mean == pytest.approx(0.1, abs=0.01)
    assert verdicts.effect(ours + 0.1, theirs).p < 1e-6
    assert verdicts.effect(ours + 0.1, theirs[::-1]).p > 1e-6  # the pairs torn apart


@pytest.mark.parametrize("n", [0, 1])
def test_one_seed_or_none_decides_nothing(n):
    effect = verdicts.effect(np.ones((n, 10)))
    assert effect.p == 1 and effect.error == math.inf and effect.n == n
    assert verdicts.outcome(effect, effect.p, 0.1) == "missing"


def test_a_difference_without_any_scatter():
    assert verdicts.effect(np.ones((3, 10))).p == 0
    assert verdicts.effect(np.zeros((3, 10))).p == 1


def test_holm_on_the_textbook_example():
    assert verdicts.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert verdicts.holm([]) == [] and verdicts.holm([0.9, 0.8]) == [1.0, 1.0]


def effect_of(mean, error=0.1):
    return verdicts.Effect(mean, error, mean - 2 * error, mean + 2 * error, 0.001, 10)


@pytest.mark.parametrize(
    "effect, p, expected",
    [
        (effect_of(1.5), 0.01, "better"),
        (effect_of(-1.5), 0.01, "worse"),
        (effect_of(1.5), 0.06, "open"),  # large, but perhaps luck
        (effect_of(0.9), 0.01, "open"),  # sure, but perhaps too small to matter
        (effect_of(0.5), 0.01, "alike"),  # sure, and surely too small to matter
        (effect_of(0.0, 1.0), 1.0, "open"),
        (effect_of(math.nan), 1.0, "open"),
    ],
)
def test_outcomes(effect, p, expected):
    assert verdicts.outcome(effect, p, matters=1.0) == expected
    mirror = {"better": "worse", "worse": "better"}.get(expected, expected)
    assert verdicts.outcome(effect, p, matters=1.0, lower_is_better=True) == mirror


@pytest.mark.parametrize(
    "outcomes, word",
    [
        (["better", "better"], "HOLDS"),
        (["better", "alike"], "HOLDS IN PART"),
        (["better", "open"], "HOLDS IN PART"),
        (["better", "better", "worse"], "DOES NOT HOLD"),  # wins do not pay for a loss
        (["alike", "alike"], "DOES NOT HOLD"),
        (["alike", "open"], "NOT SHOWN"),
        (["open"], "NOT SHOWN"),
        (["missing", "better"], "HOLDS"),
        (["missing"], "NOT RECORDED"),
        ([], "NOT RECORDED"),
    ],
)
def test_the_word_for_a_sentence(outcomes, word):
    assert verdicts.verdict(outcomes) == word


def test_a_win_more_never_makes_a_verdict_worse_and_a_loss_never_better():
    ranking = ["DOES NOT HOLD", "NOT SHOWN", "HOLDS IN PART", "HOLDS"]
    kinds = ("better", "worse", "alike", "open")
    for outcomes in itertools.product(kinds, repeat=3):
        word = verdicts.verdict(outcomes)
        better = verdicts.verdict(("better", *outcomes[1:]))
        worse = verdicts.verdict(("worse", *outcomes[1:]))
        assert ranking.index(worse) <= ranking.index(word) <= ranking.index(better)


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(st.lists(numbers, min_size=4, max_size=4), max_size=5))
def test_the_words_cannot_fail_whatever_the_numbers_are(rows):
    with np.errstate(all="ignore"):
        effect = verdicts.effect(np.array(rows).reshape(-1, 4))
    (p,) = verdicts.holm([effect.p])
    word = verdicts.verdict([verdicts.outcome(effect, p, matters=0.1)])
    words = ("HOLDS", "HOLDS IN PART", "DOES NOT HOLD", "NOT SHOWN", "NOT RECORDED")
    assert word in words
