"""The check-up: every fault by name, no false alarm, and a model that is left as it was."""

import itertools
import warnings
from types import SimpleNamespace

from lecture_utils import bounds, checkup, clinic, data, models, training
from lecture_utils.checkup import forms, rows, rules_model, state
from lecture_utils.checkup.paths import Paths
from lecture_utils.checkup.probe import Probe

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from tests.unit import other_styles


@pytest.fixture(scope="module")
def images(mnist):
    return mnist.test_images[data.test_subset(550)]


def plain(dtype=torch.float32, **sizes):
    model = models.VAE(**{"latent_dim": 5, "hidden": (40,)} | sizes).to(dtype)
    return model, lambda x: bounds.negative_elbo(model, x)


def examine_other(build, **options):
    torch.manual_seed(0)
    model, loss, adapter = build()
    x = other_styles.images()
    shape = adapter.pop("shape", None)
    return checkup.examine(
        model, x if shape is None else x.reshape(-1, *shape), loss, **adapter, **options
    )


# --- the matrix: patients and findings


@pytest.mark.parametrize("case", clinic.CASES)
def test_every_patient_is_diagnosed_and_nothing_else_is_said(case, images):
    report = clinic.examine(clinic.patient(case).eval(), images)
    assert clinic.NAMES[case] in report.names
    # An error averaged over the pixels is no log-likelihood either, so its report is not the ELBO.
    assert set(report.names) <= {clinic.NAMES[case]} | ({"report-differs"} if case == 6 else set())
    (finding,) = (f for f in report.findings if f.name == clinic.NAMES[case])
    same = [other for other, name in clinic.NAMES.items() if name == finding.name]
    assert finding.see in [f"notebook 10, case {other}" for other in same]
    assert finding.level == ("note" if case in (9, 21) else "fault")


class NormalEncoder(nn.Linear):
    """Returns q(z|x) as a Normal, which refuses a sigma of 0."""

    def forward(self, x):
        mu, log_sigma = super().forward(x).chunk(2, dim=1)
        return Normal(mu, log_sigma.exp())


def test_a_distribution_that_checks_its_parameters_is_examined_all_the_same(images):
    """Inputs far larger than images make sigma 0 or infinite."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"encoder": NormalEncoder(784, 8), "decoder": nn.Linear(4, 784)})

    def loss(x):
        q = model["encoder"](x)
        logits = model["decoder"](q.rsample())
        error = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return error.sum(1) + kl_divergence(q, Normal(0.0, 1.0)).sum(1)

    x = data.binarize(images, torch.Generator().manual_seed(0))
    report = checkup.examine(model, x, loss, encode="encoder", decode="decoder")
    assert report.measured["doses"] == pytest.approx({"mu": 1, "the second number": 1}, rel=1e-3)
    with pytest.raises(ValueError):  # and others' distributions check theirs again
        Normal(0.0, -1.0)


@pytest.mark.parametrize("where", ["the model", "a buffer", "x"])
def test_what_is_not_on_the_cpu_is_refused_with_its_mend(where, images):
    """The device "meta" stands for a GPU, which the machines that test do not have."""
    patient, x = clinic.patient(), images[:64].float() / 255
    if where == "the model":
        patient.to("meta")
    elif where == "a buffer":
        patient.mean_image = patient.mean_image.to("meta")
    else:
        x = x.to("meta")
    with pytest.raises(checkup.CannotExamine, match=r"on meta.*model\.cpu\(\)"):
        checkup.examine(patient, x, lambda x: patient.loss(x, None))


def test_a_collapse_is_called_a_real_one_with_the_dose_that_was_measured(images):
    """An encoder that says N(0, I) of every image, and a KL that weighs 1.3."""
    patient = clinic.patient()
    for layer in (patient.to_mu, patient.to_logvar):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)

    def loss(x):
        mu, logvar = patient.encode(x)
        error = patient.error(patient.decode(patient.draw(mu, logvar)), x)
        return error + 1.3 * patient.kl(mu, logvar)

    x = data.binarize(images, torch.Generator().manual_seed(0))
    report = checkup.examine(patient, x, loss, trained=True)
    (collapse,) = (f for f in report.findings if f.name == "collapse")
    assert "its gradient, and the dose is 1.3" in collapse.causes[0]
    assert collapse.see == 'notebook 10, "Real collapse, and what treats it"'


def test_of_a_collapse_nothing_is_claimed_that_was_not_measured():
    patient = SimpleNamespace(
        doses={},
        beta=1.0,
        draw=None,
        dose=SimpleNamespace(strange_kl=False, likelihood=None),
        paths=Paths(False, 0.0, False, "", False),
        squared=False,
    )
    causes, see = rules_model._collapse(patient)
    assert causes == ("not known: the dose could not be measured",)
    assert "case 6" in see and "Real collapse" in see
    patient.doses = {"mu": 1.0}
    (cause,), see = rules_model._collapse(patient)
    assert cause == "not known: the dose is 1, but the draw was not measured" and "case 14" in see
    for none, to_mu, to_second, said, where in (
        (True, 1.0, True, "not known: nothing is drawn", "case 11"),
        (False, 1.0, False, "not known: the draw's gradient", "case 14"),
        (False, 0.0, True, "not known: the draw's gradient", "notebook 04"),
        (False, 2.0, True, "not known: the draw's gradient", "notebook 04"),
        (False, 1.04, True, "a real collapse: the draw has its gradient", "Real collapse"),
    ):
        patient.draw = SimpleNamespace(none=none, fixed=None, to_mu=to_mu, to_second=to_second)
        (cause,), see = rules_model._collapse(patient)
        assert cause.startswith(said) and "the dose is 1" in cause and where in see
    patient.dose.strange_kl = True
    (cause,), _ = rules_model._collapse(patient)
    assert cause.startswith("not known: the KL's gradient") and "the dose is" not in cause


def test_the_dose_is_not_in_order_where_the_kl_is_a_strange_one(images):
    """A log-variance that the loss itself cuts off at 0, for the draw and the KL alike."""
    patient = clinic.patient()

    def loss(x):
        mu, logvar = patient.encode(x)
        logvar = logvar.relu()
        return patient.error(patient.decode(patient.draw(mu, logvar)), x) + patient.kl(mu, logvar)

    x = data.binarize(images, torch.Generator().manual_seed(0))
    report = checkup.examine(patient, x, loss)
    assert report.names == [] and any("what sigma is" in line for line in report.unknown)
    assert not any(line.startswith("the dose") for line in report.in_order)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", [clinic.Patient, clinic.NormalisedLayers])
def test_a_healthy_patient_has_nothing(kind, seed, images):
    report = clinic.examine(kind(latent_dim=10, hidden=(100,), seed=seed).eval(), images)
    assert report.names == []


@pytest.mark.parametrize("name", other_styles.HEALTHY)
def test_healthy_models_of_other_styles_raise_no_alarm(name):
    assert examine_other(other_styles.HEALTHY[name]).faults == []


@pytest.mark.parametrize("name", other_styles.FAULTY)
def test_faulty_models_of_other_styles_are_found_by_name(name):
    build, names = other_styles.FAULTY[name]
    assert names & set(examine_other(build).faults)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "sizes",
    [
        {"latent_dim": 1, "hidden": (20,), "activation": nn.Softplus},
        {"latent_dim": 20, "hidden": (400,)},
        {"latent_dim": 50, "hidden": (200, 200), "activation": nn.Tanh},
    ],
)
@pytest.mark.parametrize("start", ["as built", "from the mean image", "trained"])
def test_no_false_alarm_on_the_models_of_the_series(sizes, dtype, start, mnist, images):
    model, loss = plain(**sizes)
    if start != "as built":
        training.initialise(model, mnist.train_images[:2000])
    if start == "trained":
        options = {"epochs": 2, "batch_size": 100, "learning_rate": 5e-3, "progress": False}
        training.fit(model, mnist.train_images[:2000], device="cpu", **options)
    x = data.binarize(images, torch.Generator().manual_seed(0)).to(dtype)
    model.to(dtype)
    report = checkup.examine(model, x, loss, evaluate=lambda x: -loss(x).mean())
    assert report.faults == []
    assert report.measured["doses"] == pytest.approx({"mu": 1, "the second number": 1}, rel=1e-3)


# --- measured values, against exact ones


@pytest.mark.parametrize("beta", [0.1, 3.0])
def test_the_dose_is_the_beta(beta, images):
    model, _ = plain()

    def loss(x):
        terms = model.loss_terms(x)
        return (terms.reconstruction + beta * terms.kl).mean() * 0.37

    x = data.binarize(images[:100])
    assert checkup.examine(model, x, loss).measured["doses"]["mu"] == pytest.approx(beta, rel=1e-4)
    assert checkup.examine(model, x, loss).faults == ["beta"]
    assert checkup.examine(model, x, loss, beta=beta).faults == []


class HalfEstimated(clinic.Patient):
    """The draw has no sigma, and half of the KL is estimated by it: z^2 for mu^2."""

    def loss(self, x, generator=None):
        mu, logvar = self.encode(x)
        z = mu + torch.randn(mu.shape, generator=generator)
        kl = 0.5 * (z.square() + logvar.exp() - 1 - logvar).sum(-1)
        return self.error(self.decode(z), x) + kl


def test_the_loss_does_not_draw_the_numbers_that_are_planted_for_mu(images):
    """Where epsilon is the planted mu / 1.2, z is 1.83 mu: the KL would seem to weigh as much."""
    patient = HalfEstimated(latent_dim=10, hidden=(100,)).eval()
    x = data.binarize(images, torch.Generator().manual_seed(0))
    report = checkup.examine(patient, x, patient.loss)
    assert "constant-spread" in report.names and "beta" not in report.names
    assert report.measured["dose"].estimated
    assert abs(report.measured["doses"]["mu"] - 1) < 0.03


@pytest.mark.parametrize("variance", [0.05, 0.5, 2.0])
def test_the_variance_of_a_gaussian_is_read_from_its_error(variance, images):
    model, _ = plain()

    def loss(x):
        mu, logvar = model.encode(x)
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        kl = kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(0.0, 1.0))
        return -Normal(model.decode(z), variance**0.5).log_prob(x).sum(1) + kl.sum(1)

    report = checkup.examine(model, data.to_grey(images), loss)
    assert report.faults == []
    measured = report.measured["doses"]["mu"] / 2  # a sum of squares has the variance 1/2
    assert measured == pytest.approx(variance, rel=1e-4)


@pytest.mark.parametrize("name", forms.LIKELIHOODS)
def test_each_likelihood_is_recognised_and_its_targets_found(name):
    generator = torch.Generator().manual_seed(0)
    outputs = 0.05 + 0.9 * torch.rand(4, 500, generator=generator, dtype=torch.float64)
    target = torch.rand(500, generator=generator, dtype=torch.float64)
    a, b = forms.LIKELIHOODS[name](outputs)
    found = forms.recognise_likelihood(outputs, 0.3 * (a + target * b), 1e-3)
    assert found.name == name and found.weight == pytest.approx(0.3)
    torch.testing.assert_close(found.target, target)


@pytest.mark.parametrize("name", forms.READINGS)
def test_the_slope_of_the_kl_is_that_of_torch_distributions(name):
    second = torch.linspace(0.3, 2, 9, dtype=torch.float64, requires_grad=True)
    sd = forms.sigma_of(name, second)
    kl = kl_divergence(Normal(torch.tensor(0.7, dtype=torch.float64), sd), Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(
        forms.kl_slope(name, second.detach()), torch.autograd.grad(kl, second)[0]
    )


def test_numbers_get_the_names_of_sizes():
    sizes = {"pixels": 784, "latent units": 10, "images in the batch": 62}
    assert forms.name_of_number(784.0, sizes).startswith("pixels")
    assert forms.name_of_number(1 / 784, sizes).startswith("1 / pixels")
    assert forms.name_of_number(2.0, sizes) == "2" and forms.name_of_number(1.0, sizes) == ""
    assert forms.name_of_number(3.3, sizes) == ""


# --- what must not change


def test_the_model_is_left_as_it_was(images):
    model = clinic.NormalisedLayers(latent_dim=10, hidden=(100,)).eval()
    model.norm.train()  # a mode of its own
    model.counter = 3
    own = torch.Generator().manual_seed(5)
    model.to_mu.weight.grad = torch.ones_like(model.to_mu.weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, own_state, keys = torch.get_rng_state(), own.get_state(), set(vars(model))

    def loss(x):
        model.counter += 1
        return model.loss(model.feed(x), own)

    checkup.examine(model, data.to_grey(images), loss, evaluate=lambda x: loss(x).mean())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(own.get_state(), own_state)
    assert not model.training and model.norm.training and model.counter == 3
    assert set(vars(model)) == keys and (model.to_mu.weight.grad == 1).all()


def test_the_same_model_has_the_same_report(images):
    reports = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        reports.append(str(clinic.examine(clinic.patient(18), images)))
    assert reports[0] == reports[1]


def test_the_model_is_left_as_it_was_by_a_loss_that_raises(images):
    model, _ = plain()
    model.eval()
    keys = set(vars(model))

    def loss(x):
        model.encode(x)
        raise RuntimeError("shapes do not fit")

    report = checkup.examine(model, data.to_grey(images[:50]), loss)
    assert report.faults == ["loss-fails"] and "shapes do not fit" in str(report)
    assert not model.training and set(vars(model)) == keys


def test_it_says_what_it_cannot_know(images):
    model, loss = plain()
    x = data.binarize(images[:70])
    report = checkup.examine(model, x, loss, encode="reconstruct")  # the loss does not call it
    assert any("dose" in line for line in report.unknown) and report.findings == []
    report = checkup.examine(model, x, loss)
    assert any("100 images" in line for line in report.unknown)
    assert any("evaluate" in line for line in report.unknown)

    def absolute(x):
        mu, logvar = model.encode(x)
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        kl = kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(0.0, 1.0)).sum(1)
        return ((model.decode(z) - x).abs() ** 1.5).sum(1) + kl

    report = checkup.examine(model, x, absolute)
    assert report.findings == [] and any("likelihood" in line for line in report.unknown)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encode": "encoding"}, "not a method"),
        ({"encode": "both"}, "3 values.*fields"),
        ({"x": torch.zeros(50, 784, dtype=torch.uint8)}, "float tensor"),
    ],
)
def test_a_wrong_adapter_gets_one_clear_error(options, message):
    model, loss = plain()
    x = options.pop("x", torch.zeros(50, 784))
    model.both = lambda x: (model.code(x), *model.encode(x))
    with pytest.raises(checkup.CannotExamine, match=message):
        checkup.examine(model, x, lambda x: loss(x) + model.both(x)[0].sum(), **options)


def test_an_autoencoder_is_refused():
    model = models.Autoencoder(latent_dim=4, hidden=(20,))
    with pytest.raises(checkup.CannotExamine, match="no draw"):
        checkup.examine(model, torch.rand(50, 784), lambda x: bounds.negative_elbo(model, x))


# --- the report and the emergency room


def test_the_report_is_text_and_a_figure(images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = clinic.examine(clinic.patient(2), images)
        figure = report.figure()
    text = str(report)
    assert "1 fault" in text and "notebook 10, case 2" in text and "likely:" in text
    assert max(map(len, text.splitlines())) <= 100 and len(figure.axes) == 4


def test_collapse_is_told_apart_from_a_detached_draw(mnist, images):
    seen = {}
    for case in (6, 14):
        patient = clinic.patient(case)
        clinic.train(patient, mnist.train_images[:3000], epochs=2)
        report = clinic.examine(patient, images, trained=True)
        (collapse,) = [finding for finding in report.findings if finding.name == "collapse"]
        seen[case] = collapse.causes[0]
        assert collapse.see == f"notebook 10, case {case}"
    assert "price" in seen[6] and "detached" in seen[14]


@pytest.mark.slow
def test_the_emergency_room_is_anonymous_and_reproducible(images):
    answers = []
    for seed in range(12):
        admission = clinic.admit(seed)
        assert admission.answer == clinic.admit(seed).answer
        assert type(admission.patient).__name__ == "Patient" and "Case" not in repr(admission)
        names = clinic.examine(admission.patient, images).names
        cases = [
            int(line.split(".")[0].removeprefix("Case "))
            for line in admission.answer.splitlines()
            if line.startswith("Case")
        ]
        answers.append(len(cases))
        assert all(clinic.NAMES[case] in names for case in cases), (admission.answer, names)
        assert cases or not names
    assert set(answers) == {0, 1, 2}


PAIRS = [
    pair
    for pair in itertools.combinations(clinic.CASES, 2)
    if not clinic._clash(*(clinic.CASES[case] for case in pair))
]


@pytest.mark.parametrize(
    "pair", [*PAIRS[::20], *(pytest.param(pair, marks=pytest.mark.matrix) for pair in PAIRS)]
)
def test_of_two_faults_that_are_admitted_together_both_are_named(pair, images):
    kind = type("Patient", tuple(clinic.CASES[case] for case in pair), {})
    report = clinic.examine(kind(latent_dim=10, hidden=(100,)).eval(), images)
    assert {clinic.NAMES[case] for case in pair} <= set(report.names)


def test_two_faults_that_make_a_healthy_patient_are_not_admitted_together():
    """Cases 1 and 2: a log sigma, in the draw and in the KL."""
    assert (1, 2) not in PAIRS and len(PAIRS) > 140


def test_an_unknown_case_is_refused():
    with pytest.raises(ValueError, match="no case 99"):
        clinic.patient(99)


def test_every_admission_ends_with_no_one_or_two_faults():
    counts = {clinic.admit(seed).answer.count("Case") for seed in range(100)}
    assert counts == {0, 1, 2}


# --- several codes an image

LAYOUTS = ("[L, B, J]", "[B, L, J]", "[L B, J]", "[B L, J]")


def laid_out(values, layout):
    """Bring values [L, B, ...] into a layout."""
    if layout.startswith("[B"):
        values = values.transpose(0, 1)
    return values if "," in layout[2:4] else values.flatten(0, 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("n_samples", "n_images"), [(1, 1), (1, 7), (3, 7), (4, 4), (5, 1)])
def test_the_image_of_each_code_is_found(layout, n_samples, n_images):
    generator = torch.Generator().manual_seed(0)
    mu = torch.randn(n_images, 6, generator=generator)
    z = mu + 0.5 * torch.randn(n_samples, n_images, 6, generator=generator)
    numbers = torch.arange(n_images).expand(n_samples, n_images)
    found = rows.image_of_rows(laid_out(z, layout), mu)
    assert found.tolist() == laid_out(numbers, layout).flatten().tolist()
    swapped = rows.neighbours(laid_out(z, layout), found)
    assert torch.equal(swapped, laid_out(z.roll(1, dims=1), layout))
    assert torch.equal(rows.by_image(laid_out(z, layout).reshape(-1, 6), found), z.transpose(0, 1))
    fewer = rows.part(laid_out(z, layout), found, slice(0, n_images // 2 + 1))
    assert torch.equal(fewer, laid_out(z[:, : n_images // 2 + 1], layout))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_order_of_codes_is_known_where_noise_hides_the_means(layout, binary):
    """A model that has learned nothing gives all images nearly the same mean."""
    model, _ = plain()
    for weight in (model.to_mu.weight, model.to_mu.bias):
        nn.init.zeros_(weight)
    loss = sampled(model, layout, 3)
    probe = Probe(model, loss, binary[:62], "encode", "decode", None)
    for _ in range(8):  # by distance alone, half of these would come out wrong
        natural = probe.run(probe.x)
        probe.learn_order(probe.x, natural)
        numbers = torch.arange(62).expand(3, 62)
        expected = laid_out(numbers, layout).flatten().tolist()
        assert probe.image_of_rows(natural).tolist() == expected


def test_codes_of_other_shapes():
    mu = torch.randn(6, 4)
    assert rows.image_of_rows(torch.randn(6, 1, 2, 2), mu).tolist() == list(range(6))
    assert rows.image_of_rows(torch.randn(6, 2, 2), mu).tolist() == list(range(6))
    assert rows.image_of_rows(torch.randn(5, 4), mu) is None
    labelled = torch.cat([mu, torch.eye(6)], 1)
    assert rows.image_of_rows(labelled.expand(3, 6, 10), mu).tolist() == [*range(6)] * 3
    flat = labelled.repeat_interleave(3, 0)
    assert rows.image_of_rows(flat, mu).tolist() == [i for i in range(6) for _ in range(3)]


def sampled(model, layout, n_samples, join=torch.mean, beta=1.0, epsilon=None):
    """The loss of a model whose decoder is given n_samples codes an image, in a layout."""

    def loss(x):
        mu, logvar = model.encode(x)
        shape = (n_samples, *mu.shape)
        noise = torch.randn(shape) if epsilon is None else epsilon(shape).expand(shape)
        logits = model.decode(laid_out(mu + noise * (logvar / 2).exp(), layout))
        target = laid_out(x.expand(n_samples, *x.shape), layout)
        error = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        error = error.sum(-1)
        if layout.startswith("[L"):
            error = join(error.reshape(n_samples, len(x)), 0)
        else:
            error = join(error.reshape(len(x), n_samples), 1)
        return error + beta * 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)

    return loss


@pytest.fixture(scope="module")
def binary(mnist):
    return data.binarize(
        mnist.test_images[data.test_subset(1000)], torch.Generator().manual_seed(0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("n_samples", "n_images"), [(1, 270), (3, 270), (1, 1000)])
def test_several_codes_an_image(layout, n_samples, n_images, binary):
    """Without noise, and in evaluation, the numbers are known: those of the mean code."""
    x = binary[:n_images].double()
    model, _ = plain(torch.float64)
    nn.init.zeros_(model.to_logvar.weight)
    nn.init.constant_(model.to_logvar.bias, -30.0)
    loss = sampled(model, layout, n_samples)
    report = checkup.examine(model, x, loss, evaluate=lambda x: -loss(x).mean())
    assert report.measured["doses"] == pytest.approx({"mu": 1, "the second number": 1}, rel=1e-3)
    assert report.measured["dose"].batch == "mean"
    with torch.no_grad():
        codes = [model.encode(part)[0] for part in x.split(250)]
        exact = torch.cat(codes), torch.cat([code.roll(1, 0) for code in codes])
        errors = [
            nn.functional.binary_cross_entropy_with_logits(model.decode(z), x, reduction="none")
            for z in exact
        ]
    learned, evaluation = report.measured["learned"], report.measured["evaluation"]
    assert learned.error == pytest.approx(errors[0].sum(1).mean().item(), rel=1e-5)
    assert learned.swapped == pytest.approx(errors[1].sum(1).mean().item(), rel=1e-5)
    assert evaluation.elbo == pytest.approx(evaluation.value, rel=1e-4)
    # As many epsilons as images, samples and units, each of variance 1.
    assert evaluation.noise == pytest.approx(1, abs=4 / (2 * n_images * n_samples * 5) ** 0.5)


def test_the_error_of_the_measured_elbo_is_the_scatter_of_its_draws(binary):
    model, _ = plain()
    probe = Probe(model, plain_loss(model), binary[:200], "encode", "decode", None)
    torch.manual_seed(0)
    measured = [
        state._own_elbo(probe, binary[:200], "Bernoulli, logits", "log-variance")
        for _ in range(100)
    ]
    elbos, errors = map(torch.tensor, zip(*measured))
    # a standard deviation over n draws has the relative error 1 / sqrt(2 n)
    assert errors.mean().item() == pytest.approx(elbos.std().item(), rel=4 / 200**0.5)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_healthy_and_faulty_losses_of_three_codes_an_image(layout, binary):
    model, _ = plain()

    def names(x=binary[:270], **changes):
        loss = sampled(model, layout, 3, **changes)
        return checkup.examine(model, x, loss).names

    assert names() == []
    assert names(join=torch.sum) == ["beta"]
    assert names(beta=2.0) == ["beta"]
    shared = names(epsilon=lambda shape: torch.randn(3, 1, shape[2]))
    assert shared == examine_shared(model, binary[:270]) and len(shared) == 1
    grey = binary[:270] * 0.9 + 0.05
    assert names(grey) == checkup.examine(model, grey, plain_loss(model)).names


def plain_loss(model):
    return lambda x: bounds.negative_elbo(model, x)


def examine_shared(model, x):
    """What is said of one code an image, if all images get the same epsilon."""

    def loss(x):
        mu, logvar = model.encode(x)
        z = mu + torch.randn(mu.shape[1]) * (logvar / 2).exp()
        error = nn.functional.binary_cross_entropy_with_logits(model.decode(z), x, reduction="none")
        return error.sum(1) + 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)

    return checkup.examine(model, x, loss).names


def test_a_sum_over_the_batch_is_seen_through_an_axis_of_samples(binary):
    model, _ = plain()
    loss = sampled(model, "[L, B, J]", 1)
    assert checkup.examine(model, binary[:270], lambda x: loss(x).sum()).names == ["summed-batch"]
