"""The conventions of the package, one test or more each: names, units, shapes, sameness, seeds, clear errors, the cache.

They run on tiny models and made-up images, so that all of them together take seconds.
"""

import ast
import inspect
import json
import math
import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from lecture_utils import data, evaluation, models, objectives, training

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lecture_utils"
KINDS = [models.Autoencoder, models.DenoisingAutoencoder, models.VAE]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
SMALL = dict(latent_dim=3, hidden=(16,), n_pixels=20)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pixels(n=50, d=20, seed=1):
    """Binary pixels, float [n, d]."""
    return torch.randint(0, 2, (n, d), generator=seeded(seed)).float()


@pytest.fixture
def images():
    """Made-up images, uint8 [300, 20]."""
    return torch.randint(0, 256, (300, 20), generator=seeded(2), dtype=torch.uint8)


@pytest.fixture
def one_thread():
    """Sums over several threads may be added in another order; one thread makes runs equal bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def noise_from_x(monkeypatch):
    """Replace the noise of the VAE by a function of its own mean: the same for an example in any batch."""
    monkeypatch.setattr(models, "reparameterize",
                        lambda mu, logvar, generator=None: mu + torch.exp(logvar / 2) * torch.sin(1000 * mu))


def fit(model, images, **options):
    return training.fit(model, images, **dict(epochs=2, batch_size=64, device="cpu", progress=False) | options)


# Names and units


def test_logvar_is_the_log_variance_of_the_draws_and_in_the_kl():
    mu, logvar = torch.randn(5, 3, generator=seeded(3)), torch.randn(5, 3, generator=seeded(4))
    n = 40_000
    z = objectives.reparameterize(mu.expand(n, 5, 3), logvar.expand(n, 5, 3), seeded(5))
    assert torch.allclose(z.var(0), logvar.exp(), rtol=5 * math.sqrt(2 / n))
    assert ((z.mean(0) - mu).abs() < 5 * torch.exp(logvar / 2) / math.sqrt(n)).all()
    referee = kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(0.0, 1.0)).sum(-1)
    assert torch.allclose(objectives.gaussian_kl(mu, logvar), referee, rtol=1e-5)


def test_encode_of_the_vae_gives_the_mean_and_log_variance_that_its_loss_uses():
    model, x = models.VAE(**SMALL), pixels()
    mu, logvar = model.encode(x)
    assert mu.shape == logvar.shape == (50, 3)
    z = mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=seeded(6))
    terms = model.loss_terms(x, seeded(6))
    assert torch.allclose(terms.kl, kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(0.0, 1.0)).sum(-1), rtol=1e-4, atol=1e-6)
    assert torch.allclose(terms.reconstruction, -objectives.bernoulli_log_likelihood(model.decode(z), x), rtol=1e-5)


@EVERY_KIND
def test_losses_are_per_example_and_summed_over_pixels(kind):
    model, x = kind(**SMALL), pixels()
    assert all(term.shape == (50,) for term in model.loss_terms(x, seeded()))
    assert bounds.negative_elbo(model, x, seeded()).shape == (50,)
    with torch.no_grad():
        model.to_logits.weight.zero_(), model.to_logits.bias.zero_()
    assert torch.allclose(model.loss_terms(x, seeded()).reconstruction, torch.tensor(20 * math.log(2)))  # nats, all pixels


def test_bounds_are_per_example():
    model, x = models.VAE(**SMALL), pixels()
    assert bounds.elbo(model, x, 4, seeded()).shape == (50,)
    assert bounds.log_importance_weights(model, x, 4, seeded()).shape == (4, 50)
    assert bounds.importance_weighted_bound(model, x, 4, 3, seeded()).shape == (50,)
    assert objectives.gaussian_kl(torch.ones(2, 3), torch.zeros(2, 3)).tolist() == [1.5, 1.5]


@pytest.mark.parametrize("kind", [models.Autoencoder, models.VAE])
def test_a_loss_does_not_depend_on_the_batch_it_is_in(kind, noise_from_x):
    model, x = kind(**SMALL), pixels(50)
    whole = bounds.negative_elbo(model, x)
    for size in (1, 7, 49):
        parts = torch.cat([bounds.negative_elbo(model, part) for part in x.split(size)])
        assert torch.allclose(whole, parts, rtol=1e-5)


def test_the_recorded_loss_does_not_depend_on_the_batch_size(images, noise_from_x, monkeypatch):
    """With a learning rate of 0, every batch size must record the mean over images, the short last batch included."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # rounded factors move a loss by more than this bound
    recorded = {size: fit(models.VAE(**SMALL), images, batch_size=size, learning_rate=0.0, pixels="grey", epochs=1).loss[0]
                for size in (7, 64, 299, 300)}
    model = models.VAE(**SMALL)
    mean_image = images.float().mean(0) / 255
    model.set_output_bias(mean_image, len(images))
    model.center_inputs(mean_image)
    exact = bounds.negative_elbo(model, images / 255).mean().item()
    assert all(value == pytest.approx(exact, rel=1e-5) for value in recorded.values())


# The three models differ in what the lecture says, and in nothing else


@EVERY_KIND
def test_one_seed_gives_all_three_the_same_shared_weights(kind):
    shared, weights = models.Autoencoder(**SMALL, seed=7).state_dict(), kind(**SMALL, seed=7).state_dict()
    assert all(torch.equal(weights[name], value) for name, value in shared.items())
    extra = set(weights) - set(shared)
    assert extra == ({"to_logvar.weight", "to_logvar.bias"} if kind is models.VAE else set())
    assert not torch.equal(weights["to_mu.weight"], kind(**SMALL, seed=8).state_dict()["to_mu.weight"])


def test_the_dae_is_an_ae_whose_input_is_corrupted():
    x = pixels()
    plain, clean, noisy = models.Autoencoder(**SMALL), models.DenoisingAutoencoder(**SMALL, noise=0.0), models.DenoisingAutoencoder(**SMALL, noise=0.5)
    assert torch.equal(clean.loss_terms(x, seeded()).reconstruction, plain.loss_terms(x).reconstruction)
    logits = noisy.decode(noisy.encode(models.corrupt(x, 0.5, seeded(9))))
    assert torch.equal(noisy.loss_terms(x, seeded(9)).reconstruction, -objectives.bernoulli_log_likelihood(logits, x))  # of the clean x
    assert not torch.equal(noisy.loss_terms(x, seeded()).reconstruction, plain.loss_terms(x).reconstruction)
    assert torch.equal(noisy.reconstruct(x), plain.reconstruct(x))  # nothing is corrupted at evaluation
    for model in (plain, clean, noisy):
        assert (model.loss_terms(x, seeded()).kl == 0).all()


def test_the_vae_is_an_ae_that_draws_its_code_and_pays_a_kl(monkeypatch):
    x, plain, vae = pixels(), models.Autoencoder(**SMALL), models.VAE(**SMALL)
    assert torch.equal(vae.code(x), plain.code(x)) and torch.equal(vae.reconstruct(x), plain.reconstruct(x))
    assert (vae.loss_terms(x, seeded()).kl > 0).all()
    monkeypatch.setattr(models, "reparameterize", lambda mu, logvar, generator=None: mu)  # no noise: the AE's error
    assert torch.equal(vae.loss_terms(x).reconstruction, plain.loss_terms(x).reconstruction)


# Logits


@EVERY_KIND
def test_decoders_return_logits_and_only_pictures_are_probabilities(kind):
    model = kind(**SMALL)
    logits = model.decode(1000 * torch.randn(50, 3, generator=seeded()))
    assert logits.min() < -5 and logits.max() > 5
    with torch.no_grad():
        model.to_logits.weight.mul_(100)
    for probabilities in (model.reconstruct(pixels()), model.sample(50, seeded())):
        assert probabilities.shape == (50, 20) and ((probabilities >= 0) & (probabilities <= 1)).all()
    assert torch.equal(model.reconstruct(pixels()), torch.sigmoid(model.decode(model.code(pixels()))))
    assert torch.equal(model.sample(4, seeded()), torch.sigmoid(model.decode(torch.randn(4, 3, generator=seeded()))))


def test_the_likelihood_takes_logits_of_any_size():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = -objectives.bernoulli_log_likelihood(logits, torch.tensor([[0.0, 1.0]]))
    assert loss.item() == 400.0  # clamped logs would say 200
    assert torch.autograd.grad(loss.sum(), logits)[0].tolist() == [[1.0, -1.0]]  # and give no gradient


def calls(tree, names):
    """Calls in a syntax tree of a function or method with one of these names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in names:
                yield node


def unsafe(source):
    """What a log should not be fed with, as text: clamps, an epsilon, or BCE on probabilities."""
    tree = ast.parse(source)
    found = [ast.unparse(call) for call in calls(tree, {"binary_cross_entropy", "BCELoss"})]
    for log in calls(tree, {"log", "log2", "log10", "logit"}):
        clamps = list(calls(log, {"clamp", "clip", "clamp_", "clip_", "clamp_min", "maximum", "nan_to_num"}))
        epsilon = [node for node in ast.walk(log) if isinstance(node, ast.Constant) and isinstance(node.value, float) and 0 < abs(node.value) < 1e-3]
        if clamps or epsilon:
            found.append(ast.unparse(log))
        found += [ast.unparse(log)] * any(word.arg == "eps" for word in log.keywords)
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_no_clamp_and_no_epsilon_inside_a_log(path):
    assert unsafe(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("bad", ["torch.log(p + 1e-8)", "p.clamp(min=1e-7).log()", "F.binary_cross_entropy(p, x)",
                                 "nn.BCELoss()", "torch.log(torch.clamp(p, 0, 1))", "torch.logit(p, eps=1e-6)"])
def test_the_scan_for_unsafe_logs_finds_them(bad):
    assert unsafe(bad) and not unsafe("torch.log(p) + 1e-8; p.clip(0); torch.logit((p * n + 1) / (n + 2))")


# Pixels


def test_training_sees_fresh_binary_draws_of_each_image_and_grey_is_the_intensity():
    images = torch.full((64, 20), 128, dtype=torch.uint8)
    seen = {"binary": [], "grey": []}

    for kind, batches in seen.items():
        def loss(model, x, generator):
            batches.append(x)
            return bounds.negative_elbo(model, x, generator)
        fit(models.VAE(**SMALL), images, pixels=kind, loss=loss)
    first, second = seen["binary"]
    assert all(((x == 0) | (x == 1)).all() for x in (first, second)) and not torch.equal(first, second)
    assert abs(torch.cat([first, second]).mean() - 128 / 255) < 5 * 0.5 / math.sqrt(2 * 64 * 20)
    assert all((x == 128 / 255).all() for x in seen["grey"])


# Docstrings


def public_functions():
    """Every public function, class and method of the four modules, as (name, object)."""
    for module in (models, objectives, training, evaluation):
        for name, thing in vars(module).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
                continue
            yield f"{module.__name__}.{name}", thing
            if inspect.isclass(thing):
                for method, function in vars(thing).items():
                    if inspect.isfunction(function) and not method.startswith("_"):
                        yield f"{module.__name__}.{name}.{method}", function


PUBLIC = dict(public_functions())


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstrings_say_what_and_which_shape(name):
    thing = PUBLIC[name]
    assert thing.__doc__ and len(thing.__doc__.split()) >= 5, "no docstring"
    source = "" if inspect.isclass(thing) else str(inspect.signature(thing))
    if "Tensor" in source:
        assert re.search(r"\[[^\]]+\]|same shape", thing.__doc__), f"no shape in {thing.__doc__!r}"


@pytest.mark.parametrize("name", ["gaussian_kl", "bernoulli_log_likelihood", "standard_normal_log_density", "gaussian_log_density",
                                  "negative_elbo", "elbo", "log_importance_weights", "importance_weighted_bound"])
def test_docstrings_of_losses_give_the_unit(name):
    assert "nats" in getattr(objectives, name).__doc__


# Nothing random without a seed


@EVERY_KIND
def test_the_same_seed_trains_the_same_model_bit_for_bit(kind, images, one_thread):
    first, second, other = kind(**SMALL), kind(**SMALL), kind(**SMALL)
    histories = [fit(model, images, seed=seed) for model, seed in ((first, 5), (second, 5), (other, 6))]
    assert histories[0].loss == histories[1].loss != histories[2].loss
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values()))
    assert not all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), other.state_dict().values()))


@EVERY_KIND
def test_the_global_generators_are_left_alone(kind, images):
    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    before = states()
    model = kind(**SMALL, seed=3)
    fit(model, images)
    model.sample(5, seeded())
    model.loss_terms(pixels(), seeded())
    data.binarize(images, seeded())
    evaluation.mean_loss_terms(model, pixels())
    if kind is models.VAE:
        evaluation.mean_elbo(model, pixels()), evaluation.mean_log_likelihood(model, pixels(), 3)
    assert states() == before


def test_the_global_generator_does_not_change_what_a_seed_gives(images, one_thread):
    results = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = models.VAE(**SMALL)
            results.append((fit(model, images).loss, model.sample(2, seeded()).tolist()))
    assert results[0] == results[1]


# Clear errors: each names its mend


def vae():
    return models.VAE(**SMALL)


NAN_IMAGES = torch.full((4, 20), 0.5).index_put((torch.tensor(2), torch.tensor(3)), torch.tensor(float("nan")))
BAD_INPUT = {
    "encode unflattened images": (lambda: vae().encode(torch.zeros(2, 4, 5)), r"flatten\(1\)"),
    "encode another number of pixels": (lambda: vae().encode(torch.zeros(2, 21)), r"\[B, 20\]"),
    "encode uint8": (lambda: vae().encode(torch.zeros(2, 20, dtype=torch.uint8)), "binarize"),
    "decode another latent size": (lambda: vae().decode(torch.zeros(2, 4)), r"\[\.\.\., 3\]"),
    "noise above 1": (lambda: models.DenoisingAutoencoder(noise=1.5), "probability"),
    "mu and logvar differ": (lambda: objectives.reparameterize(torch.zeros(2, 3), torch.zeros(2, 1)), "equal"),
    "mu and logvar differ in the KL": (lambda: objectives.gaussian_kl(torch.zeros(2, 3), torch.zeros(3)), "equal"),
    "likelihood of unflattened images": (lambda: objectives.bernoulli_log_likelihood(torch.zeros(2, 20), torch.zeros(2, 4, 5)), r"flatten\(1\)"),
    "likelihood of uint8": (lambda: objectives.bernoulli_log_likelihood(torch.zeros(2, 20), torch.zeros(2, 20, dtype=torch.uint8)), "binarize"),
    "likelihood of 0..255": (lambda: objectives.bernoulli_log_likelihood(torch.zeros(2, 20), torch.full((2, 20), 255.0)), "to_grey"),
    "likelihood of tanh-scaled pixels": (lambda: objectives.bernoulli_log_likelihood(torch.zeros(2, 20), -torch.ones(2, 20)), r"\[0, 1\]"),
    "likelihood of NaN": (lambda: objectives.bernoulli_log_likelihood(torch.zeros(4, 20), NAN_IMAGES), "NaN"),
    "no samples in the ELBO": (lambda: bounds.elbo(vae(), pixels(), 0), "at least 1"),
    "no samples in the bound": (lambda: bounds.importance_weighted_bound(vae(), pixels(), 0), "at least 1"),
    "fit unflattened images": (lambda: fit(vae(), torch.zeros(2, 4, 5)), r"flatten\(1\)"),
    "fit no images": (lambda: fit(vae(), torch.zeros(0, 20)), "N > 0"),
    "fit NaN": (lambda: fit(vae(), NAN_IMAGES), "1 value.* NaN.*[Rr]emove"),
    "fit float 0..255": (lambda: fit(vae(), torch.full((4, 20), 255.0)), "[Dd]ivide"),
    "fit int64": (lambda: fit(vae(), torch.zeros(4, 20, dtype=torch.int64)), "uint8"),
    "fit another number of pixels": (lambda: fit(vae(), torch.zeros(4, 21, dtype=torch.uint8)), "n_pixels=21"),
    "fit 0 epochs": (lambda: fit(vae(), pixels(), epochs=0), "at least 1"),
    "fit batch size 0": (lambda: fit(vae(), pixels(), batch_size=0), "at least 1"),
    "fit unknown pixels": (lambda: fit(vae(), pixels(), pixels="gray"), '"binary" or "grey"'),
    "train an unknown model": (lambda: training.trained("vea", pixels()), "ae, dae, vae"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_an_error_that_names_the_mend(case):
    call, mend = BAD_INPUT[case]
    with pytest.raises(ValueError, match=mend):
        call()


# Interruptions and losses that are no numbers


def stop_after(n, error=KeyboardInterrupt):
    """A loss that is stopped by the user at its n-th call."""
    count = 0

    def loss(model, x, generator):
        nonlocal count
        count += 1
        if count == n:
            raise error
        return bounds.negative_elbo(model, x, generator)

    return loss


@EVERY_KIND
@pytest.mark.parametrize("call, epochs", [(1, 0), (8, 1), (10, 1)])
def test_the_stop_button_returns_the_history_so_far_and_a_usable_model(kind, call, epochs, images, capsys):
    model = kind(**SMALL)
    history = fit(model, images, epochs=3, loss=stop_after(call))  # 5 steps an epoch
    assert history.interrupted and len(history.loss) == len(history.seconds) == epochs
    assert "Interrupted" in capsys.readouterr().out
    assert not model.training
    assert torch.isfinite(model.reconstruct(pixels())).all() and torch.isfinite(model.sample(5, seeded())).all()
    assert not fit(model, images, epochs=1).interrupted  # and it can be trained on


def test_the_stop_button_in_on_epoch_keeps_that_epoch(images):
    def on_epoch(model):
        raise KeyboardInterrupt

    model = models.VAE(**SMALL)
    history = fit(model, images, epochs=3, on_epoch=on_epoch)
    assert history.interrupted and len(history.loss) == 1 and history.evaluations == [] and not model.training


def test_a_full_run_is_not_called_interrupted(images):
    history = fit(models.VAE(**SMALL), images, epochs=3, on_epoch=lambda model: model.training)
    assert not history.interrupted and len(history.loss) == 3
    assert history.evaluations == [False] * 3  # evaluation mode
    assert history.seconds == sorted(history.seconds) and history.seconds[0] > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("broken_from", [1, 4, 51])
def test_a_loss_that_is_no_number_stops_training_soon_and_says_so(value, broken_from, images):
    steps = 0

    def loss(model, x, generator):
        nonlocal steps
        steps += 1
        return bounds.negative_elbo(model, x, generator) * (value if steps >= broken_from else 1.0)

    model = models.VAE(**SMALL)
    with pytest.raises(FloatingPointError, match="[Ll]earning rate"):
        fit(model, images, batch_size=2, loss=loss)
    assert broken_from <= steps <= broken_from + training.CHECK_EVERY
    assert not model.training


def test_a_nan_in_the_last_steps_of_an_epoch_is_found_at_its_end(images):
    steps = 0

    def loss(model, x, generator):
        nonlocal steps
        steps += 1
        return bounds.negative_elbo(model, x, generator) * (float("nan") if steps == 5 else 1.0)

    with pytest.raises(FloatingPointError):
        fit(models.VAE(**SMALL), images, loss=loss)  # 5 steps an epoch: the next regular look is step 50
    assert steps == 5


# The cache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LECTURE_CACHE", str(folder))
    return folder


@pytest.fixture
def fits(monkeypatch):
    """Count the trainings behind `trained`."""
    runs = []

    def counted(*args, **options):
        runs.append(options)
        return original(*args, **options, progress=False)

    original = training.fit
    monkeypatch.setattr(training, "fit", counted)
    return runs


def trained(images, name="vae", **options):
    return training.trained(name, images, **dict(epochs=1, batch_size=64, **SMALL) | options)


def same(model, other):
    return all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values()))


def files(cache):
    return sorted(path.name for path in cache.iterdir()) if cache.is_dir() else []


@pytest.mark.parametrize("name", training.MODELS)
def test_the_second_call_comes_from_the_cache_and_is_the_same(name, images, cache, fits):
    model, history = trained(images, name)
    again, history_again = trained(images, name)
    assert len(fits) == 1 and len(files(cache)) == 1 and files(cache)[0].startswith(name)
    assert same(model, again) and history == history_again
    assert not again.training and model is not again


def test_anything_that_changes_the_result_is_trained_anew(images, cache, fits):
    one_pixel = images.clone()
    one_pixel[17, 3] ^= 1
    variants = [{}, {"seed": 1}, {"epochs": 2}, {"batch_size": 32}, {"learning_rate": 1e-3}, {"pixels": "grey"}, {"latent_dim": 4},
                {"hidden": (8,)}, {"name": "ae"}, {"name": "dae"}, {"name": "dae", "noise": 0.1}, {"images": one_pixel}, {"images": images[:299]}]
    for variant in variants:
        trained(**{"images": images} | variant)
    assert len(fits) == len(files(cache)) == len(variants)
    for variant in variants:
        trained(**{"images": images} | variant)
    assert len(fits) == len(variants)


def test_seed_reaches_both_the_weights_and_the_training(images, cache):
    by_hand = models.VAE(**SMALL, seed=4)
    history = training.fit(by_hand, images, epochs=1, batch_size=64, seed=4, progress=False)
    model, cached_history = trained(images, seed=4)
    assert cached_history.loss == pytest.approx(history.loss, rel=1e-5)
    assert all(torch.allclose(a.cpu(), b.cpu(), atol=1e-4) for a, b in zip(by_hand.state_dict().values(), model.state_dict().values()))


@pytest.mark.parametrize("damage", ["truncated", "random bytes", "empty", "another file's content"])
def test_a_damaged_entry_costs_only_the_time_to_train_again(damage, images, cache, fits):
    model, _ = trained(images)
    entry, = cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes({"truncated": whole[: len(whole) // 2], "random bytes": random.Random(0).randbytes(5000), "empty": b"",
                       "another file's content": json.dumps({"weights": 1}).encode()}[damage])
    with pytest.warns(UserWarning, match="damaged") as caught:
        again, _ = trained(images)
    assert len(caught) == 1 and len(fits) == 2
    assert torch.isfinite(again.sample(3, seeded())).all() and all(
        torch.allclose(a, b, atol=1e-4) for a, b in zip(model.state_dict().values(), again.state_dict().values()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(images)
    assert len(fits) == 2 and len(files(cache)) == 1


def test_a_folder_that_cannot_be_written_costs_a_warning_not_the_model(images, tmp_path, monkeypatch, fits):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LECTURE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="LECTURE_CACHE") as caught:
        model, history = trained(images)
    assert len(caught) == 1 and len(history.loss) == 1 and torch.isfinite(model.sample(3, seeded())).all()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing file")])
def test_a_full_disk_costs_a_warning_and_leaves_nothing_behind(error, images, cache, monkeypatch, fits):
    def save(entry, file):
        file.write(b"half")
        raise error

    monkeypatch.setattr(torch, "save", save)
    with pytest.warns(UserWarning, match="disk space"):
        model, _ = trained(images)
    assert torch.isfinite(model.sample(3, seeded())).all() and files(cache) == []


def test_a_run_that_is_stopped_while_saving_leaves_nothing_behind(images, cache, monkeypatch, fits):
    def save(entry, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(KeyboardInterrupt):
        trained(images)
    assert files(cache) == []


def test_an_interrupted_run_is_not_kept(images, cache, monkeypatch, fits):
    count, original = 0, models.VAE.loss_terms

    def loss_terms(self, x, generator=None):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return original(self, x, generator)

    monkeypatch.setattr(models.VAE, "loss_terms", loss_terms)
    model, history = trained(images)
    assert history.interrupted and files(cache) == [] and torch.isfinite(model.sample(3, seeded())).all()
    _, history = trained(images)
    assert not history.interrupted and len(fits) == 2 and len(files(cache)) == 1


def test_writing_an_entry_is_one_step(images, cache, monkeypatch, fits):
    """Another process never sees half an entry: until it is complete, there is no file of its name."""
    original, during = torch.save, []

    def save(entry, file):
        original(entry, file)
        during.append(files(cache))

    monkeypatch.setattr(torch, "save", save)
    trained(images)
    assert [Path(name).suffix for name in during[0]] == [".part"]
    assert [Path(name).suffix for name in files(cache)] == [".pt"]


# No code that nobody uses


def identifiers(tree):
    """Every name, attribute and name imported from the package in a syntax tree."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lecture_utils"):
            names.update(alias.name for alias in node.names)
    return names


def names_in_notebooks_tests_and_benchmarks():
    sources = [path.read_text(encoding="utf-8") for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources += [re.sub(r"^\s*[%!].*$", "pass", "".join(cell["source"]), flags=re.MULTILINE) for cell in cells if cell["cell_type"] == "code"]
    return set().union(*(identifiers(ast.parse(source)) for source in sources))


def definitions():
    """What the package defines, (module, name) -> the names that the definition uses; code run on import is under ""."""
    found = {}
    for path in sorted(PACKAGE.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            names = [target.id for target in targets if isinstance(target, ast.Name)] or [getattr(node, "name", "")]
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                for name in names:
                    found.setdefault((path.name, name), set()).update(identifiers(node))
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef):
                        found.setdefault((path.name, method.name), set()).update(identifiers(method))
    return found


def unused_names(used):
    """Public names of the package that are neither in `used` nor needed by anything that is."""
    found, alive = definitions(), used | {""}
    while True:
        needed = set().union(*(names for (_, name), names in found.items() if name in alive or name.startswith("__")))
        if needed <= alive:
            return [f"{module}: {name}" for module, name in found if name not in alive and not name.startswith("_")]
        alive |= needed


def test_every_public_name_serves_a_notebook_test_or_benchmark():
    assert unused_names(names_in_notebooks_tests_and_benchmarks()) == []


def test_the_scan_for_unused_names_finds_them():
    assert "objectives.py: importance_weighted_bound" in unused_names({"gaussian_kl"})
    assert "objectives.py: importance_weighted_bound" not in unused_names({"mean_log_likelihood"})  # needed by it
