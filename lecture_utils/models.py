"""Autoencoder, denoising autoencoder and VAE: siblings over one encoder and decoder.

They differ only in what the lecture says they differ in (slide "other Autoencoder models"): the
DAE's input is corrupted, the VAE samples z and pays a KL. Built from the same seed, they start from
the same shared weights. What every bound uses of a model is its contract, and `loss_terms`, by
which it is trained, is made of the same:

    encode(x)              the code z [B, J] of AE and DAE; mu and logvar of q(z|x) in the VAE
    decode(z)              the logits of the pixels
    log_likelihood(z, x)   log p(x|z) in nats: override it, and the model has another likelihood
"""

from typing import NamedTuple

from lecture_utils.objectives import bernoulli_log_likelihood, gaussian_kl, reparameterize

import torch
from torch import nn


class LossTerms(NamedTuple):
    """The two terms of the loss per example, in nats, each [B]: -log p(x|z), and the KL."""

    reconstruction: torch.Tensor
    kl: torch.Tensor


class EncoderDecoder(nn.Module):
    """What AE, DAE and VAE share: the layers, the decoder, the likelihood.

    `latent_dim` is J, `hidden` the widths of the encoder's hidden layers (the decoder mirrors
    them), `n_pixels` is D, `seed` fixes the initial weights without touching torch's global
    generator. Codes and logits have the dtype of the input, also where matrix products do not
    (`training.mixed_precision`). Raises ValueError for sizes below 1.
    """

    def __init__(
        self,
        latent_dim: int = 20,
        hidden: tuple[int, ...] = (400,),
        activation: type[nn.Module] = nn.ReLU,
        n_pixels: int = 784,
        seed: int = 0,
    ):
        super().__init__()
        _require_sizes(latent_dim, hidden, n_pixels)
        self.latent_dim, self.n_pixels = latent_dim, n_pixels
        self.register_buffer("mean_image", torch.zeros(n_pixels))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = _layers([n_pixels, *hidden], activation)
            self.to_mu = nn.Linear(hidden[-1], latent_dim)
            self.decoder = _layers([latent_dim, *reversed(hidden)], activation)
            self.to_logits = nn.Linear(hidden[0], n_pixels)
            self._add_layers(hidden[-1])

    def _add_layers(self, width):
        """For subclasses: layers on the encoder's last hidden layer, drawn after the shared
        ones."""

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Return the logits of the pixels, [..., J] -> [..., D]; sigmoid makes probabilities.

        Raises ValueError for codes of another dimension.
        """
        if z.shape[-1] != self.latent_dim:
            raise ValueError(
                f"z has shape {list(z.shape)}, but this decoder takes [..., {self.latent_dim}]."
            )
        return self.to_logits(self.decoder(z)).to(z.dtype)

    def log_likelihood(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return log p(x|z) in nats, [..., B, J] and [B, D] -> [..., B]: binary pixels,
        Bernoulli."""
        return bernoulli_log_likelihood(self.decode(z), x)

    def code(self, x: torch.Tensor) -> torch.Tensor:
        """Return the one code that stands for x, [B, D] -> [B, J]: z, in the VAE the mean of
        q(z|x). Raises ValueError, as `encode` does, for pixels that are not float [B, D]."""
        return self.to_mu(self._hidden(x)).to(x.dtype)

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        """Return the probability of each pixel being 1 after encoding and decoding, [B, D] -> [B,
        D]."""
        return torch.sigmoid(self.decode(self.code(x)))

    def sample(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Decode n draws z ~ N(0, I) into pixel probabilities [n, D]. Only the VAE is trained for
        it."""
        z = torch.randn(n, self.latent_dim, generator=generator, device=self.mean_image.device)
        return torch.sigmoid(self.decode(z))

    @torch.no_grad()
    def set_output_bias(self, mean_image: torch.Tensor, n_images: int) -> None:
        """Set the output bias to the log-odds of the mean image [D], one more image off, one on.

        The decoder then starts as the best model of independent pixels; the first epoch is not
        spent on finding it. Raises ValueError if the number of pixels is not that of the model.
        """
        self._require_one_image(mean_image)
        self.to_logits.bias.copy_(torch.logit((mean_image * n_images + 1) / (n_images + 2)))

    def center_inputs(self, mean_image: torch.Tensor) -> None:
        """Let the encoder subtract the mean image [D] from its input, before the training.

        Training converges faster on centred inputs (LeCun et al. 1998, "Efficient BackProp"). What
        the encoder can compute is the same, since its first bias could hold the shift.
        Raises ValueError as `set_output_bias` does.
        """
        self._require_one_image(mean_image)
        self.mean_image.copy_(mean_image)

    def _hidden(self, x):
        if x.dim() != 2 or x.shape[1] != self.n_pixels:
            raise ValueError(
                f"x has shape {list(x.shape)}, but the encoder takes [B, {self.n_pixels}]. "
                "Flatten images with x.flatten(1)."
            )
        if not x.is_floating_point():
            raise ValueError(
                f"x is {x.dtype}, but must be float in [0, 1]: "
                "use binarize(images) or to_grey(images)."
            )
        return self.encoder(x - self.mean_image)

    def _require_one_image(self, image):
        if image.shape != (self.n_pixels,):
            raise ValueError(
                f"The images have {image.shape[-1]} pixels, but the model was built for "
                f"{self.n_pixels}: build it with n_pixels={image.shape[-1]}."
            )


class Autoencoder(EncoderDecoder):
    """AE: x -> z -> x', trained on x' close to x alone; nothing regularises p(z)."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the code z, [B, D] -> [B, J]."""
        return self.code(x)

    def loss_terms(self, x: torch.Tensor, generator: torch.Generator | None = None) -> LossTerms:
        """Return the reconstruction error -log p(x|z) and a KL of 0, [B, D] -> two times [B]."""
        reconstruction = -self.log_likelihood(self.encode(x), x)
        return LossTerms(reconstruction, torch.zeros_like(reconstruction))


class DenoisingAutoencoder(EncoderDecoder):
    """DAE (Vincent et al. 2010): encode a corrupted x, reconstruct the clean one (slide: "DAG").

    The corruption is salt-and-pepper noise: each pixel is replaced, with probability `noise`, by a
    fair coin flip. Raises ValueError if `noise` is no probability.
    """

    def __init__(self, *args, noise: float = 0.3, **kwargs):
        if not 0 <= noise <= 1:
            raise ValueError(f"noise is a probability, got {noise}.")
        super().__init__(*args, **kwargs)
        self.noise = noise

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the code z of x as it is given, [B, D] -> [B, J]; only `loss_terms` corrupts."""
        return self.code(x)

    def loss_terms(self, x: torch.Tensor, generator: torch.Generator | None = None) -> LossTerms:
        """Return the error -log p(x|z) of the clean x from a corrupted code, and a KL of 0, [B]."""
        z = self.encode(corrupt(x, self.noise, generator))
        reconstruction = -self.log_likelihood(z, x)
        return LossTerms(reconstruction, torch.zeros_like(reconstruction))


class VAE(EncoderDecoder):
    """VAE (Kingma and Welling 2014): q(z|x) = N(mu(x), diag(exp(logvar(x)))), prior N(0, I)."""

    def _add_layers(self, width):
        self.to_logvar = nn.Linear(width, self.latent_dim)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mu and logvar (the log-variance) of q(z|x), [B, D] -> two times [B, J]."""
        hidden = self._hidden(x)
        return self.to_mu(hidden).to(x.dtype), self.to_logvar(hidden).to(x.dtype)

    def loss_terms(self, x: torch.Tensor, generator: torch.Generator | None = None) -> LossTerms:
        """Return -log p(x|z) for one z ~ q(z|x), and the exact KL, [B, D] -> two times [B]."""
        mu, logvar = self.encode(x)
        z = reparameterize(mu, logvar, generator)
        return LossTerms(-self.log_likelihood(z, x), gaussian_kl(mu, logvar))


def corrupt(
    x: torch.Tensor, noise: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return x, same shape, each pixel replaced with probability `noise` by a fair coin flip."""
    u = torch.rand(x.shape, generator=generator, device=x.device)
    # u < noise decides on corruption; given that, u < noise / 2 is a fair coin.
    return torch.where(u < noise, (u < noise / 2).to(x.dtype), x)


def _layers(widths, activation):
    """Linear layers of the given widths, each followed by the activation."""
    pairs = zip(widths[:-1], widths[1:])
    return nn.Sequential(*[layer for a, b in pairs for layer in (nn.Linear(a, b), activation())])


def _require_sizes(latent_dim, hidden, n_pixels):
    if not isinstance(hidden, (tuple, list)) or not hidden:
        raise ValueError(f"hidden is {hidden!r}, expected the widths of the layers, like (400,).")
    sizes = (latent_dim, *hidden, n_pixels)
    if not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise ValueError(
            f"latent_dim, hidden and n_pixels must be whole numbers of at least 1, got "
            f"{latent_dim}, {hidden} and {n_pixels}."
        )
