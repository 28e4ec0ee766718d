"""The small GAN: exact values, errors, interruption, repeatability, and that it is trained once."""

import math

from lecture_utils import gan, toy_data, training

import pytest
import torch

from tests.helpers import normal, seeded

IMAGES = torch.randint(0, 256, (256, 784), dtype=torch.uint8, generator=seeded(0))
CPU = {"device": "cpu", "progress": False}


def test_gan_losses_are_minus_the_logs_of_probabilities_and_stay_finite():
    a, b = 2 * normal(0, 50), 2 * normal(1, 50)
    p, q = torch.sigmoid(a), torch.sigmoid(b)
    torch.testing.assert_close(gan.discriminator_loss(a, b), -(p.log() + (1 - q).log()))
    torch.testing.assert_close(gan.generator_loss(b), -q.log())
    assert torch.isfinite(
        gan.discriminator_loss(torch.tensor([-500.0]), torch.tensor([500.0]))
    ).all()


def test_an_undecided_discriminator_loses_log_4():
    assert gan.discriminator_loss(torch.zeros(1), torch.zeros(1)).item() == pytest.approx(
        math.log(4)
    )


def test_networks_map_noise_to_pixels_and_pixels_to_logits():
    images = gan.GanGenerator(latent_dim=5)(torch.zeros(3, 5))
    assert images.shape == (3, 784) and images.min() >= 0 and images.max() <= 1
    assert gan.Discriminator()(images).shape == (3,)


@pytest.mark.parametrize(
    "network, bad",
    [
        (gan.GanGenerator(latent_dim=5), torch.zeros(3, 6)),
        (gan.Discriminator(), torch.zeros(3, 1, 28, 28)),
    ],
)
def test_networks_name_the_shape_they_take(network, bad):
    with pytest.raises(ValueError, match="takes"):
        network(bad)


def new_gan(seed=1):
    return gan.Gan(gan.GanGenerator(seed=seed), gan.Discriminator(seed=seed))


def test_gan_training_repeats_and_leaves_the_global_generator_alone(one_thread):
    before, runs = torch.get_rng_state(), []
    for _ in range(2):
        model = new_gan()
        history = gan.fit_gan(model, IMAGES, epochs=2, seed=2, **CPU)
        runs.append((history.losses, model.generator.sample(4, seeded(3)).tolist()))
    assert runs[0] == runs[1]
    assert torch.equal(before, torch.get_rng_state())
    assert not model.training and not history.interrupted
    assert {name: len(losses) for name, losses in history.losses.items()} == {
        "discriminator": 1,
        "generator": 1,
    }


def test_gan_refuses_images_that_do_not_fill_a_batch():
    with pytest.raises(ValueError, match="do not fill a batch"):
        gan.fit_gan(new_gan(), IMAGES[:10], batch_size=64, **CPU)


def test_the_gan_on_the_ring_maps_noise_to_points_and_points_to_logits(one_thread):
    pair = gan.new_ring_gan(seed=3)
    points = toy_data.draw_ring(640, seeded(0))
    assert pair.generator(torch.zeros(5, 2)).shape == (5, 2)
    assert pair.discriminator(points[:5]).shape == (5,)
    weights = pair.generator.layers[0].weight.clone()
    gan.fit_gan(pair, points, batch_size=64, **CPU)
    assert not torch.equal(weights, pair.generator.layers[0].weight)
    twin = gan.new_ring_gan(seed=3)
    assert torch.equal(twin.generator.layers[0].weight, weights)
    assert pair.generator.sample(7, seeded(1)).shape == (7, 2)


class _StopsAtCall(gan.Discriminator):
    """Presses the stop button in its n-th call. Each step makes three: the third is g's, while D's
    weights are frozen.
    """

    def __init__(self, n):
        super().__init__()
        self.calls, self.n = 0, n

    def forward(self, x):
        self.calls += 1
        if self.calls == self.n:
            raise KeyboardInterrupt
        return super().forward(x)


@pytest.mark.parametrize("call", [1, 6, 7])
def test_an_interrupted_gan_says_so_and_is_usable(call, capsys):
    generator, discriminator = gan.GanGenerator(), _StopsAtCall(call)
    record = gan.fit_gan(gan.Gan(generator, discriminator), IMAGES, epochs=2, **CPU)
    assert record.interrupted and "usable" in capsys.readouterr().out
    assert all(p.requires_grad for p in discriminator.parameters())  # the next fit can train it
    assert not generator.training and torch.isfinite(generator.sample(3)).all()


def test_a_gan_that_diverges_stops_with_a_clear_error():
    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        gan.fit_gan(new_gan(), torch.full((128, 784), math.nan), **CPU)


# What is trained once


def test_a_gan_is_trained_once_and_then_restored_with_its_record(cache, fits):
    def once(images):
        return training.trained(new_gan(), images, fit=gan.fit_gan, **CPU)

    model, history = once(IMAGES)
    restored, again = once(IMAGES)
    assert len(fits) == 1 and again == history and len(history.losses["generator"]) > 0
    for name, value in model.state_dict().items():
        assert torch.equal(value, restored.state_dict()[name])
    assert not model.training and not restored.training
    once(IMAGES[:-1])
    assert len(fits) == 2  # other images, another training


def test_an_interrupted_gan_is_not_kept(cache):
    model = gan.Gan(gan.GanGenerator(), _StopsAtCall(6))
    _, history = training.trained(model, IMAGES, fit=gan.fit_gan, **CPU)
    assert history.interrupted and not cache.exists()
