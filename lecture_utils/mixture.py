"""A mixture of Bernoullis, fitted by EM: the latent-variable model that needs no network, and the
baselines in nats.

Slide "Introduction": {x} -> P(z), p(x|z), with P(z = c) the size of cluster c and p(x|z = c) its
characteristics. One component is the model of independent pixels.
"""

from typing import NamedTuple

from lecture_utils import evaluation
from lecture_utils.cache import cached
from lecture_utils.data import MNIST, binary_test_set, to_grey

import torch
import torch.nn.functional as F

CHUNK = 1000  # images in an E-step at a time
PSEUDO_COUNT = (
    0.5  # each component starts as if it had seen every pixel half a time on and half a time off
)
# Of the mixture that the series compares with: a few seconds on two cores.
COMPONENTS, ITERATIONS = 200, 10


class BernoulliMixture(NamedTuple):
    """p(x) = sum_c P(z=c) prod_d p(x_d|z=c): `log_weights` is log P(z), [K]; `logits` those of
    p(x_d=1|z), [K, D]."""

    log_weights: torch.Tensor
    logits: torch.Tensor

    def joint(self, x: torch.Tensor) -> torch.Tensor:
        """Return log P(z=c) + log p(x|z=c) in nats for every c, [B, D] -> [B, K].

        log p(x|z) = sum_d [x_d logit_d - softplus(logit_d)] is linear in x, hence one matrix
        product. Raises ValueError unless x is float [B, D], as `log_likelihood` and `posterior` do.
        """
        if not x.is_floating_point() or x.dim() != 2 or x.shape[1] != self.logits.shape[1]:
            raise ValueError(
                f"x is {x.dtype} {list(x.shape)}, expected float [B, {self.logits.shape[1]}] in "
                "[0, 1]: "
                "use binarize(images) or to_grey(images), and x.flatten(1)."
            )
        return torch.addmm(self.log_weights - F.softplus(self.logits).sum(dim=1), x, self.logits.T)

    def log_likelihood(self, x: torch.Tensor) -> torch.Tensor:
        """Return log p(x) in nats, [B, D] -> [B]. The sum over z is finite, so this is exact."""
        return torch.logsumexp(self.joint(x), dim=1)

    def posterior(self, x: torch.Tensor) -> torch.Tensor:
        """Return P(z=c|x), [B, D] -> [B, K]: Bayes' rule, also called the responsibilities."""
        return torch.softmax(self.joint(x), dim=1)

    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Draw z ~ P(z) n times and return the pixel probabilities p(x=1|z), [n, D]; `binarize`
        draws the pixels."""
        z = torch.multinomial(self.log_weights.exp(), n, replacement=True, generator=generator)
        return torch.sigmoid(self.logits[z])


def fit_mixture(
    images: torch.Tensor, n_components: int, n_iterations: int = 10, seed: int = 0
) -> tuple[BernoulliMixture, list[float]]:
    """Fit a mixture by EM; return it and the mean log-likelihood in nats before each iteration.

    `images` is uint8 [N, D] or float [N, D] in [0, 1]: binary pixels, or intensities. The
    components start half way between the mean image and `n_components` random images.
    `PSEUDO_COUNT` keeps every logit finite.

    Why intensities v do for a model of binary pixels x ~ Bernoulli(v): log p(x) is a log-sum-exp of
    functions linear in x, hence convex, so log p(v) <= E[log p(x)] by Jensen. EM on intensities
    raises a lower bound on the expected log-likelihood over *all* binarisations (with one
    component: that very number) and cannot learn the noise of one. Raises ValueError for shapes and
    numbers that make no sense.
    """
    if images.dim() != 2 or not 1 <= n_components <= len(images):
        raise ValueError(
            f"images have shape {list(images.shape)}, expected [N, D] with N >= n_components = "
            f"{n_components} >= 1."
        )
    if n_iterations < 1:
        raise ValueError(f"n_iterations must be at least 1, got {n_iterations}.")
    mean = torch.zeros_like(to_grey(images[0]))
    for part in images.split(CHUNK):  # added up in place: a list would lie between the large blocks
        mean += to_grey(part).sum(dim=0) / len(images)
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[
        :n_components
    ].to(images.device)
    # The starting guess counts as ten images a component.
    size = torch.full([n_components], 10.0, dtype=mean.dtype, device=mean.device)
    mixture = _maximise(size, size[:, None] * (to_grey(images[chosen]) + mean) / 2)
    history = []
    for _ in range(n_iterations):
        size, on = torch.zeros_like(size), torch.zeros_like(mixture.logits)
        total = 0.0
        for part in images.split(CHUNK):
            x = to_grey(part)
            joint = mixture.joint(x)
            log_likelihood = torch.logsumexp(joint, dim=1, keepdim=True)
            # E-step: P(z|x), [B, K]. What is below exp(-80) adds nothing, but float32 would hold
            # it as a denormal number, with which the product below takes ten times as long.
            posterior = torch.exp((joint - log_likelihood).clamp(min=-80))
            size += posterior.sum(dim=0)
            on += posterior.T @ x
            total += log_likelihood.sum().item()
        mixture = _maximise(size, on)
        history.append(total / len(images))
    return mixture, history


def trained_mixture(
    images: torch.Tensor,
    n_components: int = COMPONENTS,
    n_iterations: int = ITERATIONS,
    seed: int = 0,
) -> BernoulliMixture:
    """Return the mixture that `fit_mixture` fits to `images`; fitted once, then from the cache."""
    arguments = [images, n_components, n_iterations, seed]

    def fit():
        return fit_mixture(*arguments)[0]._asdict()

    return BernoulliMixture(**cached("mixture", [fit_mixture, *arguments], fit))


def nat_baselines(mnist: MNIST) -> dict[str, evaluation.Estimate]:
    """Return the test log-likelihood in nats of independent pixels and of the mixture, on
    `binary_test_set(mnist)`.

    Both are fitted to the intensities of the training images (why: see `fit_mixture`). The thread
    "what a nat is worth" of notebooks 02, 03, 06 and 08 starts with these two. The first call takes
    about five seconds on two cores; later ones take the mixture from the cache.
    """
    models = {
        "independent pixels": fit_mixture(mnist.train_images, 1, 1)[0],
        f"mixture of {COMPONENTS} Bernoullis": trained_mixture(mnist.train_images),
    }
    x = binary_test_set(mnist)  # after the fits, and looked at in parts: both spare memory
    of_each = {
        label: evaluation.in_parts(model.log_likelihood, x) for label, model in models.items()
    }
    return {label: evaluation.mean_and_error(values) for label, values in of_each.items()}


def _maximise(size, on):
    """M-step: the mixture for expected counts, images per component `size` [K] and of those `on`
    per pixel [K, D]."""
    p = (on + PSEUDO_COUNT) / (size[:, None] + 2 * PSEUDO_COUNT)
    return BernoulliMixture(torch.log(size / size.sum()), torch.logit(p))
