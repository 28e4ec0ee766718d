"""The records of the benchmarks: what the READMEs say of them, and that the long runs survive an
interruption.
"""

import json
import math

from lecture_utils import bounds, models
from lecture_utils.previews import Record

import goals
import previews
import pytest
import records
import report
import torch
import train_published
from PIL import Image

from tests.helpers import ROOT


@pytest.mark.parametrize(
    "readme, text",
    [("README.md", report.summary), ("benchmarks/README.md", report.tables)],
    ids=["README", "benchmarks"],
)
def test_the_readmes_state_what_was_recorded(readme, text):
    whole = (ROOT / readme).read_text(encoding="utf-8")
    assert (
        whole[whole.index(report.START) + len(report.START) : whole.index(report.END)].strip()
        == text()
    )


@pytest.mark.parametrize("name", ["time_to_quality", "growth", "published"])
def test_the_figures_were_drawn_from_the_present_records(name):
    with Image.open(report.FIGURES / f"{name}.png") as picture:
        assert picture.text["Source"] == report.fingerprint(name)


def test_fit_ends_at_least_as_well_as_the_usual_script():
    loss = records.load("time_to_quality")["test loss at the end (nats), median over seeds"]
    assert loss["fit"] <= loss["usual script"]


def test_every_part_of_the_recipe_pays_with_every_seed():
    recipe = records.load("ablation")
    assert recipe["epochs"] == len(records.load("time_to_quality")["curves"]["fit"][0]["seconds"])
    losses = recipe["test loss (nats)"]
    for name in losses.keys() - {"as it is"}:
        assert all(
            without > complete for without, complete in zip(losses[name], losses["as it is"])
        ), name


@pytest.mark.parametrize("goal", goals.GOALS, ids=lambda goal: goal.text)
def test_every_goal_is_judged_by_its_record(goal):
    """Whether it is reached is a matter of the machine, not of the code."""
    value, reached = goal.judged()
    assert math.isfinite(value) and (goal.at_least is None) != (goal.at_most is None)
    assert reached == (value >= goal.at_least if goal.at_most is None else value <= goal.at_most)


def test_the_memory_of_the_importance_weighted_bound_does_not_grow_with_k():
    curve = records.load("growth")["importance-weighted bound of 100 images, against k"]
    unchunked = 5000 * 100 * 784 * 4 / 1e6  # megabytes of the logits alone, all samples at once
    assert (
        curve["points"][-1]["value"] == 5000 and curve["points"][-1]["megabytes"] < unchunked / 10
    )
    assert curve["memory per doubling (MB)"] < unchunked / 100


@pytest.mark.parametrize("name, record", report.runs().items(), ids=report.PUBLISHED)
def test_the_published_figure_is_reached(name, record):
    _, nats, _ = report.PUBLISHED[name]
    assert record[report.ESTIMATE] >= nats


@pytest.mark.parametrize("record", report.runs().values(), ids=report.PUBLISHED)
def test_the_curve_and_the_cost_are_recorded(record):
    assert (
        len(record["training bound"]) == record["epochs"]
        and len(record["test bound"]) == record["epochs"] // 50
    )
    assert record["seconds"] > 0


def test_the_record_of_the_previews_holds_the_ring_with_every_seed():
    runs = records.load(previews.NAME)["runs"]["ring"]
    assert runs.keys() == previews.RINGS.keys()
    for each in runs.values():
        assert len(each) == previews.SEEDS["ring"]
        assert all(len(run["shares"]) == 8 and sum(run["shares"]) <= 1 for run in each)
        assert all(-1 <= run["contrast"] <= 1 for run in each)


def test_the_record_of_the_previews_holds_the_chosen_models_of_every_vae():
    recorded = records.load(previews.NAME)
    chosen = {part: Record().chosen(part).setting for part in ("mixture", "diffusion")}
    for number in previews.VAES:
        runs = recorded["runs"][f"VAE {number}"]
        assert {part: len(runs[setting]) for part, setting in chosen.items()} == {
            part: previews.SEEDS[part] for part in chosen
        }


def test_the_record_of_the_previews_holds_every_setting_with_every_seed():
    recorded = records.load(previews.NAME)
    parts = {"mixture": previews.MIXTURES, "diffusion": previews.DIFFUSIONS, "GAN": previews.GANS}
    for part, settings in parts.items():
        assert recorded["runs"][part].keys() == settings.keys()
        assert recorded["settings"][part] == json.loads(json.dumps(settings))
    parts["frame"] = previews.FRAMES
    for part, settings in parts.items():
        for setting in settings:
            assert len(recorded["runs"][part][setting]) == previews.SEEDS[part], (part, setting)


def test_what_chooses_and_what_judges_are_other_images_than_those_trained_on(mnist):
    every = previews.Data()
    assert len(every.kept) == 50_000 and len(every.held_out.unique()) == 10_000
    real = every.real(0)
    assert not torch.equal(real["held out"].images, real["test"].images)
    kept = {row.tobytes() for row in every.kept.numpy()}
    rows = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))[:5000]
    held_out = every.mnist.train_images[every.held_out][rows]
    assert torch.equal(held_out / 255, real["held out"].images)
    assert sum(row.tobytes() in kept for row in held_out.numpy()) < 10  # MNIST repeats none


def test_the_noise_of_a_bound_is_not_the_noise_in_the_codes():
    """A denoiser that sees in the codes what it has to guess looks better than it is."""
    n = 2000 * 20
    in_the_codes = torch.randn(n, generator=previews.seeded(0))
    of_the_bound = torch.randn(n, generator=previews.other_noise(0))
    assert torch.isin(of_the_bound, in_the_codes).float().mean() < 0.01
    assert abs((in_the_codes * of_the_bound).mean()) < 4 / math.sqrt(n)
    assert torch.equal(of_the_bound, torch.randn(n, generator=previews.other_noise(0)))


@pytest.fixture
def small():
    """A small float64 VAE, one image of 6 pixels, and a generator."""
    torch.manual_seed(0)
    model = models.VAE(latent_dim=2, hidden=(5,), activation=torch.nn.Tanh, n_pixels=6).double()
    return model, torch.tensor([[1.0, 0, 1, 1, 0, 1]], dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 5])
def test_the_doubly_reparameterized_loss_has_the_value_of_the_bound(small, k):
    model, x = small
    loss = train_published.doubly_reparameterized_loss(
        model, x, k, torch.Generator().manual_seed(3)
    )
    bound = bounds.importance_weighted_bound(
        model, x, k, generator=torch.Generator().manual_seed(3)
    )
    torch.testing.assert_close(loss, -bound, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_the_doubly_reparameterized_gradient_has_the_expectation_of_the_plain_one(small, k):
    model, x = small
    parameters = list(model.parameters())
    copies = 60

    def gradients(loss):
        draws = []
        for seed in range(copies):
            value = loss(x.expand(200, -1), torch.Generator().manual_seed(seed)).mean()
            draws.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters)]))
        return torch.stack(draws)

    plain = gradients(
        lambda images, g: -bounds.importance_weighted_bound(model, images, k, generator=g)
    )
    doubly = gradients(
        lambda images, g: train_published.doubly_reparameterized_loss(model, images, k, g)
    )
    error = (plain.var(dim=0) / copies + doubly.var(dim=0) / copies).sqrt()
    assert ((plain.mean(dim=0) - doubly.mean(dim=0)).abs() < 5 * error + 1e-12).all()
    encoder = slice(0, sum(p.numel() for p in model.encoder.parameters()))
    assert doubly[:, encoder].var(dim=0).sum() < plain[:, encoder].var(dim=0).sum()


def tiny_run(folder, epochs):
    images = torch.randint(
        0, 256, (400, 784), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return train_published.Run(
        "iwae", images, images[:10] / 255, train_published.Cycle(epochs, 2e-3), folder / "run.pt"
    )


def assert_same_end(run, other):
    assert run.record["training bound"] == other.record["training bound"]
    assert (
        run.optimizer.state_dict()["param_groups"] == other.optimizer.state_dict()["param_groups"]
    )
    for a, b in zip(run.model.parameters(), other.model.parameters()):
        assert torch.equal(a, b)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_run_goes_on_and_ends_where_an_uninterrupted_one_does(
    after, tmp_path, monkeypatch
):
    whole = tiny_run(tmp_path / "whole", 4)
    whole.train(progress=False)
    first, epoch = tiny_run(tmp_path / "parts", 4), train_published.Run._epoch

    def stopped(run):
        if run.record["epochs"] == after:
            raise KeyboardInterrupt
        return epoch(run)

    monkeypatch.setattr(train_published.Run, "_epoch", stopped)
    with pytest.raises(KeyboardInterrupt):
        first.train(progress=False)
    monkeypatch.setattr(train_published.Run, "_epoch", epoch)
    second = tiny_run(tmp_path / "parts", 4)
    assert second.record["epochs"] == after  # nothing but the interrupted epoch is lost
    second.train(progress=False)
    assert_same_end(second, whole)


def test_the_learning_rate_rises_to_its_peak_in_a_tenth_of_the_epochs_and_falls(
    tmp_path, monkeypatch
):
    run, rates, epoch = tiny_run(tmp_path, 20), [], train_published.Run._epoch
    monkeypatch.setattr(
        train_published.Run,
        "_epoch",
        lambda run: rates.append(run.optimizer.param_groups[0]["lr"]) or epoch(run),
    )
    run.train(progress=False)
    assert rates[0] == pytest.approx(2e-3 / 25) and max(rates) == rates[2] == pytest.approx(
        2e-3, rel=0.01
    )
    assert (
        rates[:3] == sorted(rates[:3])
        and rates[2:] == sorted(rates[2:], reverse=True)
        and rates[-1] < 0.02 * 2e-3
    )


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path):
    tiny_run(tmp_path, 1).train(progress=False)
    with pytest.raises(SystemExit, match="delete it to start anew"):
        tiny_run(tmp_path, 2)
