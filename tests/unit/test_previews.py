"""The record of notebook 09, and what is taken from it."""

import math

from lecture_utils import previews
from lecture_utils.previews import FRECHET, GAIN, Claim, Record, Row

import pytest
from scipy import stats


def runs(measure, held_out, test):
    return [{"held out": {measure: a}, "test": {measure: b}} for a, b in zip(held_out, test)]


@pytest.fixture
def record():
    """Two short mixtures and a long one, and two GANs; the test images would choose otherwise."""
    content = {
        "runs": {
            "mixture": {
                "few": runs(GAIN, [1.0, 1.2, 1.1], [9.0, 9.1, 9.2]),
                "many": runs(GAIN, [2.0, 2.2, 2.1], [2.0, 2.3, 2.1]),
                "most": runs(GAIN, [3.0, 3.2, 3.1], [3.0, 3.2, 3.1]),
            },
            "GAN": {
                "slow": runs(FRECHET, [30.0, 10.0], [1.0, 1.0]),
                "fast": runs(FRECHET, [15.0, 15.0], [40.0, 60.0]),
            },
        },
        "settings": {"mixture": {"many": {"k": 5}}, "too long for the notebook": ["most"]},
    }
    return Record(content)


def test_held_out_images_choose_and_the_direction_is_that_of_the_measure(record):
    assert record.chosen("mixture") == Row("mixture", "many")
    assert record.chosen("mixture", however_long=True) == Row("mixture", "most")
    assert record.chosen("GAN") == Row("GAN", "fast")  # 15 in the mean, against 20
    assert record.options(record.chosen("mixture")) == {"k": 5}


def test_an_effect_is_paired_by_seed_and_judged_on_test_images(record):
    few, many = Row("mixture", "few"), Row("mixture", "many")
    effect = record.effect(Claim(GAIN, many, few))
    differences = [2.0 - 9.0, 2.3 - 9.1, 2.1 - 9.2]
    mean = sum(differences) / 3
    error = math.sqrt(sum((each - mean) ** 2 for each in differences) / 2 / 3)
    assert (effect.mean, effect.n) == (pytest.approx(mean), 3)
    assert effect.high - effect.mean == pytest.approx(stats.t.ppf(0.975, 2) * error)
    (less,) = previews.answer(record, [Claim(GAIN, many, few)])
    (more,) = previews.answer(record, [Claim(GAIN, few, many)])
    assert (less.outcome, more.outcome) == ("less", "more")
    assert previews.text_of(less).endswith("n = 3: less")


def test_two_seeds_far_apart_show_nothing_and_the_same_row_is_alike(record):
    slow, fast = Row("GAN", "slow"), Row("GAN", "fast")
    judged = previews.answer(record, [Claim(FRECHET, fast, slow), Claim(FRECHET, slow, slow)])
    assert [each.outcome for each in judged] == ["open", "alike"]


def test_one_seed_is_no_verdict():
    one = {"a": runs(GAIN, [1.0], [1.0]), "b": runs(GAIN, [5.0], [5.0])}
    record = Record({"runs": {"mixture": one}, "settings": {"too long for the notebook": []}})
    (judged,) = previews.answer(record, [Claim(GAIN, Row("mixture", "a"), Row("mixture", "b"))])
    assert judged.outcome == "missing" and judged.effect.mean == -4
