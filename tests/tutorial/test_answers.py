"""Wrong, right but unusual, and hostile answers. `make test-answers` runs all of them, `make test`
one of each kind."""

import re

from lecture_utils import tutorial
from lecture_utils.data import binarize, load_mnist
from lecture_utils.tutorial import answers

import pytest
import torch
import torch.nn.functional as F

from tests.helpers import named
from tests.tutorial.answers.hostile import CODE
from tests.tutorial.answers.right import RIGHT
from tests.tutorial.answers.wrong import CHANGED, WRONG
from tests.tutorial.cases import (
    COURSE,
    POINTS_OF_TASK,
    SOLUTIONS,
    SOURCE,
    STUBS,
    cells,
    code,
    one_of_each,
    verdict,
)

# Of the course root, which cases.py has put on the path.
from grading.score import Submission, _unusual  # isort: skip
from wrong_answers import WRONG_ANSWERS, WrongAnswer  # isort: skip

SEEDS = (tutorial.VISIBLE_SEED, 4711, 31337)
MISTAKES = {
    task: {w.name: w for w in WRONG_ANSWERS if w.cell == task}
    for task in SOLUTIONS
    if task != "settings"
}
WRONG_CELLS = {
    task: {name: code(task, body) for name, body in bodies.items()}
    | {
        name: WrongAnswer(name, task, "", changes).source(SOLUTIONS[task])
        for name, changes in CHANGED.get(task, {}).items()
    }
    for task, bodies in WRONG.items()
}
SETUP = [cells(SOURCE)[name].source for name in ("setup", "loop")]
# Wrong settings that only the training shows: see test_grading.py.
NEEDS_TRAINING = {("settings", "too-slow")}
# The check-up plants numbers for whole batches, in the order of x: it cannot examine these.
NOT_IN_ORDER = ("by-image", "images-backwards")
EXAMINED = [name for name in RIGHT["elbo"] if name not in NOT_IN_ORDER]


@pytest.mark.parametrize("task, name", one_of_each(RIGHT))
def test_an_unusual_right_answer_passes(task, name):
    for seed in SEEDS:
        assert verdict(task, code(task, RIGHT[task][name]), seed) is None


@pytest.mark.parametrize("task, name", one_of_each(WRONG_CELLS, NEEDS_TRAINING))
def test_a_wrong_answer_fails_where_the_student_sees_it_and_in_grading(task, name):
    for seed in SEEDS:
        failed = verdict(task, WRONG_CELLS[task][name], seed)
        assert failed and len(failed) > 20, f"seed {seed}"
        assert not unclear(failed), failed


@pytest.fixture(scope="module")
def trained():
    """A VAE after a short training, and images of a number that no batch divides."""
    mnist, generator = load_mnist(), torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = answers.VAE()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for rows in torch.arange(20_000).split(200):
            x = binarize(mnist.train_images[rows], generator)
            answers.training_step(model, optimizer, x, lambda m, x: -answers.elbo(m, x, 1))
    return model, binarize(mnist.test_images[:270], generator)


@pytest.mark.parametrize("name", named(EXAMINED, ["repeat"]))
def test_the_check_up_says_nothing_against_a_right_elbo(name, trained, capsys):
    names = {"torch": torch, **answers.NAMES}
    exec(code("elbo", RIGHT["elbo"][name]), names)
    model, x = trained
    tutorial.check_up(model, names["elbo"], x)
    assert "no faults, no notes" in capsys.readouterr().out


def test_the_check_up_finds_a_kl_that_counts_twice(trained, capsys):
    model, x = trained

    def elbo(model, x, n_samples=1, generator=None):
        kl = answers.gaussian_kl(*model.encode(x))
        return answers.elbo(model, x, n_samples, generator) - kl

    tutorial.check_up(model, elbo, x)
    assert "a hidden beta: the KL weighs 2 times too much" in capsys.readouterr().out


def unclear(message):
    """What no message to a student does: say that a number was expected that was seen, break off,
    or end in an error that nothing explains."""
    shown = re.search(
        r"your code gives (\[?[^\]]*?\]?), expected (.*)\.$", message, flags=re.I | re.M
    )
    lines = [
        line for line in message.split("\n") if not re.match("Your code raised|\\w*Error: ", line)
    ]
    return (
        (shown and shown[1] == shown[2])
        or any(not line.endswith((".", "?")) for line in lines)
        or "cannot be used" in message
    )


# What must be said, and what must not, to a mistake that used to be sent the wrong way.
SAID = {
    ("sample", "abs-noise"): ("never negative", "uniform"),
    ("sample", "two-sigmas"): ("2 times as large", "already"),
    ("sample", "data-of-mu"): ("reaches logvar, but none reaches mu", "draw is a constant"),
    ("sample", "clamped-logvar"): ("logvar cut off", "gradient"),
    ("sample", "device-of-none"): ("generator may be None", "leading dimensions"),
    ("sample", "generator-made-anew"): ("a torch.Generator is made in it", "Two calls in a row"),
    ("sample", "uniform-both-sides"): ("times as large as sigma", "what is the standard deviation"),
    ("sample", "math-exp"): ("take single numbers", "leading dimensions"),
    ("kl", "monte-carlo"): ("needs no sampling", "By hand"),
    ("kl", "sigma-cubed"): ("look at what logvar adds", "By hand"),
    ("kl", "norm"): ("look at what mu adds", "By hand"),
    ("kl", "square-of-sum"): ("Right for one latent dimension", "By hand"),
    ("kl", "clamped-logvar"): ("cut off", "depend on the shape"),
    ("likelihood", "softplus-only"): ("wrong where all are 1", "logit of 0"),
    ("likelihood", "half-weight"): ("With all logits 0", "NaN"),
    ("likelihood", "exp-overflows"): ("an exponential overflowed", "NaN"),
    ("elbo", "kl-from-draws"): ("estimated from the draws", "put together"),
    ("elbo", "kl-without-its-one"): ("its -1 is missing", "put together"),
    ("elbo", "kl-averaged-over-latents"): ("averaged over the two latent", "put together"),
    ("elbo", "mean-of-pixel-probabilities"): ("probabilities of pixels are averaged", "drawn from"),
    ("elbo", "heads-exchanged"): ("in this order", "put together"),
    ("elbo", "fixed-ten"): ("2 × log p(x|z) - 1 × KL", "put together"),
    ("elbo", "last-sample"): ("Are all L samples used", "up to ["),
    ("elbo", "kl-of-sample"): ("KL is that of the drawn z", "noise of its own"),
    ("model", "fixed-widths"): ("arguments of __init__", "raised"),
    ("model", "encoder-centred"): ("other images of its batch", "encode does not"),
    ("model", "tanh-mu-softplus-logvar"): ("follows the last layer of mu: tanh", "hidden units"),
    ("model", "hidden-layer-of-logvar"): ("or one too many", "has every layer a bias"),
    ("model", "decode-without-return"): ("is there a `return`", "NoneType"),
    ("model", "log-of-softplus"): ("mu is right, logvar is not", "encode does not"),
    ("settings", "text"): ("of type str", "raised"),
    ("settings", "one-number"): ("got int", "raised"),
    ("reconstruct", "drawn"): ("return the probabilities", "mean of q"),
    ("reconstruct", "x-itself"): ("This is x itself", "rounded"),
    ("reconstruct", "seeded-sample"): ("which one code", "logit"),
    ("reconstruct", "exp-of-logits"): ("other than the sigmoid", "these are probabilities"),
    ("interpolate", "tensor-of-tensors"): ("joined by torch.stack", "Stack [D]"),
    ("interpolate", "starts-beyond-a"): ("leaves out x_a", "evenly spaced"),
    ("interpolate", "cosine-spacing"): ("For image 2", "in the middle"),
    ("corrupt", "one-draw-for-both"): ("another draw than", "reach your draw"),
    ("ae", "encode-not-asked"): ("The model was not asked for both", "cannot be used"),
    ("corrupt", "biased-coin"): ("Is the coin fair", "reach your draw"),
    ("separation", "per-coordinate"): ("averaged", "move every code"),
    ("separation", "unbiased-between"): ("degrees of freedom", "move every code"),
    ("settings", "trailing-comma"): ("got a tuple of 1. Is the second", "got tuple"),
    ("elbo", "kl-arguments-exchanged"): ("mu comes first", "put together"),
    ("sample", "exp-of-a-number"): ("functions take tensors", "leading dimensions"),
    ("generate", "noise-encoded"): ("encode has nothing to do here", "NoneType"),
    ("reconstruct", "decode-of-two"): ("take one tensor", "as the text says"),
    ("step", "item-before-backward"): ("item() ends the graph", "is the gradient"),
    ("interpolate", "images-end-to-end"): ("torch.stack keeps them apart", "evenly spaced"),
    ("kl", "squeezed"): ("squeeze() takes it away", "depend on the shape"),
    ("likelihood", "squeezed"): ("squeeze() takes it away", "overflowed"),
    ("elbo", "squeezed"): ("squeeze() takes it away", "put together"),
    ("ae", "squeezed"): ("squeeze() takes it away", "the mean over examples"),
    ("dae", "squeezed"): ("squeeze() takes it away", "the mean over examples"),
    ("sample", "squeezed"): ("squeeze() takes it away", "leading dimensions"),
    ("model", "codes-squeezed"): ("for mu of one image", "other images of its batch"),
    ("model", "logvar-squeezed"): ("for logvar of one image", "hidden units"),
    ("model", "logits-squeezed"): ("for logits of one image", "leading dimension"),
    ("reconstruct", "squeezed"): ("squeeze() takes it away", "batch mix"),
    ("generate", "squeezed"): ("squeeze() takes it away", "prior"),
    ("corrupt", "squeezed"): ("squeeze() takes it away", "noise 0"),
    ("separation", "numpy-float32"): ("float(...) makes it one", "move every code"),
    ("elbo", "samples-mixed"): ("samples of different examples are mixed", "must lie at its mu"),
    ("elbo", "flat-and-three-kls"): ("- 3 × KL", "must lie at its mu"),
    ("elbo", "batch-first-likelihood"): ("The samples come first", "put together"),
    ("elbo", "variance-to-the-sample"): ("not sigma or sigma²", "put together"),
    ("elbo", "variance-to-the-kl"): ("gaussian_kl given sigma or sigma²", "put together"),
    ("elbo", "reconstruction-batch-mean"): (
        "reconstruction is averaged over the examples",
        "put together",
    ),
    ("elbo", "kl-batch-sum"): ("KL is summed over the examples", "put together"),
    ("elbo", "variance-times-noise"): ("spread by the variance sigma²", "Is every z drawn"),
    ("elbo", "all-summed"): ("keep the examples apart", "put together"),
    ("sample", "torch.normal"): ("as from torch.normal", "same seed"),
    ("sample", "sigma-without-gradient"): ("detach, no_grad", "draw is a constant"),
    ("sample", "normal-of-variance"): ("Normal takes sigma, too", "wrong size"),
    ("sample", "normal-of-logvar"): ("Normal takes the standard deviation", "leading dimensions"),
    ("sample", "half-logvar"): ("its exp is missing", "wrong size"),
    ("sample", "mu-missing"): ("mu is missing, or averaged:", "mean of its own"),
    ("sample", "generator-by-position"): ("handed over like this", "leading dimensions"),
    ("kl", "summed-over-all"): ("dim=-1", "by J"),
    ("kl", "one-once-in-parts"): ("The 1 is counted once", "same constant"),
    ("kl", "normal-of-variance"): ("Normal takes sigma", "By hand"),
    ("kl", "normal-of-logvar"): ("Normal takes the standard deviation", "leading dimensions"),
    ("ae", "summed-over-all"): ("sum over the pixels alone", "did not see mu"),
    ("dae", "summed-over-all"): ("sum over the pixels alone", "did not see mu"),
    ("likelihood", "exchanged"): ("x and the logits are exchanged", "With all logits 0"),
    ("model", "sizes-of-one-exchanged"): ("number of inputs first", "too wide"),
    ("model", "sizes-of-all-exchanged"): ("number of inputs first", "too wide"),
    ("model", "sigma-for-logvar"): ("(that is sigma)", "mu is right"),
    ("model", "linear-with-sigmoid"): (
        "The decoder is linear: the ReLU is missing. And",
        "does not compute",
    ),
    ("generate", "sigmoid-twice"): ("sigmoid of a sigmoid", "drawn behind"),
    ("generate", "softmax"): ("from a softmax", "drawn behind"),
    ("generate", "images-averaged"): ("averaged", "prior of the lecture"),
    ("corrupt", "one-draw-for-all-images"): ("one draw is shared by the batch", "one coin"),
    ("step", "backward-twice"): ("is backward called twice", "update is made twice"),
    ("step", "backward-again"): ("call it once", "does not require"),
    ("separation", "labels-counted-up"): ("those that occur, and no others", "move every code"),
    ("separation", "others-at-zero"): ("those that occur, and no others", "move every code"),
    ("separation", "unweighted-sum"): ("Large and small classes", "move every code"),
    ("separation", "variance-of-means"): ("Large and small classes", "move every code"),
    ("separation", "centre-of-all-numbers"): ("over all coordinates at once", "move every code"),
    ("separation", "class-means-of-all-numbers"): (
        "over all coordinates at once",
        "move every code",
    ),
    ("distance", "sigma"): ("the standard deviation itself", "the variance itself"),
    ("model", "decode-overwritten"): ("needs a name of its own", "too wide"),
    ("interpolate", "weights-without-axis"): ("an axis of their own", "evenly spaced"),
    ("interpolate", "cat"): ("torch.cat makes", "evenly spaced"),
    ("interpolate", "tuple-not-unpacked"): ("a tuple, mu and logvar", "Stack [D]"),
    ("interpolate", "axis-too-many"): ("an axis too many", "evenly spaced"),
    ("interpolate", "one-step-less"): ("one step is missing", "evenly spaced"),
    ("distance", "item-of-vector"): ("sum or average first", "which variance"),
    ("step", "item-of-vector"): ("leave item() out", "gradient"),
    ("generate", "generator-by-position"): ("handed over like this", "latent_dim"),
    ("model", "relu-layer-called"): ("F.relu(h) is the function", "attribute of self"),
    ("model", "chunk-of-images"): (
        "half of the images became mu, the other half logvar",
        "cannot be used",
    ),
    ("elbo", "model-called"): ("has encode and decode, and no forward", "put together"),
    ("reconstruct", "model-called"): ("has encode and decode, and no forward", "which one code"),
    ("model", "view-784"): ("take sizes from x.shape", "arguments of __init__"),
    ("ae", "view-784"): ("take sizes from x.shape", "did not see mu"),
    ("generate", "numpy-noise"): ("Both must be float32", "latent_dim"),
    ("step", "loss-exchanged"): ("loss(model, x)", "not callable"),
    ("step", "loss-of-x"): ("loss(model, x)", "required positional"),
    ("step", "elbo-inside"): ("not your elbo", "is the gradient"),
    ("step", "backward-of-the-function"): ("use what it returns", "is the gradient"),
    ("settings", "decimal-comma"): ("makes two numbers of one", "too many"),
    ("separation", "trailing-comma"): ("comma at the end of the line", "move every code"),
    ("kl", "trailing-comma"): ("comma at the end of the line", "By hand"),
    ("model", "decode-trailing-comma"): ("comma at the end of the line", "cannot be used"),
    ("kl", "logvar-doubled-in-place"): ("logvar itself was changed", "matrix itself"),
    ("likelihood", "logits-clamped-in-place"): ("logits were changed", "large logits"),
    ("generate", "zeros"): ("All codes are 0, the mean of the prior", "sigmoid of a sigmoid"),
    ("sample", "distribution-sample"): ("sample() or within no_grad", "same seed"),
    ("kl", "one-once"): ("The 1 is counted once", "By hand"),
    ("kl", "argument-added"): (
        "gaussian_kl cannot be called as the text says",
        "your code returned",
    ),
    ("sample", "argument-inserted"): (
        "The arguments of reparameterize are (mu, logvar, eps, generator)",
        "same seed",
    ),
    ("sample", "argument-removed"): (
        "leave its name and its arguments as they were",
        "your code returned",
    ),
    ("likelihood", "arguments-exchanged"): ("and in the text (logits, x)", "With all logits 0"),
    ("elbo", "argument-removed"): (
        "leave its name and its arguments as they were",
        "your code returned",
    ),
    ("model", "argument-renamed"): (
        "VAE.__init__ cannot be called as the text says",
        "attribute of self",
    ),
    ("model", "encode-renamed"): ("name of the method encode", "attribute of self"),
    ("model", "decode-renamed"): ("name of the method decode", "attribute of self"),
    ("model", "no-module"): ("class VAE(nn.Module)", "attribute of self"),
    ("model", "no-super"): ("Leave super().__init__() where it was", "attribute of self"),
    ("step", "arguments-exchanged"): ("in the text (model, optimizer, x, loss)", "two things"),
    ("dae", "argument-renamed"): (
        "leave its name and its arguments as they were",
        "your code returned",
    ),
    ("corrupt", "argument-removed"): ("in the text (x, noise, generator)", "reach your draw"),
    ("elbo", "one-more"): ("the decoder was given 24 codes, expected 20", "samples of z"),
    ("elbo", "fixed-100"): ("For 4 images and L = 5 the decoder was given 400", "cut off"),
    ("elbo", "fixed-300"): ("does n_samples say how many are drawn?", "cut off"),
    ("elbo", "half-of-them"): ("the decoder was given 8 codes, expected 20", "samples of z"),
    ("elbo", "five-at-least"): ("L = 1 the decoder was given 20 codes", "samples of z"),
    ("elbo", "500-at-most"): ("the decoder was given 2000 codes", "samples of z"),
    ("elbo", "default-samples"): ("the decoder was given 4 codes", "Are all L samples used"),
    ("elbo", "noise-too-wide"): ("The standard deviation of (z - mu) / sigma", "gradient"),
    ("elbo", "noise-too-narrow"): ("The standard deviation of (z - mu) / sigma", "gradient"),
    ("elbo", "noise-clamped"): ("(z - mu) / sigma never goes beyond ±3", "gradient"),
    ("elbo", "noise-clamped-hard"): ("deviation of (z - mu) / sigma", "gradient"),
    ("elbo", "noise-uniform"): ("(z - mu) / sigma never goes beyond ±3", "gradient"),
    ("elbo", "noise-wide-images-first"): ("deviation of (z - mu) / sigma", "gradient"),
    ("elbo", "one-epsilon-per-code"): ("rise and fall together", "gradient"),
    ("elbo", "sigma-detached"): ("logvar is wrong: is part of z", "(z - mu) / sigma"),
    ("elbo", "range-of-a-tuple"): ("object cannot be interpreted", "encode, for example"),
    ("reconstruct", "by-image-sharper"): ("was given the right code", "which one code"),
    ("sample", "tuple-times-tensor"): ("a comma at the end of a line makes one", "leading"),
    ("likelihood", "tuple-minus-tensor"): ("a comma at the end of a line makes one", "leading"),
    ("sample", "mu-averaged"): ("mu is missing, or averaged:", "mean of its own"),
    ("sample", "shape-forgotten"): ("Your code raised", "handed over like this"),
    ("sample", "exp-of-an-integer"): ("functions take tensors", "leading dimensions"),
    ("kl", "one-outside"): ("The 1 is counted once", "By hand"),
    ("likelihood", "loss-layer-called"): ("nn.BCEWithLogitsLoss makes a layer", "leading"),
    ("model", "parameter-matrices"): ("All layers are nn.Linear.", "exchanged"),
    ("step", "not-averaged"): ("got a tensor of shape [5]: one number is asked for", "item()"),
    ("step", "loss-of-three"): ("loss takes two things", "positional"),
    ("settings", "three-numbers"): ("A decimal comma makes two numbers of one", "too many"),
    ("settings", "number-missing"): ("Is the second number missing", "1 of them"),
    ("reconstruct", "sigmoid-layer-called"): ("torch.sigmoid(h) is the function", "as the text"),
    ("generate", "numpy-array"): ("torch.from_numpy(a).float()", "latent_dim"),
    ("generate", "list-of-draws"): ("torch.stack joins a list of tensors", "latent_dim"),
    ("interpolate", "images-in-a-tuple"): ("torch.stack makes [2, D]", "a tuple, mu and logvar"),
    ("interpolate", "image-in-place"): ("An image that was given was changed", "x itself"),
    ("corrupt", "mask-per-image"): ("The pixels of an image change together", "every image"),
    ("corrupt", "fixed-number"): ("The pixels of an image change together", "every image"),
    ("distance", "vector"): ("a tensor of shape [3]: one number", "item()"),
    ("distance", "vector-of-numpy"): ("an ndarray of shape [3]: one number", "float(...)"),
    ("separation", "moved-in-place"): ("codes were changed", "itself"),
}


@pytest.mark.parametrize("task", sorted({task for task, _ in SAID}))
def test_a_message_says_what_to_look_at_and_nothing_that_is_false(task):
    for (of, name), (part, wrong) in SAID.items():
        if of == task:
            message = verdict(task, WRONG_CELLS[task][name])
            assert part in message and wrong not in message, f"{name}: {message}"


def test_an_error_of_a_check_is_not_said_to_be_the_student_s():
    three = code("model", WRONG["model"]["gelu"]).replace("self.v(h)", "self.v(h), h")
    names = {"nn": torch.nn, "F": F, "torch": torch}
    exec(three, names)
    observed = tutorial.TASKS["model"].observe({"VAE": names["VAE"]}, 1)
    assert observed["raised by"] == "check" and "tuple of 3" in verdict("model", three)
    answer = {"gaussian_kl": lambda mu, logvar: mu.sum(dim=7)}
    observed = tutorial.TASKS["kl"].observe(answer, 1)
    assert observed["raised by"] == "answer"


def test_an_answer_is_called_unanswered_only_where_it_is():
    unanswered = "def gaussian_kl(mu, logvar):\n    raise NotImplementedError()\n\n\n"
    for task in ("elbo", "distance"):
        message = verdict(task, unanswered + SOLUTIONS[task])
        assert message.startswith("gaussian_kl is not answered yet")
    called = SOLUTIONS["elbo"].replace("model.encode(x)", "model(x)")
    assert 'missing the required "forward"' in verdict("elbo", called)


@pytest.mark.parametrize("task", ["sample", "kl", "likelihood"])
def test_numpy_is_not_taken_for_a_wrong_shape(task):
    e = "torch.randn(mu.shape, generator=generator)"
    body = {
        "sample": f"s = torch.tensor(numpy.exp(logvar.numpy() / 2))\nreturn mu + s * {e}",
        "kl": (
            "v = torch.tensor(numpy.exp(logvar.numpy()))\n"
            "return (mu**2 + v - 1 - logvar).sum(-1) / 2"
        ),
        "likelihood": (
            "s = torch.tensor(numpy.logaddexp(0, logits.numpy()))\nreturn (x * logits - s).sum(-1)"
        ),
    }
    message = verdict(task, "import numpy\n\n\n" + code(task, body[task]))
    assert "numpy cuts off the graph" in message and "dimensions" not in message


def test_a_notebook_without_a_model_says_so(capsys):
    with tutorial.going_on("Measuring"):
        None.encode(torch.zeros(1, 784))
    assert "there is no trained model yet" in capsys.readouterr().out


@pytest.mark.parametrize("task, name", one_of_each(MISTAKES))
def test_a_known_mistake_gets_its_own_hint(task, name):
    wrong = MISTAKES[task][name]
    assert wrong.hint.lower() in verdict(task, wrong.source(SOLUTIONS[task])).lower()


@pytest.mark.parametrize("task", SOLUTIONS)
def test_the_solution_passes_and_the_stub_is_told_that_it_is_one(task):
    assert verdict(task, SOLUTIONS[task], 99) is None
    assert verdict(task, STUBS[task]) == "Not answered yet."


def test_there_are_enough_of_each_kind():
    assert (
        sum(map(len, WRONG.values())) >= 150
        and sum(map(len, RIGHT.values())) >= 60
        and len(CODE) >= 40
    )
    assert set(WRONG) == set(RIGHT) == set(SOLUTIONS)
    assert len(WRONG_ANSWERS) == len({w.name for w in WRONG_ANSWERS}) >= 100


# One of each kind: forging, no end, an end by force, what outlives the cell.
FIRST = ["asserts-emptied", "forged-frame", "endless-function", "children", "exit"]


@pytest.mark.parametrize("name", named(CODE, FIRST))
def test_a_hostile_answer_earns_nothing_and_costs_no_honest_one(name, tmp_path, monkeypatch):
    """Beside an honest answer to task 3 and a wrong one to task 2, unless the hostile code is in
    their place."""
    monkeypatch.chdir(tmp_path)
    task, source = CODE[name]
    answers = {"kl": code("kl", "return mu.sum(dim=-1)"), "likelihood": SOLUTIONS["likelihood"]}
    wrong = task or "kl"
    submitted = [("", source)] if task is None else []
    submitted += [(t, s) for t, s in (answers | ({task: source} if task else {})).items()]
    with Submission(SETUP, submitted, computing=4) as submission:
        assert submission.verdict(wrong, 1)[0], "points for a wrong answer"
        assert task is None or submission.verdict("likelihood", 1)[0] is None, (
            "an honest answer lost its points"
        )
        folder = submission.worker.folder
    assert not list(tmp_path.iterdir())
    assert not folder.startswith(str(COURSE))


def test_the_package_s_answer_earns_nothing_and_helps_the_tasks_behind_it():
    taken = 'gaussian_kl = take("gaussian_kl")'
    wrapped = (
        "from lecture_utils import objectives\ndef bernoulli_log_likelihood(logits, x):\n    return"
        " objectives.bernoulli_log_likelihood(logits, x)"
    )
    with Submission(
        SETUP,
        [
            ("kl", taken),
            ("likelihood", wrapped),
            ("elbo", SOLUTIONS["elbo"]),
            ("sample", SOLUTIONS["sample"]),
        ],
    ) as submission:
        assert "0 points" in submission.verdict("kl", 5)[0]
        assert "0 points" in submission.verdict("likelihood", 5)[0]
        assert submission.verdict("elbo", 5)[0] is None
    assert set(POINTS_OF_TASK) == set(tutorial.TASKS)


TAKEN = {
    "called": "def gaussian_kl(mu, logvar):\n    return take('gaussian_kl')(mu, logvar)",
    "lambda": "gaussian_kl = lambda mu, logvar: take('gaussian_kl')(mu, logvar)",
    "partial": "import functools\ngaussian_kl = functools.partial(take('gaussian_kl'))",
    "imported": "def gaussian_kl(mu, logvar):\n    import lecture_utils.objectives as theirs\n"
    "    return theirs.gaussian_kl(mu, logvar)",
    "renamed": "theirs = take('gaussian_kl')\n\n\ndef gaussian_kl(mu, logvar):\n    return"
    " theirs(mu, logvar)",
    "nested": "def gaussian_kl(mu, logvar):\n    def mine():\n        return"
    " take('gaussian_kl')(mu, logvar)\n    return mine()",
}


@pytest.mark.parametrize("form", named(TAKEN, ["nested"]))
def test_the_package_s_answer_is_known_in_any_wrapping(form):
    with Submission(SETUP, [("kl", TAKEN[form])]) as submission:
        assert "0 points" in submission.verdict("kl", 5)[0]


BODIES = ["pass", "def encode(self, x):\n        return super().encode(x)"]


@pytest.mark.parametrize("body", named(BODIES, BODIES[1:]))
def test_a_class_that_inherits_the_package_s_is_the_package_s(body):
    with Submission(SETUP, [("model", f"class VAE(take('VAE')):\n    {body}")]) as submission:
        assert "0 points" in submission.verdict("model", 5)[0]


def test_another_task_s_answer_that_is_taken_within_an_answer_costs_that_task_alone():
    """And a person is told to look at it."""
    line = "gaussian_kl(mu, logvar)"
    assert line in SOLUTIONS["elbo"]
    helped = SOLUTIONS["elbo"].replace(line, "take('gaussian_kl')(mu, logvar)")
    answers = [("elbo", helped), ("kl", 'gaussian_kl = take("gaussian_kl")')]
    with Submission(SETUP, answers) as submission:
        assert submission.verdict("elbo", 5)[0] is None
    (note,) = _unusual(answers)
    assert "elbo" in note and "take(" in note


def test_a_mistake_costs_its_own_points_and_a_helper_in_another_cell_costs_none():
    wrong_kl = code("kl", "return -mu.sum(dim=-1)") + "\n\ndef helper(t):\n    return t.sum(dim=-1)"
    uses_it = code("likelihood", "return helper(x * logits - F.softplus(logits))")
    with Submission(
        SETUP,
        [
            ("sample", SOLUTIONS["sample"]),
            ("kl", wrong_kl),
            ("likelihood", uses_it),
            ("elbo", SOLUTIONS["elbo"]),
            ("distance", SOLUTIONS["distance"]),
        ],
    ) as submission:
        verdicts = {
            task: submission.verdict(task, 3)[0]
            for task in ("sample", "kl", "likelihood", "elbo", "distance")
        }
    assert [task for task, failed in verdicts.items() if failed] == ["kl"]
