"""Training reaches what the series promises, and means the same whatever the batch size."""

import pytest
import torch

from lecture_utils import data, evaluation, models, objectives, training


@pytest.fixture(scope="module")
def mnist():
    return data.load_mnist()


def test_two_grey_epochs_reach_what_the_usual_script_reaches_in_ten(mnist):
    model = models.VAE(latent_dim=20, hidden=(400,))
    training.fit(model, mnist.train_images, epochs=2, pixels="grey", device="cpu", progress=False)
    assert sum(evaluation.mean_loss_terms(model, data.to_grey(mnist.test_images))) <= 105.6


def test_five_binary_epochs_reach_102_5_nats_and_the_importance_weighted_estimate_is_above_the_elbo(mnist):
    model, history = training.trained("vae", mnist.train_images, latent_dim=20)
    assert len(history.loss) <= 5
    x = data.binary_test_set(mnist)
    elbo = evaluation.mean_elbo(model, x)
    assert -elbo.mean <= 102.5
    few = x[:1000]
    assert evaluation.mean_log_likelihood(model, few, n_samples=20).mean > evaluation.mean_elbo(model, few).mean
    assert evaluation.active_units(model, x).sum() >= 10


def test_training_starts_as_the_best_model_of_independent_pixels(mnist):
    model = models.VAE(hidden=(20,), latent_dim=2)
    model.set_output_bias(data.to_grey(mnist.train_images).mean(dim=0), len(mnist.train_images))
    logits = model.to_logits.bias
    p = data.to_grey(mnist.train_images).double().mean(dim=0)
    expected = (p * 60000 + 1) / 60002
    assert torch.allclose(torch.sigmoid(logits).double(), expected, atol=1e-6)
    assert torch.isfinite(logits).all()  # pixels that are always off included


def test_the_encoder_sees_the_pixels_less_their_mean_and_computes_what_a_shifted_first_bias_would(mnist):
    centred, shifted = models.VAE(hidden=(20,), latent_dim=2), models.VAE(hidden=(20,), latent_dim=2)
    mean_image = data.to_grey(mnist.train_images).mean(dim=0)
    centred.center_inputs(mean_image)
    with torch.no_grad():
        shifted.encoder[0].bias -= shifted.encoder[0].weight @ mean_image
    x = data.to_grey(mnist.test_images[:100])
    for a, b in zip(centred.encode(x), shifted.encode(x)):
        assert torch.allclose(a, b, atol=1e-5)
    seen = []
    centred.encoder.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    centred.encode(data.to_grey(mnist.train_images))
    assert seen[0].mean(dim=0).abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(1,), (783,)])
def test_a_mean_image_of_other_pixels_is_refused(shape):
    model = models.VAE(hidden=(20,), latent_dim=2)
    with pytest.raises(ValueError, match="the model was built for 784"):
        model.center_inputs(torch.zeros(shape))


def test_adam_moves_every_layer_by_the_same_share_of_its_initial_weights(mnist):
    """Adam's first step moves each weight by its learning rate; a layer of n inputs starts uniform in +-1/sqrt(n)."""
    model = models.VAE(hidden=(100,), latent_dim=7)
    layers = training.layer_rates(model, 1e-3)
    before = [layer["params"][0].detach().clone() for layer in layers]
    optimizer = torch.optim.Adam(layers)
    bounds.negative_elbo(model, data.to_grey(mnist.train_images[:500])).mean().backward()
    optimizer.step()
    shares = [(layer["params"][0] - start).abs().max() * start.shape[1] ** 0.5 for layer, start in zip(layers, before)]
    assert torch.stack(shares).tolist() == pytest.approx([1e-3 * 400**0.5] * 5, rel=0.01)


def test_every_parameter_has_a_rate_also_those_of_no_layer():
    model = models.VAE(hidden=(9,), latent_dim=2)
    model.log_sigma = torch.nn.Parameter(torch.zeros(()))
    layers = training.layer_rates(model, 0.5)
    given = [parameter for layer in layers for parameter in layer["params"]]
    assert {id(parameter) for parameter in given} == {id(parameter) for parameter in model.parameters()}
    assert len(given) == len(list(model.parameters()))
    assert next(layer["lr"] for layer in layers if layer["params"][0] is model.log_sigma) == 0.5


@pytest.fixture(params=[True, False], ids=["fast bfloat16", "no bfloat16"])
def fast_bfloat16(request, monkeypatch):
    """A processor that has the instructions, as far as training asks, and one that has not."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: request.param)
    return request.param


def test_products_are_rounded_only_where_that_is_fast_and_codes_logits_and_losses_never(mnist, fast_bfloat16):
    model, dtypes = models.VAE(hidden=(50,), latent_dim=5), []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda layer, inputs, product: dtypes.append(product.dtype))

    def loss(model, x, generator):
        mu, logvar = model.encode(x)
        logits = model.decode(mu)
        values = objectives.gaussian_kl(mu, logvar) - objectives.bernoulli_log_likelihood(logits, x)
        assert {mu.dtype, logvar.dtype, logits.dtype, values.dtype} == {torch.float32}
        return values

    training.fit(model, mnist.train_images[:256], epochs=1, loss=loss, device="cpu", progress=False)
    assert set(dtypes) == {torch.bfloat16 if fast_bfloat16 else torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    dtypes.clear()
    model.sample(3)
    assert set(dtypes) == {torch.float32}  # only training rounds


def test_a_gpu_multiplies_as_it_is_told():
    for device in ("cuda", "mps"):
        with training.mixed_precision(device):
            assert not torch.is_autocast_enabled("cpu")


def test_rounded_factors_change_a_gradient_by_less_than_a_per_cent(mnist, monkeypatch):
    """bfloat16 keeps 8 bits: an error of at most 2^-9 in each factor, and they cancel in the sums."""
    model = models.VAE()
    x = data.to_grey(mnist.train_images[:256])
    gradients = []
    for fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
        with training.mixed_precision("cpu"):
            loss = bounds.negative_elbo(model, x, torch.Generator().manual_seed(0)).mean()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    rounded, exact = gradients
    assert 0 < (rounded - exact).norm() < 0.01 * exact.norm()


@pytest.mark.parametrize("n_steps", [1, 2, 9, 10, 11, 1175])
def test_the_rate_rises_in_a_tenth_of_the_steps_and_falls_to_nearly_zero(n_steps):
    rates = [training.one_cycle(step, n_steps) for step in range(n_steps)]
    peak = rates.index(max(rates))
    assert rates[:peak + 1] == sorted(rates[:peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < min(rates) and max(rates) <= 1 and peak <= n_steps / 10
    assert n_steps < 10 or rates[-1] == pytest.approx(1 / (0.9 * n_steps)) and max(rates) > 0.9
    assert training.one_cycle(n_steps, n_steps) == 0


def test_recorded_loss_is_the_mean_over_images_whatever_the_last_batch(mnist):
    """A loss that depends on the image alone must be averaged to the same number, short last batch or not."""
    images = mnist.train_images[:1000]

    def mean_intensity(model, x, generator):
        return x.mean(dim=1) + 0 * model.to_logits.bias.sum()

    for batch_size in (1000, 300, 7):
        history = training.fit(models.VAE(hidden=(4,), latent_dim=2), images, epochs=1, batch_size=batch_size, pixels="grey",
                               loss=mean_intensity, device="cpu", progress=False)
        assert history.loss[0] == pytest.approx(data.to_grey(images).mean().item(), rel=1e-5)


def test_each_epoch_sees_every_image_once(mnist):
    images = torch.arange(50, dtype=torch.uint8).repeat(784, 1).T.contiguous()
    seen = []

    def note(model, x, generator):
        seen.extend((x[:, 0] * 255).round().int().tolist())
        return 0 * model.decode(model.code(x)).sum(dim=1)

    training.fit(models.VAE(hidden=(4,), latent_dim=2), images, epochs=2, batch_size=8, pixels="grey", loss=note,
                 device="cpu", progress=False)
    assert sorted(seen[:50]) == sorted(seen[50:]) == list(range(50)) and seen[:50] != seen[50:]


def test_on_epoch_is_called_after_each_epoch_with_the_model_in_evaluation_mode(mnist):
    modes = []
    history = training.fit(models.VAE(hidden=(4,), latent_dim=2), mnist.train_images[:100], epochs=3, device="cpu",
                           on_epoch=lambda model: modes.append(model.training) or len(modes), progress=False)
    assert modes == [False] * 3 and history.evaluations == [1, 2, 3]
    assert len(history.loss) == len(history.seconds) == 3 and not history.interrupted
