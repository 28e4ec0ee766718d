"""The record of notebook 09, and what is taken from it."""

import math

from lecture_utils import previews
from lecture_utils.previews import APART, FRECHET, GAIN, GREY, TORN, Claim, Record, Row

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


# What notebook 09 says of the record in words: here it is held to the numbers.

REAL, CODES, PRIOR = (Row("frame", name) for name in ("real images", "real codes", "N(0, I)"))


@pytest.fixture(scope="module")
def recorded():
    return Record()


def outcomes(record, *claims):
    return [judged.outcome for judged in previews.answer(record, [Claim(*c) for c in claims])]


def test_09_on_the_ring(recorded):
    runs = recorded.ring()
    clusters = {
        name: [sum(share >= 0.01 for share in run["shares"]) for run in each]
        for name, each in runs.items()
    }
    contrast = {name: [run["contrast"] for run in each] for name, each in runs.items()}
    at_home = {name: [sum(run["shares"]) for run in each] for name, each in runs.items()}
    equal, faster = "GAN, D 0.001, g 0.001", "GAN, D 0.001, g 0.004"
    of_the_ring = math.exp(-0.16)  # toy_data.ring_contrast
    assert clusters[f"{equal}, 800 steps"] == [8, 8, 2]
    assert max(contrast[f"{equal}, 800 steps"]) < of_the_ring / 2
    assert clusters[f"{equal}, 4000 steps"] == [8, 8, 8]
    assert min(contrast[f"{equal}, 4000 steps"]) > 0.7
    assert clusters[f"{faster}, 800 steps"] == [1, 1, 1]
    assert sorted(clusters[f"{faster}, 4000 steps"]) == [0, 0, 8]
    assert sorted(contrast[f"{faster}, 4000 steps"])[1] < 0
    assert max(contrast[f"{faster}, 4000 steps"]) < of_the_ring / 2
    assert clusters["diffusion, 800 steps"] == clusters["diffusion, 4000 steps"] == [8, 8, 8]
    assert max(map(abs, contrast["diffusion, 800 steps"])) < 0.02
    assert min(at_home["diffusion, 4000 steps"]) > 0.88
    assert min(contrast["diffusion, 4000 steps"]) > 0.6
    assert max(at_home[f"{faster}, 800 steps"]) < 0.5


def test_09_on_the_speed_of_the_generator(recorded):
    twice, equal, half = (
        {
            images: recorded.values(Row("GAN", f"g {speed} fast as D"), FRECHET, images)
            for images in ("held out", "test")
        }
        for speed in ("twice as", "as", "half as")
    )
    for images, values in twice.items():
        assert len(values) == 10
        assert (values < equal[images]).all() and (values < half[images]).all()
    prior = recorded.values(PRIOR, FRECHET)
    assert (half["test"] > prior).all() and (half["test"] > 1000).sum() == 6
    assert (equal["test"] > 1000).sum() == 2 and (equal["test"] > prior).sum() == 2
    digits = recorded.values(Row("GAN", "g half as fast as D"), "digits")
    assert (digits.max(axis=1) == 1).sum() == 6
    digits = recorded.values(Row("GAN", "g as fast as D"), "digits")
    assert (digits.max(axis=1) == 1).sum() == 1


def test_09_on_the_gain_in_nats(recorded):
    rival, network = recorded.chosen("mixture"), recorded.chosen("diffusion")
    pairs = [(rival, network)]
    pairs += [(Row(f"VAE {n}", rival.setting), Row(f"VAE {n}", network.setting)) for n in (1, 2)]
    for mixture, diffusion in pairs:
        assert (recorded.values(mixture, GAIN) - recorded.values(diffusion, GAIN) > 0.45).all()
        assert (recorded.values(mixture, GAIN) - recorded.values(diffusion, GAIN) < 1.05).all()
        assert abs(recorded.values(mixture, GAIN).mean() - 4) < 0.2
        assert (recorded.values(diffusion, GAIN) > 3).all()
    assert outcomes(recorded, *((GAIN, *pair) for pair in pairs)) == ["open"] * 3
    behind = recorded.values(rival, GAIN) - recorded.values(Row("diffusion", "1000 steps"), GAIN)
    assert (behind > 2).all()
    best = [recorded.chosen(part, however_long=True) for part in ("mixture", "diffusion")]
    assert outcomes(recorded, (GAIN, *best)) == ["alike"]
    for part, order in {
        "mixture": ("1 component", "20 components", "50 components", "100 components"),
        "diffusion": ("1000 steps", "3000 steps", "10000 steps"),
    }.items():
        means = [recorded.values(Row(part, setting), GAIN).mean() for setting in order]
        assert means == sorted(means)
    wide, narrow = (Row("diffusion", f"10000 steps{w}") for w in (", twice as wide", ""))
    assert (recorded.values(wide, GAIN) > recorded.values(narrow, GAIN)).all()
    assert (recorded.values(Row("mixture", "1 component"), GAIN) < 0.25).all()
    lost = recorded.values(rival, "lost by the chain (nats)")
    error = recorded.values(rival, "lost by the chain, s.e.")
    assert (lost + 2 * error < 0.25).all()


def test_09_on_grey_and_pieces(recorded):
    rows = recorded.chosen("mixture"), recorded.chosen("diffusion"), CODES, PRIOR
    made = recorded.chosen("GAN")
    grey, real = recorded.values(made, GREY), recorded.values(REAL, GREY)
    assert ((grey < real).sum(), (grey > real).sum()) == (7, 3)
    for row in rows:
        of_row = recorded.values(row, GREY)
        n = len(of_row)
        assert (of_row > real[:n]).all() and (grey[:n] < of_row).all()
        assert (abs(grey - real)[:n] < of_row - real[:n]).all()
    assert outcomes(recorded, (GREY, made, REAL), (GREY, made, CODES)) == ["open", "less"]
    for row in rows[:-1]:
        n = len(recorded.values(row, GREY))
        assert (recorded.values(row, GREY) < recorded.values(PRIOR, GREY)[:n]).all()
    assert (recorded.values(CODES, TORN) > recorded.values(REAL, TORN)).all()
    assert outcomes(recorded, (GREY, CODES, REAL), (TORN, CODES, REAL)) == ["more"] * 2
    assert (recorded.values(made, TORN) > 0.5).sum() == 9
    assert (recorded.values(PRIOR, TORN) > 0.5).all()


def less_with_each_seed(record, measure, *rows):
    """Of each row and the next, the first has less with each seed that both have."""
    values = [record.values(row, measure) for row in rows]
    return all((a[: len(b)] < b[: len(a)]).all() for a, b in zip(values, values[1:]))


def test_09_on_the_frechet_distance(recorded):
    rival, network, made = (recorded.chosen(part) for part in ("mixture", "diffusion", "GAN"))
    best = [recorded.chosen(part, however_long=True) for part in ("mixture", "diffusion")]
    assert less_with_each_seed(recorded, FRECHET, REAL, CODES, rival, network, made, PRIOR)
    assert less_with_each_seed(recorded, FRECHET, *best)
    claims = [(CODES, REAL), (rival, CODES), (network, rival), (best[1], best[0])]
    claims += [(PRIOR, network), (made, network), (PRIOR, made)]
    judged = outcomes(recorded, *((FRECHET, *pair) for pair in claims))
    assert judged == ["open"] + ["more"] * 6
    prior, codes = recorded.values(PRIOR, FRECHET)[:3], recorded.values(CODES, FRECHET)[:3]
    for row in (rival, network):  # "mend most of that"
        assert (recorded.values(row, FRECHET) - codes < (prior - codes) / 4).all()


def test_09_on_the_digits(recorded):
    rival, network, made = (recorded.chosen(part) for part in ("mixture", "diffusion", "GAN"))
    for row in (REAL, made, PRIOR, network, rival):
        assert recorded.values(row, "digits").min() > 0.03
    assert less_with_each_seed(recorded, APART, network, made, PRIOR)
    assert less_with_each_seed(recorded, APART, rival, PRIOR)
    claims = (APART, PRIOR, network), (APART, PRIOR, made), (APART, made, network)
    assert outcomes(recorded, *claims) == ["more"] * 3
