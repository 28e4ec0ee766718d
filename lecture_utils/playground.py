"""The playground: a drawing of the reader's own goes through trained models, live in the browser.

`digits` shows it in JupyterLab with any AE, DAE or VAE of `models`; `reparameterization` and `kl`
show the formulas of notebooks 04 and 05. Everything seen is computed by the JavaScript in the
``playground*.mjs`` files beside this one. anywidget hands it to JupyterLab; the web edition shows
the same files without a kernel, with the models in ``weights/`` (`shipped`).
"""

import base64
import copy
import json
import re
from pathlib import Path

from lecture_utils import evaluation, pretrained
from lecture_utils import models as model_classes
from lecture_utils.bounds import importance_weighted_bound

import anywidget
import numpy as np
import torch
import traitlets
from torch import nn

VIEWS = ("", "surprise", "compare", "traversal", "path")
FOLDER = Path(__file__).resolve().parent
FILES = (
    "playground_model.mjs",
    "playground_pictures.mjs",
    "playground_formulas.mjs",
    "playground.mjs",
)
ACTIVATIONS = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.SiLU: "silu"}
KINDS = {
    model_classes.VAE: "VAE",
    model_classes.DenoisingAutoencoder: "DAE",
    model_classes.Autoencoder: "AE",
}
N_CODES, N_MEAN = 300, 1000  # test images on the plane, and behind the mean loss
SURPRISE_IMAGES, SURPRISE_SAMPLES = 500, 300  # images whose log p(x) is estimated, draws of z each
PRIOR_LIMIT = 4.3  # how far the pictures of a VAE's codes reach, at least

RECORD = pretrained.FOLDER / "playground.json"
SHIPPED = {  # name: file, class, its options; the first is shown first
    "VAE, 2 dimensions": ("vae_2", model_classes.VAE, {"latent_dim": 2}),
    "VAE, 20 dimensions": ("vae_20", model_classes.VAE, {"latent_dim": 20}),
    "AE, 2 dimensions": ("ae_2", model_classes.Autoencoder, {"latent_dim": 2}),
    "DAE, 2 dimensions": ("dae_2", model_classes.DenoisingAutoencoder, {"latent_dim": 2}),
}
_OF_03 = {"latent_dim": 2, "hidden": (128, 32), "activation": nn.SiLU}
SHIPPED_OF_03 = {  # what is lost without one of the two terms
    "both terms": ("both_terms", model_classes.VAE, _OF_03),
    "reconstruction only": ("reconstruction_only", model_classes.VAE, _OF_03),
    "KL only": ("kl_only", model_classes.VAE, _OF_03),
}


# --- JupyterLab ---


def script() -> str:
    """Return the JavaScript files joined into one, without import lines and the word export."""
    text = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in FILES)
    text = re.sub(r"^import .*?;$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^export (?=const|function)", "", text, flags=re.MULTILINE)


class Playground(anywidget.AnyWidget):
    """The widget that `digits`, `reparameterization` and `kl` return."""

    _esm = script() + "\nexport default { render };\n"
    models = traitlets.Dict(help="Models by name, as `packed` returns them.").tag(sync=True)
    images = traitlets.List(help="Images to take, as `take_from` returns them.").tag(sync=True)
    view = traitlets.Unicode(help="What is open at first, or which formula.").tag(sync=True)

    def __init__(self, evaluated_on=None, **traits):
        super().__init__(**traits)
        self.evaluated_on = evaluated_on

    def update(self, model: nn.Module, name: str = "") -> None:
        """Show the weights that `model` has now, under a name given to `digits` (one needs none).

        Meant for ``fit(..., on_epoch=widget.update)``: the picture then follows the training.
        log p(x) of the test images, seconds of computing, is left out.
        Raises ValueError for an unknown name.
        """
        name = name or next(iter(self.models), "")
        if name not in self.models:
            raise ValueError(f"There is no model {name!r} here, but {', '.join(self.models)}.")
        new = packed(model, *self.evaluated_on, surprise=False)
        self.models = self.models | {name: new}

    def __repr__(self):
        return f"Playground({self.view or ', '.join(self.models)})"  # without an address


def digits(
    models: nn.Module | dict[str, nn.Module],
    images: torch.Tensor,
    labels: torch.Tensor,
    view: str = "",
    surprise: bool | None = None,
) -> Playground:
    """Return the playground of one trained AE, DAE or VAE, or of several by name.

    `images` [N, 784] are binary test images, float32, with labels [N]. A seeded sample of them
    lies on the latent plane, gives the mean loss, and 20 images to start from. `view` names the
    part that is open at first: "surprise" (log p(x) of the drawing among those of 500 test images),
    "compare" (one image in all models), "traversal" (one unit moved), "path" (between two images)
    or "" (none). `surprise` says
    whether the 500 are computed, about two seconds a VAE; by default if `view` is "surprise".
    Raises ValueError for another view, for images that are not binary, and for other models.
    """
    if view not in VIEWS:
        raise ValueError(f"view is {view!r}, but must be one of {', '.join(map(repr, VIEWS))}.")
    by_name = models if isinstance(models, dict) else {_kind(models): models}
    wanted = view == "surprise" if surprise is None else surprise
    return Playground(
        models={name: packed(model, images, labels, wanted) for name, model in by_name.items()},
        images=take_from(images, labels),
        view=view,
        evaluated_on=(images, labels),
    )


def reparameterization() -> Playground:
    """Return notebook 04's explorer: z = x^2 + 2 + x^2 epsilon, and two estimates of a gradient."""
    return Playground(view="reparameterization")


def kl() -> Playground:
    """Return notebook 05's explorer: KL( N(mu, sigma^2) || N(0, 1) ) as an area and two terms."""
    return Playground(view="kl")


# --- A model as the browser takes it ---


def packed(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    surprise: bool | list[float] = True,
    note: str = "",
) -> dict:
    """Return a model as the browser takes it: ``weights``, bytes, and ``about``, what they are.

    No weight is rounded: each has 32 bits, or 16 if these hold all of them, as of `shipped` models.
    `surprise` says whether to estimate log p(x) of 500 of the binary test images [N, 784] (labels
    [N]), or holds these values, in nats. `note` is shown below the mean loss. Raises ValueError for
    bad images and for models that the browser cannot compute.
    """
    _check(images, labels)
    layers = _layers(model := folded(model))
    parts = [part.detach().numpy() for _, layer in layers for part in (layer.weight, layer.bias)]
    numbers = np.concatenate([part.ravel() for part in parts]).astype(np.float32)
    with np.errstate(over="ignore"):  # then the two differ
        halves = numbers.astype(np.float16)
    dtype = "float16" if np.array_equal(halves, numbers) else "float32"
    rows = _sample(len(images))
    x, digit = images[rows], labels[rows]
    if surprise is True:
        surprise = log_likelihoods(model, x[:SURPRISE_IMAGES]) if _is_vae(model) else []
    about = {
        "kind": _kind(model),
        "activation": ACTIVATIONS[_activation(model)],
        "dtype": dtype,
        "shapes": [[name, layer.out_features, layer.in_features] for name, layer in layers],
        "surprise": sorted(round(value, 1) for value in surprise or []),
        "samples": SURPRISE_SAMPLES,
        "note": note,
        **_seen_from_outside(model, x[:N_MEAN], digit),
    }
    kind = f"<f{np.dtype(dtype).itemsize}"  # little-endian, whatever this machine is
    return {"weights": numbers.astype(kind).tobytes(), "about": about}


def folded(model: nn.Module) -> nn.Module:
    """Return a copy on the CPU that computes the same with ``mean_image`` 0.

    The encoder subtracts the mean image from its input: W (x - m) + b = W x + (b - W m).
    """
    model = copy.deepcopy(model).cpu().eval()  # a model that is being trained is left as it is
    first = model.encoder[0]
    with torch.no_grad():
        shift = first.weight.double() @ model.mean_image.double()
        first.bias.copy_(first.bias.double() - shift)
        model.mean_image.zero_()
    return model


def take_from(images: torch.Tensor, labels: torch.Tensor) -> list[list[str]]:
    """Return two images of each digit of a seeded sample: [name, pixels as bits in base64] each."""
    rows = _sample(len(images))
    chosen = [int(row) for digit in range(10) for row in rows[labels[rows] == digit][:2]]
    bits = [np.packbits(images[row].bool().numpy()).tobytes() for row in chosen]
    return [
        [f"{labels[row]} (test image {row})", base64.b64encode(packed_bits).decode()]
        for row, packed_bits in zip(chosen, bits, strict=True)
    ]


@torch.no_grad()
def log_likelihoods(model: nn.Module, x: torch.Tensor) -> list[float]:
    """Return a VAE's importance-weighted log p(x) in nats, 300 draws of z each, for x [N, 784]."""
    generator = torch.Generator().manual_seed(0)
    return evaluation.in_parts(
        lambda part: importance_weighted_bound(model, part, SURPRISE_SAMPLES, generator), x, 100
    ).tolist()


@torch.no_grad()
def _seen_from_outside(model, x, digit):
    """The mean loss over x, the codes of a plane, their reach, and the units in order."""
    codes = model.code(x)
    loss = sum(model.loss_terms(x, torch.Generator().manual_seed(0))).mean().item()
    points = _points(model, x[:N_CODES], digit) if model.latent_dim == 2 else []
    limit = float(1.05 * codes.abs().quantile(0.995))
    if _is_vae(model):
        limit = max(limit, PRIOR_LIMIT)
    return {"mean": loss, "codes": points, "limit": limit, "order": _by_information(model, x)}


def _points(model, x, digit):
    """Each image on the plane: two coordinates, its digit, and of a VAE both sigmas."""
    numbers = model.code(x)
    if _is_vae(model):
        mu, logvar = model.encode(x)
        numbers = torch.cat([mu, torch.exp(logvar / 2)], dim=1)
    rows = [[round(value, 2) for value in row] for row in numbers.tolist()]
    return [[a, b, int(label), *sd] for (a, b, *sd), label in zip(rows, digit, strict=False)]


def _by_information(model, x):
    """The units, most informative first: by mean KL in a VAE, elsewhere by the codes' variance."""
    if not _is_vae(model):
        return model.code(x).var(dim=0).argsort(descending=True).tolist()
    mu, logvar = model.encode(x)
    return (mu**2 + logvar.exp() - 1 - logvar).mean(dim=0).argsort(descending=True).tolist()


def _is_vae(model):
    return getattr(model, "to_logvar", None) is not None


def _kind(model):
    own = getattr(type(model), "log_likelihood", None)
    for kind, name in KINDS.items():
        if isinstance(model, kind) and own is kind.log_likelihood:
            return name
    raise ValueError(
        "The playground shows an Autoencoder, a DenoisingAutoencoder or a VAE with the "
        f"Bernoulli likelihood of EncoderDecoder, not a {type(model).__name__}."
    )


def _check(images, labels):
    if images.dim() != 2 or images.shape[1] != 784 or not images.is_floating_point():
        raise ValueError(
            f"images are {images.dtype} {list(images.shape)}, but must be float "
            "[N, 784]: use data.binary_test_set()."
        )
    if len(images) != len(labels):
        raise ValueError(f"There are {len(images)} images, but {len(labels)} labels.")
    if not ((images == 0) | (images == 1)).all():
        raise ValueError(
            "The images are grey, but the playground shows binary pixels: "
            "use data.binary_test_set()."
        )


def _activation(model):
    kinds = {type(part) for part in [*model.encoder, *model.decoder]} - {nn.Linear}
    if len(kinds) != 1 or not kinds <= set(ACTIVATIONS):
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
        raise ValueError(
            f"The playground computes ReLU, Tanh or SiLU in all hidden layers, not {names}."
        )
    return kinds.pop()


def _layers(model):
    """The linear layers of a model by name, in the order in which they are packed."""

    def chain(name, sequence):
        linear = [part for part in sequence if isinstance(part, nn.Linear)]
        return [(f"{name}{i}", layer) for i, layer in enumerate(linear)]

    logvar = [("to_logvar", model.to_logvar)] if _is_vae(model) else []
    return [
        *chain("encoder", model.encoder),
        ("to_mu", model.to_mu),
        *logvar,
        *chain("decoder", model.decoder),
        ("to_logits", model.to_logits),
    ]


def _sample(n):
    """n rows in a seeded order: the first of MNIST's test images are neater than the rest."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))


# --- The models of the web edition ---


def shipped(name: str) -> nn.Module:
    """Return one of the trained models of the web edition, on the CPU.

    ``benchmarks/playground.py`` trained those of `SHIPPED` as notebooks 06 and 07 do, but for
    longer, those of `SHIPPED_OF_03` as 03 does, and rounded their weights to 16 bits. Raises
    ValueError for another name, OSError for a missing or damaged file.
    """
    known = SHIPPED | SHIPPED_OF_03
    if name not in known:
        raise ValueError(f"Unknown model {name!r}: choose one of {', '.join(map(repr, known))}.")
    file, kind, options = known[name]
    command = "python benchmarks/playground.py"
    return pretrained.restored(kind(**options), f"playground_{file}", command)


def shipped_and_packed(name: str, images: torch.Tensor, labels: torch.Tensor) -> dict:
    """Return a trained model of the web edition as `packed` does, with its record's log p(x).

    Raises KeyError for a name without a record.
    """
    record = json.loads(RECORD.read_text(encoding="utf-8"))[name]
    distance = record["distance to float32 (nats)"]
    note = (
        f"Trained for {record['epochs']} epochs. The weights have 16 bits: the loss differs from "
        f"that of 32 bits by {distance['mean']:.3f} nats on average, {distance['largest']:.2f} "
        "at most."
    )
    return packed(shipped(name), images, labels, record["log p(x) (nats)"], note)
