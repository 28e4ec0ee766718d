"""The small diffusion model: exact values, errors, interruption, repeatability."""

import math

from lecture_utils import diffusion

import pytest
import torch
from sklearn.mixture import GaussianMixture

from tests.helpers import double, normal, seeded
from tests.tolerances import assert_near

CPU = {"device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def schedule():
    return diffusion.NoiseSchedule(n_steps=100)


def test_all_steps_together_are_one_gaussian(schedule):
    mean, variance = 1.0, 0.0
    for t in range(1, schedule.n_steps + 1):
        mean, variance = (
            math.sqrt(schedule.alpha[t]) * mean,
            schedule.alpha[t].item() * variance + schedule.beta[t].item(),
        )
        assert mean == pytest.approx(schedule.alpha_bar[t].sqrt().item(), rel=1e-12)
        assert variance == pytest.approx(1 - schedule.alpha_bar[t].item(), rel=1e-12)
    assert mean < 0.01  # hardly anything of z_0 is left


def test_noised_has_the_closed_form_for_each_row_its_own_time(schedule):
    z0, epsilon, t = normal(0, 3, 2), normal(1, 3, 2), torch.tensor([1, 50, 100])
    for row in range(3):
        bar = schedule.alpha_bar[t[row]]
        torch.testing.assert_close(
            schedule.noised(z0, t, epsilon)[row],
            bar.sqrt() * z0[row] + (1 - bar).sqrt() * epsilon[row],
        )


@pytest.mark.parametrize("t", [2, 37, 100])
def test_posterior_is_bayes_rule_for_gaussians(schedule, t):
    z0, zt = normal(0, 5, 3), normal(1, 5, 3)
    mean, variance = schedule.posterior(z0, zt, t)
    # Precisions add: alpha / beta from the step, 1 / (1 - alpha_bar) from the past.
    precision = schedule.alpha[t] / schedule.beta[t] + 1 / (1 - schedule.alpha_bar[t - 1])
    weighted = (
        schedule.alpha[t].sqrt() / schedule.beta[t] * zt
        + schedule.alpha_bar[t - 1].sqrt() / (1 - schedule.alpha_bar[t - 1]) * z0
    )
    assert variance == pytest.approx(1 / precision.item(), rel=1e-9)
    torch.testing.assert_close(mean, weighted / precision)


def test_posterior_at_time_1_is_z0_itself(schedule):
    mean, variance = schedule.posterior(normal(0, 5, 3), normal(1, 5, 3), 1)
    torch.testing.assert_close(mean, normal(0, 5, 3))
    assert variance == 0


@pytest.mark.parametrize("t", [1, 2, 50, 100])
def test_reverse_mean_is_the_posterior_mean_if_the_noise_is_known(schedule, t):
    z0, epsilon = normal(0, 4, 3), normal(1, 4, 3)
    zt = schedule.noised(z0, torch.full((4,), t), epsilon)
    torch.testing.assert_close(
        schedule.reverse_mean(zt, epsilon, t), schedule.posterior(z0, zt, t)[0]
    )


@pytest.mark.parametrize(
    "bad",
    [
        torch.tensor([0.1, 1.0]),
        torch.tensor([0.0, 0.1]),
        torch.tensor([]),
        torch.tensor([float("nan")]),
    ],
)
def test_schedule_refuses_betas_outside_0_1(bad):
    with pytest.raises(ValueError, match="between 0 and 1"):
        diffusion.NoiseSchedule(beta=bad)
    with pytest.raises(ValueError, match="n_steps"):
        diffusion.NoiseSchedule(n_steps=10)


@pytest.mark.parametrize("dims", [1, 3])
def test_an_untrained_denoiser_is_perfect_for_standard_normal_data_so_that_its_bound_is_exact(
    schedule, dims
):
    denoiser = diffusion.Denoiser(latent_dim=dims, hidden=16, schedule=schedule)
    for value in (0.0, -1.7):
        z0 = torch.full((3000, dims), value, dtype=torch.float32)
        terms = diffusion.diffusion_bound_terms(denoiser, z0, seeded(0))
        assert terms.shape == (schedule.n_steps + 1, 3000)
        total = terms.sum(dim=0)
        exact = dims * (0.5 * math.log(2 * math.pi) + value**2 / 2)
        assert abs(total.mean().item() - exact) < 4 * total.std().item() / 3000**0.5 + 1e-4


def test_an_untrained_denoiser_samples_standard_normals(schedule):
    z = diffusion.Denoiser(latent_dim=2, hidden=16, schedule=schedule).sample(20_000, seeded(0))
    # The last step adds no noise, so the variance falls short of 1 by beta_1.
    assert z.mean(dim=0).abs().max() < 4 / 20_000**0.5
    assert (z.var(dim=0) - (1 - schedule.beta[1])).abs().max() < 4 * (2 / 20_000) ** 0.5


def test_simple_loss_is_the_squared_error_of_the_noise(schedule):
    z0 = normal(0, 6, 4, dtype=torch.float32)
    denoiser = diffusion.Denoiser(latent_dim=4, hidden=16, schedule=schedule, seed=1)
    generator = seeded(5)
    t = torch.randint(1, 101, (6,), generator=generator)
    epsilon = torch.randn(6, 4, generator=generator)
    expected = (epsilon - denoiser(schedule.noised(z0, t, epsilon), t)).pow(2).sum(1)
    assert_near(diffusion.simple_loss(denoiser, z0, seeded(5)), expected, terms=4 + 7 + 3 * 16)


def test_diffusion_learns_where_the_codes_are_and_repeats(one_thread):
    """Four codes of five at -1/2, one at 2 (mean 0, variance 1): untrained it samples N(0, 1),
    trained it finds both.
    """
    mu = torch.tensor([-0.5, -0.5, -0.5, -0.5, 2.0])[:, None]
    runs = []
    for _ in range(2):
        denoiser = diffusion.Denoiser(latent_dim=1, hidden=32, seed=0)
        before = denoiser.sample(2000, seeded(0))
        record = diffusion.fit_diffusion(
            denoiser,
            mu,
            torch.full_like(mu, -8),
            steps=400,
            batch_size=128,
            learning_rate=1e-2,
            **CPU,
        )
        runs.append(denoiser.sample(2000, seeded(0)))
    assert not denoiser.training and len(record.loss) == 8 and record.loss[-1] < record.loss[0]

    def miss(z):
        return torch.minimum((z + 0.5).abs(), (z - 2).abs()).mean()

    assert miss(before) > 0.4 and miss(runs[0]) < miss(before) / 2
    assert abs((runs[0] > 0.75).float().mean() - 0.2) < 0.1
    assert torch.equal(runs[0], runs[1])


class _StopsInTraining(diffusion.Denoiser):
    """Presses the stop button in its 61st call."""

    calls = 0

    def forward(self, zt, t):
        self.calls += self.training
        if self.calls > 60:
            self.calls = 0
            raise KeyboardInterrupt
        return super().forward(zt, t)


def test_an_interrupted_diffusion_says_so_and_is_usable(capsys):
    denoiser = _StopsInTraining(latent_dim=2, hidden=16)
    record = diffusion.fit_diffusion(
        denoiser, torch.zeros(10, 2), torch.zeros(10, 2), steps=100, **CPU
    )
    assert (
        record.interrupted
        and len(record.loss) == 1
        and "Interrupted after 60 of 100 steps" in capsys.readouterr().out
    )
    assert not denoiser.training and torch.isfinite(denoiser.sample(3)).all()


def test_diffusion_refuses_nan_and_shapes_that_do_not_fit():
    denoiser = diffusion.Denoiser(latent_dim=2, hidden=16)
    with pytest.raises(FloatingPointError, match="Lower the learning rate"):
        diffusion.fit_diffusion(
            denoiser, torch.full((10, 2), float("nan")), torch.zeros(10, 2), steps=5, **CPU
        )
    with pytest.raises(ValueError, match=r"expected twice \[N, 2\]"):
        diffusion.fit_diffusion(denoiser, torch.zeros(10, 3), torch.zeros(10, 3), **CPU)
    with pytest.raises(ValueError, match=r"expected \[B, 2\]"):
        denoiser(torch.zeros(4, 3), torch.ones(4, dtype=torch.int64))


# The perfect denoiser of a mixture


COVARIANCES = double([[[0.3, 0.1], [0.1, 0.2]], [[0.05, 0.0], [0.0, 0.4]]])


def two_gaussians(schedule):
    """A mixture in the plane with full covariances of their own."""
    means = torch.tensor([[-1.0, 0.5], [0.8, -0.2]], dtype=torch.float64)
    return diffusion.MixtureDenoiser(double([0.3, 0.7]), means, COVARIANCES, schedule)


@pytest.mark.parametrize("t", [0, 1, 20, 100])
def test_a_noised_mixture_has_the_density_that_torch_gives_it(schedule, t):
    perfect, z = two_gaussians(schedule), normal(3, 1001, 2)
    bar = schedule.alpha_bar[t]
    gaussians = torch.distributions.MultivariateNormal(
        bar.sqrt() * perfect.means, bar * COVARIANCES + (1 - bar) * torch.eye(2).double()
    )
    weights = torch.distributions.Categorical(double([0.3, 0.7]))
    referee = torch.distributions.MixtureSameFamily(weights, gaussians)
    torch.testing.assert_close(
        perfect.log_density(z, torch.full((1001,), t)), referee.log_prob(z), rtol=1e-6, atol=1e-6
    )


def test_the_score_is_the_gradient_of_the_log_density(schedule):
    perfect, t = two_gaussians(schedule), torch.arange(1, 51)
    z = normal(4, 50, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(perfect.log_density(z, t).sum(), z)
    torch.testing.assert_close(perfect.score(z.detach(), t), gradient)


def test_tweedie_the_perfect_guess_is_the_mean_noise_by_bayes_rule(schedule):
    """E[epsilon | z_t] from two components: posterior of the component, then linear regression."""
    perfect, z, t = two_gaussians(schedule), normal(5, 6, 2), torch.full((6,), 40)
    bar = schedule.alpha_bar[40]
    expected = torch.zeros(6, 2, dtype=torch.float64)
    noised = bar * COVARIANCES + (1 - bar) * torch.eye(2).double()
    gaussians = torch.distributions.MultivariateNormal(bar.sqrt() * perfect.means, noised)
    weights = double([0.3, 0.7]).log()
    shares = torch.softmax(weights + gaussians.log_prob(z[:, None]), dim=1)
    for k in range(2):  # Cov(epsilon, z_t) = sqrt(1 - bar) I
        solved = torch.linalg.solve(noised[k], (z - bar.sqrt() * perfect.means[k]).T).T
        expected += shares[:, k : k + 1] * (1 - bar).sqrt() * solved
    torch.testing.assert_close(perfect(z, t), expected, rtol=1e-6, atol=1e-6)


def test_the_perfect_denoiser_of_one_standard_normal_is_the_untrained_one(schedule):
    perfect = diffusion.MixtureDenoiser([1.0], torch.zeros(1, 3), torch.eye(3)[None], schedule)
    untrained = diffusion.Denoiser(latent_dim=3, hidden=8, schedule=schedule)
    z, t = normal(6, 30, 3, dtype=torch.float32), torch.arange(1, 31)
    with torch.no_grad():
        torch.testing.assert_close(perfect(z, t), untrained(z, t), rtol=1e-4, atol=1e-5)


def test_the_perfect_denoiser_has_a_smaller_error_than_its_neighbours(schedule):
    """Nonsense that must lose: a bit more, a bit less, another time, the other sign."""
    perfect, z0 = two_gaussians(schedule), two_gaussians(schedule).sample(4000, seeded(1)).double()
    epsilon, t = normal(7, 4000, 2), torch.full((4000,), 15)
    zt = schedule.noised(z0, t, epsilon)

    def error(guess):
        return (epsilon - guess).square().sum(dim=1)

    best = perfect(zt, t)
    for other in (1.2 * best, 0.8 * best, perfect(zt, t + 20), -best, torch.zeros_like(zt)):
        more = error(other) - error(best)
        assert more.mean() > 4 * more.std() / len(more) ** 0.5


@pytest.mark.parametrize("way", ["draw", "sample"])
def test_draws_and_the_chain_have_the_mixture_s_moments_and_shares(schedule, way):
    """The chain is a little off: 100 steps, and the last one adds no noise."""
    perfect, n = two_gaussians(schedule), 20_000
    z = getattr(perfect, way)(n, seeded(2)).double()
    slack = 0.0 if way == "draw" else 0.02
    mean = 0.3 * perfect.means[0] + 0.7 * perfect.means[1]
    apart = perfect.means[0] - perfect.means[1]
    covariance = 0.3 * COVARIANCES[0] + 0.7 * COVARIANCES[1] + 0.21 * torch.outer(apart, apart)
    assert (z.mean(dim=0) - mean).abs().max() < slack + 4 * (covariance.diag().max() / n).sqrt()
    assert (z.T.cov() - covariance).abs().max() < slack + 4 * (2 / n) ** 0.5 * covariance.max()
    left = torch.distributions.Normal(perfect.means[:, 0], COVARIANCES[:, 0, 0].sqrt())
    share = (double([0.3, 0.7]) * left.cdf(double(-0.4))).sum()
    assert abs((z[:, 0] < -0.4).double().mean() - share) < slack + 4 * (0.25 / n) ** 0.5


def test_a_fitted_mixture_of_scikit_learn_has_the_same_density(schedule):
    points = normal(8, 300, 2).numpy()
    fitted = GaussianMixture(3, random_state=0).fit(points)
    ours = diffusion.MixtureDenoiser.of(fitted, schedule)
    t = torch.zeros(300, dtype=torch.int64)
    expected = torch.tensor(fitted.score_samples(points))
    torch.testing.assert_close(ours.log_density(torch.tensor(points), t), expected)


def test_the_perfect_denoiser_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"expected \[K\], \[K, J\]"):
        diffusion.MixtureDenoiser([1.0], torch.zeros(1, 3), torch.eye(2)[None])


def three_in_the_plane():
    """A mixture of three narrow Gaussians in two dimensions, and draws from it."""
    spread = torch.tensor([[0.2, 0.1], [0.1, 0.1]], dtype=torch.float64)
    covariances = torch.stack([spread, 0.3 * spread, torch.eye(2, dtype=torch.float64) / 10])
    mixture = diffusion.MixtureDenoiser([0.5, 0.3, 0.2], normal(3, 3, 2), covariances)
    return mixture, mixture.draw(1000, seeded(4))


def test_the_perfect_chain_loses_nothing_for_one_standard_normal():
    standard = diffusion.MixtureDenoiser([1.0], [[0.0] * 3], [torch.eye(3).tolist()])
    lost = diffusion.lost_by_the_chain(standard, normal(0, 20, 3), seeded(0))
    assert lost.abs().max() < 1e-10  # on every path


def test_what_the_chain_loses_is_the_density_minus_the_bound_but_varies_less():
    mixture, z0 = three_in_the_plane()
    lost = diffusion.lost_by_the_chain(mixture, z0, seeded(0))
    log_q = mixture.log_density(z0, torch.zeros(len(z0), dtype=torch.int64))
    by_terms = log_q + diffusion.diffusion_bound_terms(mixture, z0, seeded(1)).sum(dim=0)
    error = ((lost.var() + by_terms.var()) / len(z0)).sqrt()
    assert abs(lost.mean() - by_terms.mean()) < 4 * error
    assert lost.var() < by_terms.var() / 4


def test_the_chain_of_a_gaussian_loses_the_sum_of_the_steps_divergences():
    variance = 0.25
    narrow = diffusion.MixtureDenoiser([1.0], [[0.0]], [[[variance]]])
    before, now = (narrow.schedule.alpha_bar[part] for part in (slice(-1), slice(1, None)))
    q_before, q_now = before * variance + 1 - before, now * variance + 1 - now
    beta = narrow.schedule.beta[1:]
    ratio = q_before / q_now  # of the true step back's variance, beta q_before / q_now, to beta
    exact = 0.5 * (ratio - 1 - ratio.log()).sum() + 0.5 * (q_now[-1] - 1 - q_now[-1].log())
    assert (beta > 0).all() and exact > 0.01
    z0 = narrow.draw(4000, seeded(0))
    lost = diffusion.lost_by_the_chain(narrow, z0, seeded(1))
    assert abs(lost.mean() - exact) < 4 * lost.std() / 4000**0.5
    least = diffusion.least_lost_by_the_chain(narrow, z0[:3], seeded(2))
    steps = 0.5 * (ratio - 1 - ratio.log()).sum()  # all but the last term, the KL of z_T
    torch.testing.assert_close(least, steps.expand(3))


def test_the_curvature_is_the_derivative_of_the_score():
    mixture, z0 = three_in_the_plane()
    times = torch.tensor([1, 20, 60])
    zt = mixture.schedule.noised(z0[:3].double(), times, normal(5, 3, 2))
    leaf = zt.clone().requires_grad_()
    score = mixture.score(leaf, times)
    rows = [torch.autograd.grad(score[:, i].sum(), leaf, retain_graph=True)[0] for i in (0, 1)]
    torch.testing.assert_close(mixture.curvature(zt, times), torch.stack(rows, dim=1))


def test_the_chain_loses_at_least_what_covariances_alone_demand():
    mixture, z0 = three_in_the_plane()
    lost = diffusion.lost_by_the_chain(mixture, z0, seeded(0))
    least = diffusion.least_lost_by_the_chain(mixture, z0, seeded(1))
    error = ((lost.var() + least.var()) / len(z0)).sqrt()
    assert least.mean() > 0.01 and lost.mean() > least.mean() - 4 * error


@pytest.mark.parametrize("wrong", ["shrunk", "late", "other"])
def test_a_wrong_guess_loses_more(wrong):
    mixture, z0 = three_in_the_plane()
    perfect = diffusion.lost_by_the_chain(mixture, z0, seeded(0))

    class Wrong(diffusion.MixtureDenoiser):
        def __call__(self, zt, t):
            if wrong == "late":
                return super().__call__(zt, (t + 10).clamp(max=100))
            return super().__call__(zt, t) * (0.8 if wrong == "shrunk" else -1)

    covariances = torch.einsum("kij,kj,klj->kil", mixture.axes, mixture.variances, mixture.axes)
    guess = Wrong(mixture.log_weights.exp(), mixture.means, covariances)
    more = diffusion.lost_by_the_chain(guess, z0, seeded(0)) - perfect
    assert more.mean() > 4 * more.std() / len(z0) ** 0.5
