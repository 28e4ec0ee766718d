"""The record of the study of notebook 07, and the answers that are taken from it."""

import itertools
import math
from functools import partial

from lecture_utils import comparison, study, verdicts

import numpy as np
import pytest
import torch

from tests.helpers import seeded

VAE, AE = study.model_cell("VAE"), study.model_cell("AE")
SETTINGS = ("float32", "AVX2")


def ten(mean, seed=0, spread=0.01):
    return mean + spread * np.random.default_rng(seed).normal(size=comparison.N_BLOCKS)


def test_what_is_written_is_read_again(tmp_path):
    file = tmp_path / "study.csv"
    written = {"probe": ten(0.9), "frechet N(0, I)": ten(120.0, spread=3)}
    study.append(file, VAE, 4, *SETTINGS, written)
    ((cell, seed, *settings, found),) = study.read(file)
    assert (cell, seed, tuple(settings)) == (VAE, 4, SETTINGS)
    for measure, values in written.items():
        step = study.matters(measure) / study.STEPS
        assert found[measure] == pytest.approx(values, abs=step)
        assert found[measure].mean() == pytest.approx(values.mean(), rel=1e-6)


def test_a_killed_run_loses_only_itself(tmp_path):
    file = tmp_path / "study.csv"
    study.append(file, VAE, 0, *SETTINGS, {"probe": ten(0.9)})
    whole = file.read_text()
    study.append(file, VAE, 1, *SETTINGS, {"probe": ten(0.8)})
    for cut in (1, 20):
        file.write_text(whole + file.read_text()[len(whole) : -cut])
        assert [seed for _, seed, *_ in study.read(file)] == [0]
        study.append(file, VAE, 1, *SETTINGS, {"probe": ten(0.8)})
        assert [seed for _, seed, *_ in study.read(file)] == [0, 1]


def test_no_record_is_no_runs_and_no_answer(tmp_path):
    empty = study.Study(tmp_path / "none.csv")
    assert empty.seeds(VAE) == []
    judged = study.answer(empty, study.normality() + study.separation())
    assert {each.outcome for each in judged} == {"missing"} and judged[0].effect.n == 0
    assert math.isnan(judged[0].effect.mean)


def write(file, cell, measure, mean, seeds, settings=SETTINGS):
    for seed in seeds:
        study.append(file, cell, seed, *settings, {measure: ten(mean, seed)})


def test_only_seeds_that_both_have_are_compared_and_only_of_one_precision(tmp_path):
    file = tmp_path / "study.csv"
    write(file, VAE, "knn", 0.95, range(6))
    write(file, AE, "knn", 0.90, range(2, 9))
    write(file, AE, "knn", 0.10, range(2), ("bfloat16", "AVX512"))
    (judged,) = study.answer(study.Study(file), [study.Comparison("knn", VAE, AE)])
    assert judged.effect.n == 4 and judged.effect.mean == pytest.approx(0.05, abs=1e-3)
    assert judged.outcome == "better"
    few = study.answer(study.Study(file), [study.Comparison("knn", VAE, AE)], seeds=[5, 6, 7])
    assert few[0].effect.n == 1 and few[0].outcome == "missing"
    assert study.Study(file, "bfloat16").seeds(AE) == [0, 1]


def test_the_seeds_of_two_records_are_those_with_every_cell_in_both(tmp_path):
    file = tmp_path / "study.csv"
    for settings, of_vae, of_ae in (
        (SETTINGS, range(6), range(2, 9)),
        (("bfloat16", "AVX512"), range(1, 5), range(9)),
    ):
        write(file, VAE, "nats", 3.0, of_vae, settings)
        write(file, AE, "nats", 3.0, of_ae, settings)
    records = study.Study(file), study.Study(file, "bfloat16")
    claim, against_zero = study.Comparison("nats", VAE, AE), study.Comparison("nats", VAE, None)
    assert study.seeds_of_both([claim], *records) == [2, 3, 4]
    assert study.seeds_of_both([against_zero], *records) == [1, 2, 3, 4]
    nobody = study.Comparison("nats", VAE, study.model_cell("DAE"))
    assert study.seeds_of_both([nobody], *records) == []


def test_less_is_better_in_a_distance(tmp_path):
    file = tmp_path / "study.csv"
    write(file, VAE, "frechet mixture", 30.0, range(5))
    write(file, AE, "frechet mixture", 20.0, range(5))
    claim = study.Comparison("frechet mixture", VAE, AE)
    assert study.answer(study.Study(file), [claim])[0].outcome == "worse"


@pytest.mark.parametrize("nats, outcome", [(0.01, "better"), (2.5, "worse")])
def test_a_distance_is_held_against_nought(nats, outcome, tmp_path):
    file = tmp_path / "study.csv"
    write(file, VAE, "nats", nats, range(5))
    claims = study.normal_literally(epochs=(2,))[:1]
    assert study.answer(study.Study(file), claims)[0].outcome == outcome


def test_a_map_has_a_sign_for_each_cell_and_none_for_what_was_not_recorded(tmp_path):
    file = tmp_path / "study.csv"
    write(file, VAE, "nats", 5.0, range(3))
    write(file, AE, "nats", 9.0, range(3))
    write(file, VAE, "knn", 0.90, range(3))
    write(file, AE, "knn", 0.95, range(3))
    claims = [study.Comparison("nats", VAE, AE), study.Comparison("knn", VAE, AE)]
    values, signs = study.sign_map(study.Study(file), [claims, [claims[0]._replace(ours=AE)] * 2])
    assert values[0] == pytest.approx([4, -10], abs=0.1)
    assert signs.tolist() == [["+", "−"], ["=", "="]]
    missing = [study.Comparison("nats", study.model_cell("DAE"), AE)]
    values, signs = study.sign_map(study.Study(file), [missing])
    assert np.isnan(values).all() and signs.tolist() == [[""]]


def test_the_questions_ask_for_measures_that_are_recorded():
    questions = [study.normality(), study.normal_literally(), study.only_the_vae()]
    questions += [study.separation(view=view) for view in ("expected", "corrupted", "clean")]
    questions += [study.like_for_like(), study.prior_suffices(), study.robustness(0.3)]
    names = set(study.measure_names())
    for claim in sum(questions, []):
        assert {claim.measure, claim.other} <= names
        assert study.matters(claim.measure) == study.matters(claim.other)
        assert study.lower_is_better(claim.measure) == study.lower_is_better(claim.other)
    assert len(study.separation()) == 24 == len(set(study.separation()))


def test_products_in_bfloat16_are_summed_exactly_and_rounded_once():
    """Whole numbers below 2^24 are exact in float32, in whatever order they are added."""
    import benchmarks.study as script

    x, weights, bias = (
        torch.randint(-128, 129, shape, generator=seeded(seed))
        for seed, shape in enumerate([(30, 300), (300, 40), (40,)])
    )
    with script.rounded_products():
        left, right = x.bfloat16().requires_grad_(), weights.bfloat16().requires_grad_()
        product = torch.addmm(bias.bfloat16(), left, right)
        product.backward(torch.ones_like(product))
        in_float32 = x.float() @ weights.float()
    assert torch.equal(product, (x @ weights + bias).float().bfloat16())
    ones = torch.ones_like(x @ weights)
    assert torch.equal(left.grad, (ones @ weights.T).float().bfloat16())
    assert torch.equal(right.grad, (x.T @ ones).float().bfloat16())
    assert torch.equal(in_float32, (x @ weights).float())


def test_the_plan_is_the_issue_s():
    import benchmarks.study as script

    runs = list(dict.fromkeys(script.plan()))
    trained = [run for run in runs if run[0] not in script.BASELINES]
    assert len(study.CORE) == 9 and len(study.GRID) == 40 and len(set(study.GRID)) == 40
    assert len(trained) == 9 * 20 + len(study.OTHERS) * 10
    assert runs.index((study.CORE[0], 2)) < runs.index((study.OTHERS[0], 0))


def test_the_committed_record_can_be_read_and_its_numbers_are_possible():
    runs = list(study.read())
    assert runs
    keys = [(cell, seed, precision) for cell, seed, precision, *_ in runs]
    assert len(keys) == len(set(keys))
    for cell, _, precision, machine, measures in runs:
        assert precision in ("float32", "bfloat16") and machine
        assert 0.1 < measures["probe"].mean() < 1 and -1 < measures["silhouette"].mean() < 1
        if cell.kind == "DAE":
            assert measures["nats as trained"].mean() == pytest.approx(
                measures.get(f"noise {cell.noise}", measures["nats as trained"]).mean(), rel=0.05
            )


def test_every_recorded_verdict_is_one_of_four_words():
    recorded = study.Study()
    for claims in (study.normality(), study.separation(), study.only_the_vae()):
        outcomes = [each.outcome for each in study.answer(recorded, claims)]
        words = {"HOLDS", "HOLDS IN PART", "DOES NOT HOLD", "NOT SHOWN"}  # and not "NOT RECORDED"
        assert verdicts.verdict(outcomes) in words


def recorded_means(study_, measure, *cells):
    return [np.mean(study_.means(cell, measure)) for cell in cells]


def test_what_notebook_07_says_in_prose_is_true_of_the_record():
    recorded = study.Study()
    pixels, pca = study.Cell("pixels", 0.0, 784, 0), study.Cell("PCA", 0.0, 20, 0)
    for epochs in study.CORE_EPOCHS:
        ae, dae, vae = cells = [study.model_cell(n, 20, epochs) for n in ("AE", "DAE", "VAE")]
        if not recorded.seeds(*cells):
            continue
        # "Of the energy distance of AE and DAE little is shape, of their nats much more, and of
        # the VAE's nats nearly all."
        shares = {}
        for cell, ending in ((ae, ""), (dae, " corrupted"), (vae, "")):
            for measure in ("energy", "nats"):
                whole, shape = (
                    recorded_means(recorded, name + ending, cell)[0]
                    for name in (measure, f"{measure} whitened")
                )
                shares[cell.kind, measure] = shape / whole
        for kind in ("AE", "DAE"):
            assert shares[kind, "energy"] < 0.15 and shares[kind, "nats"] > 0.25
        assert shares["VAE", "nats"] > 0.8
        # "the little which shape adds is a large share" of the VAE's energy distance
        assert shares["VAE", "energy"] > 0.4
        # "By kNN all codes in this table have purer neighbourhoods than the plain pixels."
        of_pixels = recorded_means(recorded, "knn", pixels)[0]
        of_codes = [
            *recorded_means(recorded, "knn", pca, ae, vae),
            *recorded_means(recorded, "knn expected", dae),
        ]
        assert min(of_codes) > of_pixels
        # "The DAE's first row is not what it can do: it is the strange input again."
        clean, expected = (
            recorded_means(recorded, f"nats at code{ending}", dae)[0]
            for ending in ("", " expected")
        )
        assert clean > expected + 1
        # "We know where the real images live" is no privilege: AE with a mixture, VAE's prior.
        fitted = recorded_means(recorded, "frechet mixture", ae)
        assert fitted < recorded_means(recorded, "frechet N(0, I)", vae)


def outcomes(recorded, claims):
    """{(row, epochs): outcome} of a question."""
    judged = study.answer(recorded, claims)
    return {
        (study.row_of(each.comparison), each.comparison.ours.epochs): each.outcome
        for each in judged
    }


def test_at_no_dimension_does_the_prior_suffice():
    """Nor is it as good as a mixture for the AE of the same J (07)."""
    claims = study.prior_suffices()
    for latent, epochs in itertools.product(study.LATENTS, study.EPOCHS):
        vae, ae = (study.model_cell(name, latent, epochs) for name in ("VAE", "AE"))
        claims.append(study.Comparison("frechet N(0, I)", vae, ae, "frechet mixture"))
    assert {each.outcome for each in study.answer(study.Study(), claims)} == {"worse"}
    assert len(claims) == 2 * 4 * 2


def test_the_conditions_that_notebook_07_names_are_those_of_the_record():
    recorded = study.Study()
    # "The VAE's codes are nearer to N(0, I) than those of AE and DAE by three of four measures, by
    # the fourth alike, and are not N(0, I)."
    assert study.word(study.answer(recorded, study.normality())) == "HOLDS IN PART"
    for (row, _), outcome in outcomes(recorded, study.normality()).items():
        assert outcome == ("alike" if row.startswith("energy whitened") else "better")
    assert study.word(study.answer(recorded, study.normal_literally())) == "DOES NOT HOLD"
    # "better than the VAE by all measures but kNN, and better than the AE only after the
    # shortest training"; by kNN against the AE "alike" after two epochs (exercise 1).
    found = outcomes(recorded, study.separation())
    for (row, epochs), outcome in found.items():
        wins = not row.startswith("knn") and ("VAE" in row or epochs == study.CORE_EPOCHS[0])
        assert (outcome == "better") == wins, (row, epochs, outcome)
    assert found["knn, than AE", 2] == "alike"
    # "after the longest, the AE's neighbourhoods are purer"
    assert found["knn, than AE", 20] == "worse"
    # "Both halves give the same verdicts."
    for question, epochs in itertools.product(
        (study.normality, study.normal_literally, study.separation), study.CORE_EPOCHS
    ):
        halves = (range(10), range(10, 20))
        words = {study.word(study.answer(recorded, question((epochs,)), half)) for half in halves}
        assert len(words) == 1 and words != {"NOT RECORDED"}, (question, epochs, words)
    # "With 2, with 5 and with 10 dimensions, over all noise rates ... the DAE loses more
    # comparisons than it wins."
    for latent in (2, 5, 10):
        words = [
            outcome
            for epochs, noise in itertools.product(study.EPOCHS, study.NOISES)
            for outcome in outcomes(recorded, study.separation((epochs,), latent, noise)).values()
        ]
        assert words.count("worse") > words.count("better")
    # "With 20 it wins more than it loses, and all it loses, at these two lengths of training, is
    # kNN at the strongest noise."
    words = {
        (noise, epochs, row): outcome
        for epochs, noise in itertools.product(study.EPOCHS, study.NOISES)
        for (row, _), outcome in outcomes(recorded, study.separation((epochs,), 20, noise)).items()
    }
    lost = [key for key, outcome in words.items() if outcome == "worse"]
    assert len(lost) < list(words.values()).count("better")
    assert all(noise == study.NOISES[-1] and row.startswith("knn") for noise, _, row in lost)
    # "Fed clean images, the DAE loses the more comparisons, the longer it was trained."
    clean = outcomes(recorded, study.separation(view="clean"))
    losses = [
        sum(outcome == "worse" for (_, each), outcome in clean.items() if each == epochs)
        for epochs in study.CORE_EPOCHS
    ]
    assert losses == sorted(set(losses))
    # "Decoding z ~ N(0, I) with an AE fails": the VAE's samples are better, after every length.
    from_prior = outcomes(recorded, study.only_the_vae(source="N(0, I)"))
    assert set(from_prior.values()) == {"better"}
    # "Thousands of nats are the price of being sure and wrong"
    longest = study.model_cell("VAE", 20, max(study.CORE_EPOCHS))
    assert np.mean(recorded.means(longest, f"noise {comparison.LEVELS[-1]}")) > 2000
    # "after two epochs it fails, after twenty it holds"
    words = [
        study.word(
            [each for each in study.answer(recorded, study.only_the_vae(source="Gaussian"))
             if each.comparison.ours.epochs == epochs]
        )
        for epochs in (2, 20)
    ]  # fmt: skip
    assert words == ["DOES NOT HOLD", "HOLDS"]
    # "From a mixture each of the three generates better than the VAE from its prior."
    for epochs in study.CORE_EPOCHS:
        vae = study.model_cell("VAE", 20, epochs)
        claims = study.only_the_vae((epochs,), source="mixture")
        claims.append(study.Comparison("frechet N(0, I)", vae, vae, "frechet mixture"))
        assert {each.outcome for each in study.answer(recorded, claims)} == {"worse"}
    # Exercise 1: "less pure than at 0.3 and than the AE's, by more than matters"
    heavy = study.model_cell("DAE", noise=0.6)
    claims = [
        study.Comparison("knn expected", heavy, study.model_cell("DAE")),
        study.Comparison("knn expected", heavy, AE, "knn"),
    ]
    assert [each.outcome for each in study.answer(recorded, claims)] == ["worse", "worse"]


def test_rounding_turns_no_verdict_and_of_two_outcomes_leaves_one_open():
    """ "Both roundings give the same verdicts", and what follows it in 07."""
    records = [study.Study(), study.Study(precision="bfloat16")]
    questions = (study.normality, study.normal_literally, study.separation)
    for question, epochs in itertools.product(questions, study.CORE_EPOCHS):
        claims = question((epochs,))
        both = study.seeds_of_both(claims, *records)
        first, second = (study.answer(record, claims, both) for record in records)
        assert len(both) == 20 and study.word(first) == study.word(second), (question, epochs)
        for a, b in zip(first, second):
            assert a.outcome == b.outcome or "open" in (a.outcome, b.outcome)
    # "With bfloat16 [the main verdicts] are the same but for one": these also over all lengths.
    for question in questions:
        assert len({study.word(study.answer(record, question())) for record in records}) == 1


def test_of_the_sentences_on_generating_one_turns_with_the_rounding_after_eight_epochs():
    """What 07 says of halves of the seeds and of rounding below its four sentences."""
    float32, bfloat16 = study.Study(), study.Study(precision="bfloat16")
    asked = {source: partial(study.only_the_vae, source=source) for source in comparison.SOURCES}
    turned = {}
    for name, question in (asked | {"like for like": study.like_for_like}).items():
        whole = {study.word(study.answer(record, question())) for record in (float32, bfloat16)}
        assert len(whole) == 1
        for epochs in study.CORE_EPOCHS:
            some = question((epochs,))
            halves = [study.answer(float32, some, range(start, start + 10)) for start in (0, 10)]
            precisions = [study.answer(record, some) for record in (float32, bfloat16)]
            words = [study.word(judged) for judged in halves + precisions]
            if len(set(words)) > 1:
                turned[name, epochs] = words
    assert turned == {("like for like", 8): ["HOLDS IN PART"] * 3 + ["DOES NOT HOLD"]}
    to_the_ae, _ = study.like_for_like(epochs=(8,))
    gaps = [study.answer(record, [to_the_ae])[0].effect for record in (float32, bfloat16)]
    assert all(gap.low < study.matters("frechet") < gap.high for gap in gaps)


def test_no_dae_is_at_its_best_beyond_its_training_noise():
    recorded = study.Study()
    for noise, epochs in itertools.product(study.NOISES, study.EPOCHS):
        dae = study.model_cell("DAE", 20, epochs, noise)
        curve = [recorded_means(recorded, f"noise {each}", dae)[0] for each in comparison.LEVELS]
        assert comparison.LEVELS[int(np.argmin(curve))] <= noise


def test_the_larger_luck_is_the_images_in_the_probe_and_the_seeds_like_for_like():
    recorded = study.Study()

    def lucks(claim):
        """The seeds' and the images' part of the bootstrap's variance."""
        common = recorded.seeds(claim.ours, claim.theirs)
        d = recorded.values(claim.ours, claim.measure, common)
        d = d - recorded.values(claim.theirs, claim.other, common)
        return [d.mean(axis=axis).var(ddof=1) / d.shape[1 - axis] for axis in (1, 0)]

    of_seeds, of_images = lucks(study.separation(epochs=(2,))[0])
    assert of_images > of_seeds
    for claim in study.like_for_like():
        of_seeds, of_images = lucks(claim)
        assert of_seeds > of_images


def test_the_prior_is_worth_least_against_a_mixture_in_many_dimensions():
    """Exercise 2 of notebook 07: the ratio is nearer to 1 at J = 2, and both are bad there."""
    recorded = study.Study()
    for epochs in study.EPOCHS:
        cells = [study.model_cell("VAE", latent, epochs) for latent in (2, 20)]
        prior = recorded_means(recorded, "frechet N(0, I)", *cells)
        mixture = recorded_means(recorded, "frechet mixture", *cells)
        assert prior[0] / mixture[0] < 1.5 < prior[1] / mixture[1]
        # "At J = 20 the prior adds more, but to a distance many times smaller, and that makes most
        # of the larger ratio."
        added = [with_prior - fitted for with_prior, fitted in zip(prior, mixture)]
        assert 1 < added[1] / added[0] < mixture[0] / mixture[1] and mixture[0] / mixture[1] > 5
        assert mixture[0] > prior[1]
