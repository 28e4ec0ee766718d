"""Walks through a latent space: decode a code, move one coordinate, blend two images."""

from lecture_utils.evaluation import codes_of

import torch


@torch.no_grad()
def decoded(model, z: torch.Tensor) -> torch.Tensor:
    """Return the pixel probabilities that the model's decoder makes of codes, [..., J] -> [..., D]
    on the CPU."""
    return torch.sigmoid(model.decode(z.to(model.to_logits.weight.device))).cpu()


def traverse(model, start: torch.Tensor, unit: int, values: torch.Tensor) -> torch.Tensor:
    """Replace coordinate `unit` of the code `start` [J] by each of the values [K] and decode:
    probabilities [K, D]."""
    z = start.repeat(len(values), 1)
    z[:, unit] = values
    return decoded(model, z)


def interpolate(model, images: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend two images [2, D] in both spaces: the decoded codes (1 - t) a + t b, and (1 - t) x_a +
    t x_b, each [K, D].

    `t` [K] runs from 0, the first image, to 1, the second. The codes are the model's `code`, the
    mean of q(z|x) in a VAE.
    """
    t = t[:, None]
    start, end = codes_of(model, images)
    return decoded(model, (1 - t) * start + t * end), (1 - t) * images[0] + t * images[1]


def first_of_each_digit(labels: torch.Tensor) -> list[int]:
    """Return the row of the first image of each digit 0..9 among labels [N]."""
    return [int((labels == digit).nonzero()[0]) for digit in range(10)]
