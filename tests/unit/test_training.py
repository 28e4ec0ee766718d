"""Training: one loop and one record, seeds, precision, errors, interruption; what the series
promises of it.
"""

import copy
import math
import random

from lecture_utils import bounds, data, evaluation, models, objectives, training

import numpy as np
import pytest
import torch
from torch.distributions import Normal
from torch.utils._python_dispatch import TorchDispatchMode

from tests.helpers import EVERY_KIND, SMALL, binary_pixels, output_of, random_images, seeded
from tests.tolerances import assert_near

TERMS = 20 + 16 + 3 + 16 + 20  # what SMALL's layers, and the sum over pixels, add up
BFLOAT16 = {"fast bfloat16": True, "no bfloat16": False}


def fit(model, images, **options):
    defaults = {"epochs": 2, "batch_size": 64, "device": "cpu", "progress": False}
    return training.fit(model, images, **defaults | options)


def same(model, other):
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# What the series promises


@pytest.mark.slow
def test_two_grey_epochs_reach_what_the_usual_script_reaches_in_ten(mnist):
    model = training.initialise(models.VAE(), mnist.train_images)
    fit(model, mnist.train_images, batch_size=256, pixels="grey")
    assert sum(evaluation.mean_loss_terms(model, data.to_grey(mnist.test_images))) <= 105.6


@pytest.mark.matrix
def test_five_binary_epochs_reach_102_5_nats(mnist):
    model = training.initialise(models.VAE(), mnist.train_images)
    model, history = training.trained(model, mnist.train_images, epochs=5)
    x = data.binary_test_set(mnist)
    assert len(history.loss) == 5 and -evaluation.mean_elbo(model, x).mean <= 102.5
    few = x[data.test_subset(1000)]
    estimate = evaluation.mean_log_likelihood(model, few, n_samples=20)
    assert estimate.mean > evaluation.mean_elbo(model, few).mean
    assert evaluation.active_units(model, x).sum() >= 10


# Initialisation: on request, and once


def test_initialise_starts_at_the_mean_image(images):
    model = models.VAE(**SMALL)
    assert training.initialise(model, images) is model
    mean = images.double().mean(dim=0) / 255
    assert_near(model.mean_image, mean, terms=len(images))
    p = torch.sigmoid(model.to_logits.bias.double())
    assert_near(p, (mean * len(images) + 1) / (len(images) + 2), terms=len(images))


def test_initialise_takes_uint8_and_floats_alike(images):
    a, b = models.VAE(**SMALL), models.VAE(**SMALL)
    training.initialise(a, images)
    training.initialise(b, images / 255)
    assert_near(a.mean_image, b.mean_image, terms=len(images))


def test_a_model_is_initialised_only_once(images):
    """A second time would throw away what the output bias and the encoder have learned."""
    model = training.initialise(models.VAE(**SMALL), images)
    fit(model, images)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="initialised before.*call fit alone.*build a new model"):
        training.initialise(model, images)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_second_fit_goes_on_where_the_first_ended(images):
    model = training.initialise(models.VAE(**SMALL), images)
    fit(model, images, pixels="grey")
    before = evaluation.mean_elbo(model, images / 255, n_samples=50)
    mean_image, bias = model.mean_image.clone(), model.to_logits.bias.detach().clone()
    history = fit(
        model, images, pixels="grey", learning_rate=0.0, seed=1
    )  # looks, and changes nothing
    assert torch.equal(model.mean_image, mean_image) and torch.equal(model.to_logits.bias, bias)
    assert abs(history.loss[0] + before.mean) < 5 * before.standard_error * math.sqrt(2)


def test_fit_initialises_nothing(images):
    model = models.VAE(**SMALL)
    fit(model, images)
    assert not model.mean_image.any()


# Seeds: order, pixels and noise


def batches_seen(model, images, **options):
    """All pixels that the loss was given, one batch after the other."""
    seen = []

    def loss(model, x, generator):
        seen.append(x.clone())
        return bounds.negative_elbo(model, x, generator)

    fit(model, images, loss=loss, **options)
    return seen


def test_models_trained_with_one_seed_see_the_same_batches_to_the_last_pixel(images):
    """They draw different amounts of noise; what they learn from must not depend on it."""
    kinds = (models.Autoencoder, models.DenoisingAutoencoder, models.VAE)
    ae, dae, vae = (batches_seen(kind(**SMALL), images) for kind in kinds)
    assert len(ae) == 10
    for a, b, c in zip(ae, dae, vae, strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_another_seed_gives_other_batches_other_pixels_and_other_noise():
    grey = torch.full((64, 20), 128, dtype=torch.uint8)
    model = models.VAE(**SMALL)
    a, b = (batches_seen(model, grey, seed=seed, learning_rate=0.0)[0] for seed in (0, 1))
    assert not torch.equal(a, b)  # the pixels
    order, pixels, noise = training.generators(0, torch.device("cpu"))
    drawn = [torch.rand(5, generator=each).tolist() for each in (order, pixels, noise)]
    assert len({tuple(each) for each in drawn}) == 3
    assert drawn[0] != torch.rand(5, generator=training.generators(1, "cpu")[0]).tolist()


@EVERY_KIND
def test_the_same_seed_trains_the_same_model_bit_for_bit(kind, images, one_thread):
    first, second, other = (kind(**SMALL) for _ in range(3))
    losses = [fit(m, images, seed=s).loss for m, s in ((first, 5), (second, 5), (other, 6))]
    assert losses[0] == losses[1] != losses[2]
    assert same(first, second) and not same(first, other)


@EVERY_KIND
def test_the_global_generators_are_left_alone(kind, images):
    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    before, x = states(), binary_pixels()
    model = training.initialise(kind(**SMALL, seed=3), images)
    fit(model, images)
    model.sample(5, seeded())
    model.loss_terms(x, seeded())
    data.binarize(images, seeded())
    evaluation.mean_loss_terms(model, x)
    if kind is models.VAE:
        evaluation.mean_elbo(model, x)
        evaluation.mean_log_likelihood(model, x, 3)
    assert states() == before


def test_the_global_generator_does_not_change_what_a_seed_gives(images, one_thread):
    results = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = models.VAE(**SMALL)
            results.append((fit(model, images).loss, model.sample(2, seeded()).tolist()))
    assert results[0] == results[1]


# What the loop feeds, and what it records


def test_training_sees_fresh_binary_draws_of_each_image_and_grey_is_the_intensity():
    grey = torch.full((64, 20), 128, dtype=torch.uint8)
    first, second = batches_seen(models.VAE(**SMALL), grey, pixels="binary")
    assert all(((x == 0) | (x == 1)).all() for x in (first, second))
    assert not torch.equal(first, second)
    standard_error = 0.5 / math.sqrt(2 * 64 * 20)
    assert abs(torch.cat([first, second]).mean() - 128 / 255) < 5 * standard_error
    assert all(
        (x == 128 / 255).all() for x in batches_seen(models.VAE(**SMALL), grey, pixels="grey")
    )


def test_each_epoch_sees_every_image_once():
    images = torch.arange(50, dtype=torch.uint8).repeat(20, 1).T.contiguous()
    seen = batches_seen(models.VAE(**SMALL), images, batch_size=8, pixels="grey")
    rows = [round(255 * value) for x in seen for value in x[:, 0].tolist()]
    assert sorted(rows[:50]) == sorted(rows[50:]) == list(range(50)) and rows[:50] != rows[50:]


@pytest.mark.parametrize("batch_size", [300, 299, 64, 7])
def test_the_recorded_loss_is_the_mean_over_images_whatever_the_last_batch(batch_size, images):
    """A loss that depends on the image alone: a mean of means of unequal batches would be off."""
    images[-10:] = 255

    def mean_intensity(model, x, generator):
        return x.mean(dim=1) + 0 * model.to_logits.bias.sum()

    options = {"epochs": 1, "batch_size": batch_size, "pixels": "grey", "loss": mean_intensity}
    history = fit(models.VAE(**SMALL), images, **options)
    assert_near(history.loss[0], images.double().mean() / 255, terms=300 * 20)


@pytest.mark.parametrize("batch_size", [300, 64, 7])
def test_the_recorded_loss_of_a_still_model_is_its_loss(batch_size, images, monkeypatch):
    monkeypatch.setenv("LECTURE_PRECISION", "float32")
    model = training.initialise(models.Autoencoder(**SMALL), images)
    history = fit(model, images, batch_size=batch_size, learning_rate=0.0, pixels="grey", epochs=1)
    exact = bounds.negative_elbo(model, images / 255).double().mean()
    assert_near(history.loss[0], exact, terms=300 + TERMS)


def test_a_full_run_records_every_epoch_and_evaluates_in_evaluation_mode(images):
    model = models.VAE(**SMALL)
    history = fit(model, images, epochs=3, on_epoch=lambda model: model.training)
    assert not history.interrupted and len(history.loss) == 3 and not model.training
    assert history.evaluations == [False] * 3
    assert history.seconds == sorted(history.seconds) and history.seconds[0] > 0


def test_there_is_one_loss_only_where_there_is_one():
    assert training.History({"loss": [2.0, 1.0]}).loss == [2.0, 1.0]
    with pytest.raises(ValueError, match="too many values"):
        _ = training.History({"discriminator": [1.0], "generator": [1.0]}).loss


# The hot path


class Looks(TorchDispatchMode):
    """Counts the operations that read a value: on a GPU the program waits for each of them."""

    READING = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::is_nonzero")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.name().split(".")[0] in self.READING
        return function(*args, **(kwargs or {}))


@EVERY_KIND
def test_between_two_looks_at_the_loss_no_value_is_read(kind, images, monkeypatch):
    """The check of pixels, which reads values, is left out as it is on a GPU."""
    monkeypatch.setattr(objectives, "_require_pixels", lambda x: None)
    counts = {}
    for steps in (20, 49):  # the first step is looked at, and the last
        with Looks() as looks:
            fit(kind(**SMALL), images.repeat(10, 1)[: 2 * steps], epochs=1, batch_size=2)
        counts[steps] = looks.count
    assert counts[20] == counts[49]


def test_pixels_are_checked_on_the_cpu_alone():
    """Elsewhere the comparison would make every step wait; `meta` tensors have no values."""
    x = torch.full((2, 20), 7.0, device="meta")
    objectives.bernoulli_log_likelihood(torch.zeros(2, 20, device="meta"), x)
    with pytest.raises(ValueError, match="to_grey"):
        objectives.bernoulli_log_likelihood(torch.zeros(2, 20), torch.full((2, 20), 7.0))


# Learning rates


def test_adam_moves_every_layer_by_the_same_share_of_its_initial_weights():
    """Adam's first step moves a weight by its rate; n inputs start uniform in +-1/sqrt(n)."""
    model = models.VAE(latent_dim=7, hidden=(100,), n_pixels=50)
    layers = training.layer_rates(model, 1e-3)
    before = [layer["params"][0].detach().clone() for layer in layers]
    optimizer = torch.optim.Adam(layers)
    bounds.negative_elbo(model, binary_pixels(500, 50), seeded()).mean().backward()
    optimizer.step()
    shares = []
    for layer, weight in zip(layers, before, strict=True):
        change = (layer["params"][0].detach() - weight).abs().max().item()
        assert change == pytest.approx(layer["lr"], rel=1e-3)
        shares.append(change * math.sqrt(weight.shape[1]))
    assert shares == pytest.approx([shares[0]] * len(shares), rel=1e-3)


def test_every_parameter_has_a_rate_also_those_of_no_layer():
    model = models.VAE(**SMALL)
    model.log_sigma = torch.nn.Parameter(torch.zeros(()))
    layers = training.layer_rates(model, 0.5)
    given = [parameter for layer in layers for parameter in layer["params"]]
    assert {id(p) for p in given} == {id(p) for p in model.parameters()}
    assert len(given) == len(list(model.parameters()))
    assert next(layer["lr"] for layer in layers if layer["params"][0] is model.log_sigma) == 0.5


@pytest.mark.parametrize("n_steps", [1, 2, 9, 10, 11, 1175])
def test_the_rate_rises_in_a_tenth_of_the_steps_and_falls_to_nearly_zero(n_steps):
    rates = [training.one_cycle(step, n_steps) for step in range(n_steps)]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert min(rates) > 0 and max(rates) <= 1 and peak <= n_steps / 10
    assert n_steps < 10 or (rates[-1] == pytest.approx(1 / (0.9 * n_steps)) and max(rates) > 0.9)
    assert training.one_cycle(n_steps, n_steps) == 0


# Precision


@pytest.fixture(params=BFLOAT16.values(), ids=BFLOAT16)
def fast_bfloat16(request, monkeypatch):
    """A processor that has the instructions, as far as training asks, and one that has not."""
    monkeypatch.delenv("LECTURE_PRECISION", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: request.param)
    return request.param


def dtypes_of_products(model):
    dtypes = []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda layer, inputs, out: dtypes.append(out.dtype))
    return dtypes


def test_products_are_rounded_only_where_that_is_fast_and_losses_never(images, fast_bfloat16):
    model = models.VAE(**SMALL)
    dtypes = dtypes_of_products(model)

    def loss(model, x, generator):
        mu, logvar = model.encode(x)
        values = objectives.gaussian_kl(mu, logvar) - model.log_likelihood(mu, x)
        logits = model.decode(mu)
        assert {mu.dtype, logvar.dtype, logits.dtype, values.dtype} == {torch.float32}
        return values

    fit(model, images, epochs=1, loss=loss)
    assert set(dtypes) == {torch.bfloat16 if fast_bfloat16 else torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    dtypes.clear()
    model.sample(3)
    assert set(dtypes) == {torch.float32}  # only training rounds


def test_the_environment_switches_bfloat16_off(images, fast_bfloat16, monkeypatch):
    monkeypatch.setenv("LECTURE_PRECISION", "float32")
    model = models.VAE(**SMALL)
    dtypes = dtypes_of_products(model)
    fit(model, images, epochs=1)
    assert set(dtypes) == {torch.float32}


def test_the_environment_switches_bfloat16_on_where_it_is_slow_too(images, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setenv("LECTURE_PRECISION", "bfloat16")
    model = models.VAE(**SMALL)
    dtypes = dtypes_of_products(model)
    fit(model, images, epochs=1, device="cpu")
    assert set(dtypes) == {torch.bfloat16}


def test_a_precision_that_does_not_exist_is_refused_with_those_that_do(images, monkeypatch):
    monkeypatch.setenv("LECTURE_PRECISION", "fp32")
    with pytest.raises(ValueError, match="LECTURE_PRECISION is 'fp32': set it to \"float32\""):
        fit(models.VAE(**SMALL), images)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_multiplies_as_it_is_told(device):
    with training.mixed_precision(device):
        assert not torch.is_autocast_enabled("cpu")


def test_rounded_factors_change_a_gradient_by_less_than_a_per_cent(monkeypatch):
    """bfloat16 keeps 8 bits: an error of at most 2^-9 in each factor; in sums they cancel."""
    monkeypatch.delenv("LECTURE_PRECISION", raising=False)
    model, x, gradients = models.VAE(), binary_pixels(256, 784), []
    for fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast)
        with training.mixed_precision("cpu"):
            loss = bounds.negative_elbo(model, x, seeded()).mean()
        parts = torch.autograd.grad(loss, list(model.parameters()))
        gradients.append(torch.cat([part.flatten() for part in parts]))
        is_rounded = torch.equal(gradients[-1], gradients[-1].bfloat16().float())
        assert is_rounded == fast  # float32 by its type alone
    rounded, exact = gradients
    assert 0 < (rounded - exact).norm() < 0.01 * exact.norm()


# Another likelihood: trained and evaluated by one formula


class GaussianVAE(models.VAE):
    """p(x|z) = N(x'(z), 0.1^2): overrides one method."""

    def log_likelihood(self, z, x):
        return Normal(self.decode(z), 0.1).log_prob(x).sum(dim=-1)


def test_a_subclass_with_another_likelihood_is_trained_on_it_and_judged_by_it(images):
    model = GaussianVAE(**SMALL)
    history = fit(model, images, pixels="grey", epochs=15, learning_rate=1e-2)
    assert history.loss[-1] < history.loss[0] / 4
    x = images / 255
    still = fit(model, images, pixels="grey", epochs=1, learning_rate=0.0, seed=3)
    estimate = evaluation.mean_elbo(model, x, n_samples=20)
    # One draw of z an image there, twenty here: their difference is within the errors of both.
    with torch.no_grad():
        draws = torch.stack([bounds.elbo(model, x, 1, seeded(seed)) for seed in range(10)])
    of_one_draw = (draws.var(dim=0).mean() / len(x)).sqrt().item()
    slack = 0.02 * abs(estimate.mean)  # the loss of fit may be rounded to bfloat16
    assert abs(still.loss[0] + estimate.mean) < 5 * of_one_draw + slack
    mu, logvar = model.encode(x)
    z = objectives.reparameterize(mu, logvar, seeded(7))
    by_hand = Normal(model.decode(z), 0.1).log_prob(x).sum(1) - objectives.gaussian_kl(mu, logvar)
    assert_near(bounds.elbo(model, x, 1, seeded(7)), by_hand, 10 * TERMS)


# Errors


NAN_IMAGES = torch.full((4, 20), 0.5)
NAN_IMAGES[2, 3] = math.nan
BAD_INPUT = {
    "unflattened images": (torch.zeros(2, 4, 5), {}, r"flatten\(1\)"),
    "no images": (torch.zeros(0, 20), {}, "N > 0"),
    "NaN": (NAN_IMAGES, {}, "1 values that are NaN or infinite"),
    "float 0..255": (torch.full((4, 20), 255.0), {}, "Divide intensities"),
    "int64": (torch.zeros(4, 20, dtype=torch.int64), {}, "expected uint8"),
    "numpy": (np.zeros((4, 20), dtype=np.uint8), {}, r"a ndarray.*torch\.from_numpy\(images\)"),
    "0 epochs": (binary_pixels(), {"epochs": 0}, "at least 1"),
    "batch size 0": (binary_pixels(), {"batch_size": 0}, "at least 1"),
    "unknown pixels": (binary_pixels(), {"pixels": "gray"}, '"binary" or "grey"'),
    "negative learning rate": (binary_pixels(), {"learning_rate": -1e-3}, "at least 0 and finite"),
    "NaN learning rate": (binary_pixels(), {"learning_rate": math.nan}, "at least 0 and finite"),
    "infinite learning rate": (binary_pixels(), {"learning_rate": math.inf}, "and finite"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_error_that_names_the_fix_before_any_step(case):
    images, options, fix = BAD_INPUT[case]
    model, untrained = models.VAE(**SMALL), models.VAE(**SMALL)
    with pytest.raises(ValueError, match=fix):
        fit(model, images, **options)
    assert same(model, untrained)


@pytest.mark.parametrize("case", ["unflattened images", "no images", "NaN", "numpy"])
def test_initialise_refuses_bad_images_as_fit_does(case):
    images, _, fix = BAD_INPUT[case]
    with pytest.raises(ValueError, match=fix):
        training.initialise(models.VAE(**SMALL), images)


def test_another_number_of_pixels_is_named():
    with pytest.raises(ValueError, match="n_pixels=21"):
        training.initialise(models.VAE(**SMALL), random_images(d=21))
    with pytest.raises(ValueError, match=r"\[B, 20\]"):
        fit(models.VAE(**SMALL), random_images(d=21))


def stop_after(n):
    """A loss that is stopped by the user at its n-th call."""
    count = 0

    def loss(model, x, generator):
        nonlocal count
        count += 1
        if count == n:
            raise KeyboardInterrupt
        return bounds.negative_elbo(model, x, generator)

    return loss


@EVERY_KIND
@pytest.mark.parametrize(("call", "epochs"), [(1, 0), (8, 1), (10, 1)])
def test_the_stop_button_returns_the_history_and_a_usable_model(kind, call, epochs, images, capsys):
    model = kind(**SMALL)
    history = fit(model, images, epochs=3, loss=stop_after(call))  # 5 steps an epoch
    assert history.interrupted
    assert [len(losses) for losses in history.losses.values()] == ([epochs] if epochs else [])
    assert len(history.loss) == epochs
    said = capsys.readouterr().out
    assert f"Interrupted after {call - 1} of 15 steps. The model is usable as it is" in said
    assert not model.training and torch.isfinite(model.sample(5, seeded())).all()
    assert torch.isfinite(model.reconstruct(binary_pixels())).all()
    assert not fit(model, images, epochs=1).interrupted  # and it can be trained on


def test_the_stop_button_in_on_epoch_keeps_that_epoch(images):
    def on_epoch(model):
        raise KeyboardInterrupt

    model = models.VAE(**SMALL)
    history = fit(model, images, epochs=3, on_epoch=on_epoch)
    assert history.interrupted and len(history.loss) == 1 and history.evaluations == []
    assert not model.training


def broken_loss(broken_from, value, steps):
    def loss(model, x, generator):
        steps.append(1)
        factor = value if len(steps) >= broken_from else 1.0
        return bounds.negative_elbo(model, x, generator) * factor

    return loss


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("broken_from", [1, 4, 51])
def test_a_loss_that_is_no_number_stops_training_soon_and_says_so(value, broken_from, images):
    model, steps = models.VAE(**SMALL), []
    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        fit(model, images, batch_size=2, loss=broken_loss(broken_from, value, steps))
    assert broken_from <= len(steps) <= broken_from + training.LOOK_EVERY


def test_a_nan_in_the_last_steps_of_an_epoch_is_found_at_its_end(images):
    steps = []  # 5 an epoch: the next regular look would be after 50
    with pytest.raises(FloatingPointError):
        fit(models.VAE(**SMALL), images, loss=broken_loss(5, math.nan, steps))
    assert len(steps) == 5


# A classifier in the same loop


def test_the_classifier_learns_and_records_the_mean_cross_entropy():
    labels = torch.arange(200) % 2
    images = (labels[:, None] * 200 + random_images(200, 20).remainder(50)).to(torch.uint8)
    model = torch.nn.Linear(20, 2)
    history = training.fit_classifier(
        model,
        images,
        labels,
        epochs=20,
        batch_size=32,
        learning_rate=0.1,
        device="cpu",
        progress=False,
    )
    assert list(history.losses) == ["cross-entropy"] and len(history.loss) == 20
    assert history.loss[-1] < 0.1 < history.loss[0]
    assert (model(images / 255).argmax(dim=1) == labels).all() and not model.training


def test_the_classifier_refuses_labels_that_do_not_fit():
    with pytest.raises(ValueError, match=r"200 images have labels of shape \[100\]"):
        training.fit_classifier(torch.nn.Linear(20, 2), random_images(200), torch.zeros(100).long())


@pytest.mark.slow
@pytest.mark.skipif(torch.accelerator.is_available(), reason="with a GPU the compiler is of use")
def test_without_a_gpu_training_loads_no_compiler_for_one():
    code = """if True:
        import sys
        from lecture_utils import training
        import torch
        torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
        print([name for name in sys.modules if name.startswith("triton.")])"""
    assert output_of(code) == "[]"


def test_adam_by_layer_is_torchs_adam_to_the_last_bit():
    model, x = models.VAE(**SMALL), binary_pixels()
    twin, start = copy.deepcopy(model), copy.deepcopy(model)
    layers = training.layer_rates(twin, 1e-2)
    theirs = torch.optim.Adam(layers, betas=(0.9, 0.99), eps=1e-4, fused=True)
    for each, adam in ((model, training.adam_by_layer(model, 1e-2)), (twin, theirs)):
        update, noise = training.updater(adam, 5, training.one_cycle), seeded()
        for _ in range(5):
            update(bounds.negative_elbo(each, x, noise).mean())
    assert same(model, twin) and not same(model, start)


@pytest.mark.slow
def test_training_loads_no_compiler():
    """With torch's own Adam that import takes two seconds and 80 MB in each kernel."""
    code = """if True:
        import sys
        from lecture_utils import models, training
        import torch
        model = models.VAE(latent_dim=2, hidden=(5,), n_pixels=9, seed=0)
        before = set(sys.modules)
        training.fit(model, torch.zeros(20, 9), epochs=1, device="cpu", progress=False)
        print(sorted({"sympy", "torch._dynamo"} & (set(sys.modules) - before)))"""
    assert output_of(code) == "[]"


def test_training_trains_where_gradients_are_switched_off():
    images, labels = random_images(200), torch.arange(200) % 2
    weights = []
    for context in (torch.enable_grad(), torch.no_grad()):
        model, judge = models.VAE(**SMALL), torch.nn.Linear(20, 2)
        torch.nn.init.zeros_(judge.weight)
        torch.nn.init.zeros_(judge.bias)
        with context:
            fit(model, images, epochs=1)
            training.fit_classifier(judge, images, labels, epochs=1, device="cpu", progress=False)
        weights.append([*model.parameters(), *judge.parameters()])
    assert all(map(torch.equal, *weights)) and judge.weight.any()


def test_a_gpu_is_taken_where_there_is_one_and_the_cpu_otherwise(monkeypatch):
    for cuda, mps, expected in ((True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert training.best_device().type == expected
