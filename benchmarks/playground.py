"""Train the models of the web edition's playground, and round their weights to 16 bits.

usage: python benchmarks/playground.py [models] [terms] [beta]     (about ten minutes on one core)

models: the VAE with 2 dimensions, which readers meet first, learns slowest and is trained longest.
terms: the three VAEs of notebook 03, with both terms of the objective and with one of them, trained
as the notebook does. Both write lecture_utils/weights/playground_*.safetensors and into
playground.json, their record: epochs, losses, distance to the model with 32 bits, and log p(x) of
500 test images, all in nats.

beta: notebook 03's explorer has seven models on its web page, two more than the notebook trains.
Trains them in the notebook's way, and writes a picture of each, book/pictures/beta_*.webp, with
the words to them, beta.json.
"""

import json
import math
import sys
from pathlib import Path

from lecture_utils import data, playground, pretrained, training
from lecture_utils.explorers import plane, shell

import torch
import two_terms
from safetensors.torch import save_file

EPOCHS = {"vae_2": 60, "vae_20": 20, "ae_2": 20, "dae_2": 20}
PICTURES = Path(__file__).resolve().parents[1] / "book" / "pictures"


def main():
    wanted = sys.argv[1:] or ["models", "terms", "beta"]
    mnist = data.load_mnist()
    binary_test = data.binary_test_set(mnist)
    if "models" in wanted:
        train_models(mnist, binary_test)
    if "terms" in wanted:
        train_terms(mnist, binary_test)
    if "beta" in wanted:
        picture_beta(mnist, binary_test)


def picture_beta(mnist, binary_test):
    models = {
        "∞" if beta == float("inf") else f"{beta:g}": two_terms.beta_vae(
            mnist.train_images, beta, seed=0
        )
        for beta in two_terms.BETAS
    }
    draw = plane.BetaPicture(models, binary_test, mnist.test_labels).draw
    table = shell.tabulated(draw, {"beta": list(models)}, colors=128)
    control = {"label": "beta", "options": list(models), "first": "1"}
    PICTURES.mkdir(exist_ok=True)
    table = shell.write_table(PICTURES, "beta", table, [control])
    text = json.dumps(table, indent=1, ensure_ascii=False)
    (PICTURES / "beta.json").write_text(text + "\n", encoding="utf-8")


def train_models(mnist, binary_test):
    for name, (file, kind, options) in playground.SHIPPED.items():
        model = training.initialise(kind(**options), mnist.train_images)
        history = training.fit(model, mnist.train_images, epochs=EPOCHS[file], device="cpu")
        trained = {
            "epochs": EPOCHS[file],
            "training loss (nats)": round(history.loss[-1], 2),
        }
        ship(name, file, model, trained, mnist, binary_test)


def train_terms(mnist, binary_test):
    for (name, (file, *_)), beta in zip(playground.SHIPPED_OF_03.items(), (1.0, 0.0, math.inf)):
        model = two_terms.beta_vae(mnist.train_images, beta, seed=0)
        epochs = two_terms.FIT["epochs"] * (2 if beta == math.inf else 1)  # then the decoder
        ship(name, file, model, {"epochs": epochs}, mnist, binary_test)


def ship(name, file, model, trained, mnist, binary_test):
    """Write the rounded weights of a model, and what they are worth into the record."""
    exact = playground.folded(model)
    halves = {key: value.half() for key, value in exact.state_dict().items()}
    save_file(halves, pretrained.FOLDER / f"playground_{file}.safetensors")
    rounded = playground.shipped(name)
    difference = (loss(rounded, binary_test) - loss(exact, binary_test)).abs()
    about = playground.packed(rounded, binary_test, mnist.test_labels)["about"]
    record = json.loads(playground.RECORD.read_text(encoding="utf-8"))
    record[name] = trained | {
        "test loss (nats)": round(loss(exact, binary_test).mean().item(), 2),
        "distance to float32 (nats)": {
            "mean": round(difference.mean().item(), 4),
            "largest": round(difference.max().item(), 3),
        },
        "log p(x) (nats)": about["surprise"],
    }
    print(name, {key: value for key, value in record[name].items() if "log" not in key})
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in record.items()]
    playground.RECORD.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


@torch.no_grad()
def loss(model, images):
    """The loss of each image [N] in nats, with the same noise for all models."""
    return torch.cat(
        [
            sum(model.loss_terms(batch, torch.Generator().manual_seed(0)))
            for batch in images.split(1000)
        ]
    )


if __name__ == "__main__":
    main()
